"""Pages over a table that is too large to count."""

import json
from functools import cached_property
from typing import Final

from django.core.paginator import Paginator

COUNTED: Final = 10_000
"""Up to so many rows are counted; above, the planner's estimate is shown."""

MOST_PAGES: Final = 200
"""A page further back would read all before it: dates and filters lead there."""


class EstimatingPaginator(Paginator):
    """Counts exactly while that is cheap, and never reads further than it shows."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list.order_by()
        counted: int = rows[: COUNTED + 1].count()
        if counted <= COUNTED:
            return counted
        (plan,) = json.loads(rows.explain(format="json"))
        return max(counted, int(plan["Plan"]["Plan Rows"]))

    @cached_property
    def num_pages(self) -> int:
        return min(int(super().num_pages), MOST_PAGES)
