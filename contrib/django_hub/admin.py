"""The hub's tables in Django's admin: to be read, never written."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.text import Truncator
from django.utils.timezone import localtime
from psycopg.errors import QueryCanceled

from contrib.django_hub.filters import DegradedFilter, IntentFilter
from contrib.django_hub.models import InteractionLog, KnowledgeNode
from contrib.django_hub.paginator import EstimatingPaginator
from store.identity import asked_at

ALL_WORDS = """
    SELECT term.node
    FROM knowledge_terms AS term,
         (SELECT tsvector_to_array(to_tsvector('english', %s)) AS lexemes) AS asked
    WHERE term.lexeme = ANY (asked.lexemes)
    GROUP BY term.node, asked.lexemes
    HAVING count(*) = cardinality(asked.lexemes)
"""
"""The nodes that have all the words, by the inverted index that the hub itself searches."""


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows to staff who may view them; nobody adds, changes or deletes one here."""

    actions = None
    list_per_page = 50
    paginator = EstimatingPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        try:
            return super().changelist_view(request, extra_context)
        except OperationalError as error:
            # The role's statement_timeout: a filter that few rows pass reads the log to find them.
            if not (isinstance(error.__cause__, QueryCanceled) and request.GET):
                raise
            messages.warning(request, "That took too long. Choose a day first, then filter.")
            return redirect(request.path)

    @admin.display(description="intent", empty_value="-")
    def meaning(self, row: InteractionLog | KnowledgeNode) -> str | None:
        """Both know an intent, whose name is wider than a column unless it may be broken."""
        return row.intent and row.intent.replace("_", " ")


@admin.register(InteractionLog)
class InteractionLogAdmin(ReadOnlyAdmin):
    """What was asked and how it went, newest first. Whose it was stays out of sight."""

    date_hierarchy = "asked_at"
    ordering = ("-asked_at", "-interaction_id")
    # Any other order would sort the whole table.
    sortable_by = ("asked",)
    list_display = ("asked", "question", "outcome", "meaning", "sure", "feedback_score")
    list_display_links = ("question",)
    list_filter = ("outcome", IntentFilter, "feedback_score", "is_crisis", DegradedFilter)
    search_fields = ("=interaction_id",)
    search_help_text = "The whole id of an interaction, as answers and logs have it."
    fieldsets = (
        (None, {"fields": ("query_text", "asked_at", "outcome", "confused_because", "crisis")}),
        ("What the hub understood", {"fields": ("intent", "sure", "likeliest", "model_version")}),
        (
            "What it answered",
            {"fields": ("results", "degraded", "embedding_space", "timings", "ingested_at")},
        ),
        ("Feedback", {"fields": ("feedback_score", "feedback_comment", "feedback_at")}),
        ("Ids", {"fields": ("interaction_id", "request_id", "session")}),
    )
    readonly_fields = ("crisis", "sure", "likeliest", "results", "timings", "session")

    def get_object(self, request: Any, object_id: str, from_field: str | None = None) -> Any:
        """Look in the one partition that can have it: its day stands in its id."""
        return _one(self.get_queryset(request), object_id).first()

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        return (_one(queryset, search_term.strip()) if search_term else queryset), False

    @admin.display(description="asked at", ordering="asked_at")
    def asked(self, row: InteractionLog) -> str:
        return _moment(row.asked_at)

    @admin.display(description="crisis card")
    def crisis(self, row: InteractionLog) -> str:
        return "shown" if row.is_crisis else "not shown"

    @admin.display(description="query")
    def question(self, row: InteractionLog) -> str:
        return str(Truncator(row.query_text).chars(90))

    @admin.display(description="confidence", empty_value="-")
    def sure(self, row: InteractionLog) -> str | None:
        return None if row.confidence is None else f"{row.confidence:.0%}"

    @admin.display(description="likeliest intents")
    def likeliest(self, row: InteractionLog) -> str:
        return ", ".join(f"{one['intent']} {one['confidence']:.1%}" for one in row.alternatives)

    @admin.display(description="results")
    def results(self, row: InteractionLog) -> str:
        view = f"{self.admin_site.name}:django_hub_knowledgenode_change"
        links = ((reverse(view, args=(quote(node),)), node) for node in row.result_ids)
        return str(format_html_join("\n", '<div><a href="{}">{}</a></div>', links))

    @admin.display(description="timings")
    def timings(self, row: InteractionLog) -> str:
        stages = sorted(row.timings_ms.items(), key=lambda stage: stage[1])
        return ", ".join(f"{stage} {taken:g} ms" for stage, taken in stages)

    @admin.display(description="session")
    def session(self, row: InteractionLog) -> str:
        """Enough to tell two sessions of a page apart, and not enough to look one up."""
        return f"{row.session_id[:6]}…"


@admin.register(KnowledgeNode)
class KnowledgeNodeAdmin(ReadOnlyAdmin):
    """What the university wrote. `scripts/migrate_vectors.py` loads it; nothing is edited here."""

    ordering = ("id",)
    sortable_by = ("id",)
    list_display = ("title", "id", "meaning", "updated")
    list_filter = (IntentFilter,)
    search_fields = ("id",)
    search_help_text = "Words that are all in it, as the hub searches; or its id."
    fields = ("id", "title", "body", "url", "intent", "tags", "updated_at")

    @admin.display(description="updated at")
    def updated(self, node: KnowledgeNode) -> str:
        return _moment(node.updated_at)

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        if not search_term:
            return queryset, False
        words = RawSQL(ALL_WORDS, (search_term,))
        return queryset.filter(Q(id=search_term.strip()) | Q(number__in=words)), False


def _moment(moment: datetime) -> str:
    """Return a moment in the site's time zone, short enough for a column."""
    return f"{localtime(moment):%Y-%m-%d %H:%M}"


def _one(interactions: Any, interaction_id: str) -> Any:
    """Return the interaction of that id, or none: by the table's own key, (asked_at, id)."""
    try:
        moment = asked_at(interaction_id)
    except (ValueError, OverflowError, OSError):
        return interactions.none()
    return interactions.filter(asked_at=moment, interaction_id=interaction_id)
