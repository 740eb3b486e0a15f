"""Dashboard, alerts and runbook say the same, of what is there. The live names: test_operations."""

import ast
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from contracts.settings import PROJECT, Settings
from deployments.metrics import metrics
from tests.monitoring import (
    ALERTS,
    MADE_BY_PROMETHEUS,
    RUNBOOK,
    alerts,
    dashboard,
    expressions,
    panels,
    wanted_by,
)

SUFFIXES = {"Counter": ("",), "Gauge": ("",), "Histogram": ("_bucket", "_count", "_sum")}
SHOWN_NOWHERE = {"hub_memory_replacements_total"}
"""It has a series only once the memory watch acted; the registry's replacements say more."""
PARTS = ("**Means**", "**Users", "**Look**", "**Do**", "**Over**")


def ours() -> dict[str, Any]:
    """Our metrics by every name under which Prometheus sees them."""
    return {
        f"ray_{metric._name}{suffix}": metric
        for metric in vars(metrics()).values()
        for suffix in SUFFIXES[type(metric).__name__]
    }


def headings() -> dict[str, str]:
    """Each heading of the runbook by its anchor, as GitHub makes it, with what stands under it."""
    found = re.split(r"^#+ (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): text
        for title, text in zip(found[::2], found[1::2], strict=True)
    }


def entry_of(alert: dict[str, Any]) -> str:
    return headings()[alert["alert"].lower()]


@pytest.mark.parametrize(
    ("where", "expression", "shown"), expressions(), ids=[where for where, _, _ in expressions()]
)
def test_an_expression_names_metrics_and_labels_that_we_have(
    where: str, expression: str, shown: frozenset[str]
) -> None:
    known, needed = ours(), wanted_by(expression)
    for wanted in needed:
        if wanted.name.startswith("ray_hub_"):
            labels = {*known[wanted.name]._tag_keys, "le", "WorkerId"}
            assert {label for label, _, _ in wanted.matchers} | wanted.groups <= labels
        else:
            assert wanted.name.startswith(("ray_", "haproxy_")) or wanted.name in MADE_BY_PROMETHEUS
    groups = frozenset().union(*(wanted.groups for wanted in needed))
    assert shown <= groups or not groups, "what is shown is what it is grouped by"


def test_every_metric_of_ours_is_shown_or_watched_and_in_the_runbook() -> None:
    named = {wanted.name for _, expression, _ in expressions() for wanted in wanted_by(expression)}
    unseen = {metric._name for metric in ours().values()} - {
        ours()[name]._name for name in named if name in ours()
    }
    assert unseen == SHOWN_NOWHERE
    listed = dict(re.findall(r"^\| `(hub_\w+)` \|([^|]*)\|", RUNBOOK.read_text(), re.MULTILINE))
    assert {name: set(re.findall(r"\w+", labels)) for name, labels in listed.items()} == {
        metric._name: set(metric._tag_keys) for metric in ours().values()
    }


def test_a_panel_says_what_it_shows_in_which_unit_and_where_from() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    (variable,) = dashboard()["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    for panel in panels():
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}, panel["title"]


def test_panels_lie_beside_each_other_and_not_on_each_other() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mh]", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == alert["annotations"].keys()
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
    entry = entry_of(alert)
    assert [part for part in PARTS if part not in entry] == []
    tested = (ALERTS.parent / "alerts_test.yaml").read_text()
    assert f'{{alertname="{alert["alert"]}"}}' in tested


def test_the_runbook_has_an_entry_for_alerts_that_are_there_alone() -> None:
    entries = {anchor for anchor in headings() if anchor.startswith("hub") and "-" not in anchor}
    assert entries == {alert["alert"].lower() for alert in alerts()}


def test_links_of_the_runbook_lead_somewhere() -> None:
    text = RUNBOOK.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        if file:
            assert (RUNBOOK.parent / file).exists(), target
        else:
            assert anchor in headings(), target


def test_commands_of_the_runbook_are_there() -> None:
    text = RUNBOOK.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text)) <= targets
    modules = re.findall(r"python -m ([\w.]+)", text) + [
        script.replace("/", ".") for script in re.findall(r"python (scripts/\w+)\.py", text)
    ]
    assert len(set(modules)) >= 5
    for module in modules:
        file = PROJECT / (module.replace(".", "/") + ".py")
        assert any(_is_main(node) for node in ast.parse(file.read_text()).body), module
    for path in re.findall(r"`((?:deploy|deployments|scripts|data)/[\w./-]+\.\w+)`", text):
        assert (PROJECT / path).exists(), path
    for flag_of, flags in (
        ("training/registry.py", ("--why",)),
        ("scripts/forget.py", ("--dry-run",)),
    ):
        assert all(flag in (PROJECT / flag_of).read_text() and flag in text for flag in flags)


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


def test_settings_that_the_runbook_and_the_alerts_name_are_there() -> None:
    said = (
        RUNBOOK.read_text()
        + ALERTS.read_text()
        + (PROJECT / "deploy" / "grafana" / "hub.json").read_text()
    )
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"HUB_[A-Z_]+[A-Z]", said)) <= known


def test_prometheus_is_told_the_jobs_that_alerts_and_panels_name() -> None:
    jobs = {
        job["job_name"]
        for job in yaml.safe_load((ALERTS.parent / "prometheus.yaml").read_text())["scrape_configs"]
    }
    named = {
        job
        for _, expression, _ in expressions()
        for wanted in wanted_by(expression)
        for label, _, value in wanted.matchers
        if label == "job"
        for job in value.split("|")
    }
    assert named == jobs
