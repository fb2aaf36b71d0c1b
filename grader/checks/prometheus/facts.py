"""A Prometheus rule file as groups of rules, each readable on its own however broken the rest is."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from grader.checks.prometheus import promql
from grader.checks.prometheus.clock import set_clock
from grader.documents import Problem, SourceFile, YamlDocument
from grader.readers.plain_data import as_json
from grader.results import Finding

MAX_RULES = 200
"""Rules of a file that are looked at."""
MAX_EXPRESSIONS = 200_000
"""Characters of all expressions of a file: promtool's time grows with the square of what one holds."""
MAX_SAME = 5
"""Alerts of one name that are tried."""
MAX_RECORDED = 10
"""How deep recording rules that use each other are followed."""
MAX_NESTING = 4
"""How deep rules are looked for in a file that has no groups."""
NO_GROUPS = "the file has no list of `groups`, where Prometheus expects its rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: a recording rule has `record`, an alert has `alert`."""

    place: tuple[int, int]
    """The group's index, and the rule's index in it."""
    where: str
    expr: str
    alert: str = ""
    record: str = ""
    duration: str = ""
    """`for` as written."""
    labels: tuple[tuple[str, str], ...] = ()
    """The labels of a recording rule; empty for an alert."""

    def as_rule(self) -> dict[str, Any]:
        """The rule with nothing but what decides when it fires."""
        if self.record:
            return {"record": self.record, "expr": self.expr, "labels": dict(self.labels)}
        return {"alert": self.alert, "expr": self.expr} | ({"for": self.duration} if self.duration else {})


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The rules of a file, in order."""

    rules: tuple[Rule, ...]
    grouped: bool = True
    """Whether they are in a list of `groups`; Prometheus accepts no others."""

    def alerts(self, name: str) -> tuple[Rule, ...]:
        """The alerts of a name."""
        return tuple(rule for rule in self.rules if rule.alert == name)[:MAX_SAME]

    @property
    def recordings(self) -> tuple[Rule, ...]:
        """The recording rules."""
        return tuple(rule for rule in self.rules if rule.record)


def read(file: SourceFile) -> RuleFile | Problem:
    """The rules of the file's first document, which is the only one that Prometheus reads."""
    documents = file.yaml
    if isinstance(documents, Problem):
        return documents
    if not documents:
        return Problem(file.name, "the file is empty")
    document = documents[0]
    groups = document.data.get("groups") if isinstance(document.data, dict) else None
    grouped = isinstance(groups, list)
    places = _in_groups(groups) if isinstance(groups, list) else _ungrouped(document.data)
    read_rules = (_rule(data, place, file.where(document.line(*path))) for path, place, data in places)
    rules = [rule for rule in read_rules if rule is not None]
    if longest := next((rule for rule in rules if len(rule.expr) > promql.MAX_CHARACTERS), None):
        name = (longest.alert or longest.record)[:100]
        line = document.line("groups", longest.place[0], "rules", longest.place[1])
        return Problem(file.name, f"the expression of {name} has {len(longest.expr):,} characters", line)
    if (length := sum(len(rule.expr) for rule in rules)) > MAX_EXPRESSIONS:
        return Problem(file.name, f"the expressions have {length:,} characters in total")
    found = tuple(rules[:MAX_RULES])
    return RuleFile(found, grouped) if found or grouped else Problem(file.name, NO_GROUPS)


_Places = Iterator[tuple[tuple[Hashable, ...], tuple[int, int], Any]]
"""A rule's path in the document, its group's index and its own, and the rule."""


def _in_groups(groups: list[Any]) -> _Places:
    for number, group in enumerate(groups):
        rules = group.get("rules") if isinstance(group, dict) else None
        for index, data in enumerate(rules if isinstance(rules, list) else ()):
            yield ("groups", number, "rules", index), (number, index), data


def _ungrouped(data: Any) -> _Places:
    """Rules outside of any list of groups. A manifest for Kubernetes is no rule file at all."""
    if isinstance(data, dict) and ("kind" in data or "apiVersion" in data):
        return
    waiting: list[tuple[tuple[Hashable, ...], Any]] = [((), data)]
    number = 0
    while waiting:
        path, data = waiting.pop(0)
        if isinstance(data, dict) and "expr" in data:
            yield path, (0, number), data
            number += 1
        elif len(path) < MAX_NESTING:
            inner = (
                data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
            )
            waiting += [((*path, key), value) for key, value in inner]


def for_older(file: SourceFile) -> str:
    """The rule file less what older Prometheuses do not know yet, empty where there is nothing of that."""
    documents = file.yaml
    match documents:
        case (YamlDocument(data={"groups": list(groups)} as data, duplicates=()), *_):
            pass
        case _:
            return ""
    kept = [
        {key: value for key, value in group.items() if not isinstance(value, _NEWER.get(key, ()))}
        if isinstance(group, dict)
        else group
        for group in groups
    ]
    return json.dumps(as_json({**data, "groups": kept})) if kept != groups else ""


_NEWER: dict[Hashable, type] = {"labels": dict, "query_offset": str}
"""Keys of a group, since Prometheus 3.0 and 2.53, and what stands there."""


def _rule(data: Any, place: tuple[int, int], where: str) -> Rule | None:
    if not isinstance(data, dict) or not _text(data.get("alert")) + _text(data.get("record")):
        return None
    labels = data.get("labels")
    pairs = labels.items() if isinstance(labels, dict) else ()
    return Rule(
        place=place,
        where=where,
        expr=_text(data.get("expr")),
        alert="" if data.get("record") else _text(data.get("alert")),
        record=_text(data.get("record")),
        duration=_text(data.get("for")),
        labels=tuple((str(name), _text(value)) for name, value in pairs),
    )


def _text(value: Any) -> str:
    """A scalar as Prometheus reads it into a string; anything that is not a scalar counts as absent."""
    if isinstance(value, bool) or value is None:
        return ""
    return str(value) if isinstance(value, (str, int, float)) else ""


def as_file(*rules: Rule, clock: float = 0) -> str:
    """A rule file of just these rules, in their groups and order.

    Args:
        clock: what time it is where they are tried, as in `promql_clock`.
    """
    groups: dict[int, dict[str, Any]] = {}
    for rule in sorted(rules, key=lambda each: each.place):
        group = groups.setdefault(rule.place[0], {"name": f"group {rule.place[0]}", "rules": []})
        told = replace(rule, expr=set_clock(rule.expr, clock)) if clock else rule
        group["rules"].append(told.as_rule())
    return json.dumps({"groups": list(groups.values())})


def selectors(rule: Rule, file: RuleFile) -> tuple[promql.Selector, ...] | promql.Unreadable:
    """What a rule takes in the end: recorded names are replaced by what their rules take."""
    expressions = readings(rule, file)
    if isinstance(expressions, promql.Unreadable):
        return expressions
    recorded = {each.record for each in file.recordings}
    found = (selector for expression in expressions for selector in expression.selectors())
    return tuple(dict.fromkeys(selector for selector in found if selector.metric not in recorded))


def readings(rule: Rule, file: RuleFile) -> tuple[promql.Expression, ...] | promql.Unreadable:
    """The rule's expression, and those of the recording rules that it uses, directly or through others."""
    own = promql.read(rule.expr)
    if isinstance(own, promql.Unreadable):
        return own
    return (own, *_recorded(own, file, set(), MAX_RECORDED))


def _recorded(
    expression: promql.Expression, file: RuleFile, seen: set[str], depth: int
) -> Iterator[promql.Expression]:
    """What it uses, each once: rules that use one another many times over fan out without end."""
    names = {selector.metric for selector in expression.selectors()} - seen
    seen |= names
    used = [rule for rule in file.recordings if rule.record in names]
    for rule in used[:MAX_RECORDED] if depth else ():
        inner = promql.read(rule.expr)
        if isinstance(inner, promql.Expression):
            yield inner
            yield from _recorded(inner, file, seen, depth - 1)


def complaints(source: SourceFile, file: RuleFile) -> list[Finding]:
    """What Prometheus would reject, as far as reading shows."""
    found = [
        Finding(message=f"duplicate key {key}", where=source.where(line))
        for document in (source.yaml if not isinstance(source.yaml, Problem) else ())[:1]
        for key, line in document.duplicates
    ]
    found += _unknown_keys(source) if file.grouped else [Finding(message=NO_GROUPS, where=source.name)]
    for rule in file.rules:
        read_expr = promql.read(rule.expr)
        if isinstance(read_expr, promql.Unreadable):
            found.append(
                Finding(message=f"{rule.alert or rule.record}: {read_expr.message}", where=rule.where)
            )
        if rule.duration and promql.seconds(rule.duration) is None:
            found.append(
                Finding(
                    message="`for` is not a duration",
                    expected="5m",
                    actual=rule.duration[:50],
                    where=rule.where,
                )
            )
    return found


_KEYS: dict[str, frozenset[str]] = {
    "file": frozenset({"groups"}),
    "group": frozenset(
        {"name", "interval", "query_offset", "limit", "rules", "labels", "partial_response_strategy"}
    ),
    "rule": frozenset({"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}),
}


def _unknown_keys(source: SourceFile) -> list[Finding]:
    if isinstance(source.yaml, Problem) or not source.yaml:
        return []
    document = source.yaml[0]
    found: list[Finding] = []
    for kind, place, data in _mappings(document.data):
        where = source.where(document.line(*place))
        if not isinstance(data, dict):
            found.append(Finding(message=f"a {kind} must be a mapping", where=where))
            continue
        unknown = [str(key)[:50] for key in data if key not in _KEYS[kind]]
        found += [Finding(message=f"a {kind} has no field `{key}`", where=where) for key in unknown]
        if kind == "group" and not data.get("name"):
            found.append(Finding(message="a group needs a name", where=where))
        if kind == "rule" and bool(data.get("alert")) == bool(data.get("record")):
            found.append(Finding(message="a rule is either an alert or a recording rule", where=where))
    return found


def _mappings(data: Any) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    yield "file", (), data
    for number, group in enumerate(data.get("groups") or ()):
        yield "group", ("groups", number), group
        rules = group.get("rules") if isinstance(group, dict) else None
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            yield "rule", ("groups", number, "rules", index), rule
