"""The hub's tables as Django sees them. The hub's own migrations make and change them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from contracts.outcome import MESSAGES

OUTCOMES = [(outcome, outcome) for outcome in MESSAGES]
THUMBS = [(1, "up"), (-1, "down")]


class Interactions(models.QuerySet):
    """Interactions, of which there are many: what the admin's date hierarchy asks of them is
    answered from both ends of the log, which an index has, and reads no row between."""

    def aggregate(self, *given: Any, **named: Any) -> dict[str, Any]:
        """As Django's; but `first` and `last` are the log's, also when filters leave less of it."""
        rows = self._by_date_alone() if set(named) == {"first", "last"} else self
        return super(Interactions, rows).aggregate(*given, **named)

    def _by_date_alone(self) -> "Interactions":
        """Return the log within the dates that were chosen, whatever else is filtered."""
        rows: Interactions = self.model.objects.all()
        for condition in _conditions(self.query.where):
            column = getattr(getattr(condition, "lhs", None), "target", None)
            if column == self.model._meta.get_field("asked_at"):
                rows = rows.filter(**{f"asked_at__{condition.lookup_name}": condition.rhs})
        return rows

    def datetimes(self, field_name: str, kind: str, **options: Any) -> list[datetime]:
        """Return every `kind` (year, month, day) from the first to the last, rows in it or not."""
        ends = self.aggregate(first=models.Min(field_name), last=models.Max(field_name))
        if ends["first"] is None:
            return []
        first, last = (timezone.localtime(ends[end]) for end in ("first", "last"))
        return list(_periods(first, last, kind=kind))


def _conditions(where: Any) -> Iterator[Any]:
    for child in where.children:
        if hasattr(child, "children"):
            yield from _conditions(child)
        else:
            yield child


def _periods(first: datetime, last: datetime, *, kind: str) -> Iterator[datetime]:
    seen = None
    for day in range(first.toordinal(), last.toordinal() + 1):
        moment = datetime.fromordinal(day).replace(tzinfo=first.tzinfo)
        if kind != "day":
            moment = moment.replace(day=1)
        if kind == "year":
            moment = moment.replace(month=1)
        if moment != seen:
            seen = moment
            yield moment


class InteractionLog(models.Model):
    """A query with everything the hub answered. Texts were redacted before they were stored.

    The table is partitioned by day, and its key is (asked_at, interaction_id). Django's admin
    knows no key of two columns; the id alone is unique, for it begins with asked_at.
    """

    interaction_id = models.TextField(primary_key=True)
    asked_at = models.DateTimeField()
    ingested_at = models.DateTimeField()
    session_id = models.TextField()
    request_id = models.TextField(null=True)
    query_text = models.TextField("query")
    outcome = models.TextField(choices=OUTCOMES)
    confused_because = models.TextField(null=True)
    intent = models.TextField(null=True)
    confidence = models.FloatField(null=True)
    alternatives = models.JSONField()
    result_ids = ArrayField(models.TextField())
    degraded = ArrayField(models.TextField())
    is_crisis = models.BooleanField("crisis")
    model_version = models.TextField(null=True)
    embedding_space = models.TextField(null=True)
    timings_ms = models.JSONField()
    feedback_score = models.SmallIntegerField("thumb", null=True, choices=THUMBS)
    feedback_comment = models.TextField(null=True)
    feedback_at = models.DateTimeField(null=True)

    objects = Interactions.as_manager()

    class Meta:
        managed = False
        db_table = "interaction_log"
        verbose_name = "interaction"

    def __str__(self) -> str:
        return f"{self.asked_at:%Y-%m-%d %H:%M:%S}"


class KnowledgeNode(models.Model):
    """One thing the university wrote."""

    id = models.TextField(primary_key=True)
    number = models.IntegerField(unique=True)
    title = models.TextField()
    body = models.TextField()
    url = models.TextField()
    intent = models.TextField()
    tags = ArrayField(models.TextField())
    updated_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "knowledge_nodes"

    def __str__(self) -> str:
        return str(self.title)
