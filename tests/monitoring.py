"""What the dashboard and the alerts name, taken apart for tests: metrics, labels, entries."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml
from promql_parser import AggModifierType, AggregateExpr, BinaryExpr, MatchOp, VectorSelector

from contracts.settings import PROJECT

DASHBOARD = PROJECT / "deploy" / "grafana" / "hub.json"
ALERTS = PROJECT / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOK = PROJECT / "docs" / "runbook.md"

MADE_BY_PROMETHEUS = {"up", "ALERTS"}
_ADDED_BY_PROMETHEUS = {"instance", "job"}
_VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m"}


@dataclass(frozen=True)
class Wanted:
    """Series that an expression needs: a name, matchers on labels, and labels it groups by."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, operator (=, !=, =~, !~) and value."""
    groups: frozenset[str]

    def fits(self, name: str, labels: Mapping[str, str]) -> bool:
        """Say whether a series is one of those that are meant, with all labels that are named."""
        return (
            name == self.name
            and self.groups <= labels.keys()
            and all(
                label in labels and _holds(labels[label], operator, value)
                for label, operator, value in self.matchers
            )
        )


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def panels() -> list[dict[str, Any]]:
    """The panels that show something; rows are left out."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[tuple[str, str, frozenset[str]]]:
    """Where each expression stands, itself, and the labels of its series that are shown."""
    found = [
        (
            f"panel {panel['title']}",
            target["expr"],
            frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"])),
        )
        for panel in panels()
        for target in panel["targets"]
    ]
    found += [
        (f"annotation {one['name']}", one["expr"], frozenset())
        for one in dashboard()["annotations"]["list"]
    ]
    found += [
        (
            f"alert {alert['alert']}",
            alert["expr"],
            frozenset(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
            - _ADDED_BY_PROMETHEUS,
        )
        for alert in alerts()
    ]
    return found


def wanted_by(expression: str) -> list[Wanted]:
    """Return the series that an expression needs. Raises ValueError when it is no PromQL."""
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return list(_wanted(promql_parser.parse(expression), frozenset()))


def _wanted(node: Any, groups: frozenset[str]) -> Iterator[Wanted]:
    if isinstance(node, VectorSelector):
        matchers = ((one.name, _operator(one.op), one.value) for one in node.matchers.matchers)
        assert node.name is not None
        yield Wanted(node.name, tuple(matchers), groups)
        return
    if isinstance(node, AggregateExpr) and node.modifier is not None:
        assert node.modifier.type == AggModifierType.By
        groups |= frozenset(node.modifier.labels)
    for child in _children(node):
        yield from _wanted(child, groups)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, BinaryExpr):
        return (node.lhs, node.rhs)
    if hasattr(node, "args"):
        return list(node.args)
    return [getattr(node, name) for name in ("expr", "vector_selector") if hasattr(node, name)]


def _operator(op: MatchOp) -> str:
    signs = (
        (MatchOp.Equal, "="),
        (MatchOp.NotEqual, "!="),
        (MatchOp.Re, "=~"),
        (MatchOp.NotRe, "!~"),
    )
    return next(sign for known, sign in signs if op == known)


def _holds(found: str, operator: str, value: str) -> bool:
    if operator in {"=", "!="}:
        return (found == value) == (operator == "=")
    return bool(re.fullmatch(value, found)) == (operator == "=~")
