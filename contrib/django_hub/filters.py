"""Filters whose choices are known beforehand: none of them reads the table to offer them."""

from typing import Any

import yaml
from django.contrib.admin import SimpleListFilter

from contracts.settings import DATA


class IntentFilter(SimpleListFilter):
    """By intent, as in data/intents.yaml; retired ones are still in older rows."""

    title = "intent"
    parameter_name = "intent"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        document = yaml.safe_load((DATA / "intents.yaml").read_text(encoding="utf-8"))
        titles = {row["name"]: row["title"] for row in document["intents"]}
        titles |= {name: f"{name} (retired)" for name in document.get("retired") or {}}
        return list(titles.items())

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(intent=self.value()) if self.value() else queryset


class DegradedFilter(SimpleListFilter):
    """Whether the answer was whole."""

    title = "answer"
    parameter_name = "answer"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("whole", "whole"), ("degraded", "degraded")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        if self.value() == "whole":
            return queryset.filter(degraded=[])
        if self.value() == "degraded":
            return queryset.exclude(degraded=[])
        return queryset
