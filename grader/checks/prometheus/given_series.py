"""Rules tried on series that an exam's author gives, in the notation of `promtool test rules`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from grader.check import Deliverable, Example, Parameters, check
from grader.checks.generic.expectations import Expect, Real
from grader.checks.generic.values import Document, JsonPath, Quantifier, judge
from grader.checks.prometheus import facts as alert_rules
from grader.checks.prometheus import promql
from grader.checks.prometheus.promtool import Promtool, Question, Trial, check_rules
from grader.documents import Problem
from grader.readers.plain_data import as_json
from grader.results import Evidence, Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from grader.checks.prometheus.facts import Rule, RuleFile
    from grader.context import Context
    from grader.documents import SourceFile

MAX_SAMPLES = 50_000
MAX_SECONDS = 60 * 24 * 3600
_SERIES = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?", re.ASCII | re.DOTALL)
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Inf|inf)"
_ITEM = re.compile(rf"(?:_(?:x(\d{{1,6}}))?|stale|NaN|{_NUMBER}(?:[+-]\d+(?:\.\d*)?)?(?:x(\d{{1,6}}))?)")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)


def _is_a_duration(text: str) -> str:
    seconds = promql.seconds(text)
    if seconds is None or seconds > MAX_SECONDS:
        raise ValueError(f"{text!r} is not a Prometheus duration of at most 60d; write 5m, 90s or 1h30m")
    return text


def _is_a_label(name: str) -> str:
    if _LABEL.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a label of Prometheus")
    return name


def _is_a_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a name of a metric")
    return name


Duration = Annotated[str, AfterValidator(_is_a_duration)]
Label = Annotated[str, AfterValidator(_is_a_label)]


class Series(Parameters):
    """A series of samples, in the notation of `promtool test rules`."""

    series: str
    """The metric with its labels: `errors_total{job="api"}`."""
    values: str
    """Samples, one an interval: `0+60x10 _x5 3 stale`; `a+bxn` is a, and n more that grow by b each."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Series:
        expression = promql.read(self.series) if _SERIES.fullmatch(self.series) else None
        if not isinstance(expression, promql.Expression) or len(expression.selectors()) != 1:
            raise ValueError(f'{self.series!r} is not a series; write name or name{{label="value"}}')
        for item in self.values.split() or [""]:
            if _ITEM.fullmatch(item) is None:
                raise ValueError(f"{item!r} is not in promtool's notation; write 5, 0+60x10, _x5 or stale")
        if self.length > MAX_SAMPLES:
            raise ValueError(f"the series has {self.length:,} samples; at most {MAX_SAMPLES:,} are possible")
        return self

    @property
    def length(self) -> int:
        """Samples and gaps."""
        found = [_ITEM.fullmatch(item) for item in self.values.split()]
        return sum(int(each[1] or each[2] or 0) + 1 for each in found if each is not None)


class Moment(Parameters):
    """A time at which an alert is looked at."""

    at: Duration
    """When, counted from the first sample."""
    firing: bool = True
    """Whether it must fire then, or must not."""
    labels: dict[Label, str] = Field(default={})
    """Labels that the firing alert must have, of the rule or of the series."""


class Value(Parameters):
    """A value that a recording rule must give."""

    at: Duration
    """When, counted from the first sample."""
    value: Real
    """The value."""
    tolerance: Annotated[Real, Field(ge=0)] = 1e-6
    """How far it may be off."""
    labels: dict[Label, str] = Field(default={})
    """Labels of the recorded series; other labels do not matter, but one series alone must have these."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """A rule file, and where it is."""

    source: SourceFile
    file: RuleFile


def _rules(context: Context, *, file: Deliverable) -> _Rules | Finding:
    """The rules of the file."""
    source = context.deliverable(file)
    rules = alert_rules.read(source)
    if isinstance(rules, Problem):
        return rules.finding("a Prometheus rule file")
    return _Rules(source, rules)


_FILE = """\
groups:
- name: disk
  rules:
  - record: disk:free:ratio
    expr: disk_free_bytes / disk_size_bytes
  - alert: DiskWillFill
    expr: predict_linear(disk_free_bytes[1h], 4 * 3600) < 0
    for: 10m
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.device }} will be full in four hours"}
"""
_DELIVERABLE = "deliverables: {rules: {path: disk.rules.yml}}"


def _fits(given: Any) -> None:
    interval = promql.seconds(given.interval) or 0.0
    if not interval or not interval.is_integer():
        raise ValueError("the interval must be whole seconds, at least 1s")
    steps = max(promql.seconds(each.at) or 0 for each in given.expect) / interval
    if steps > MAX_SAMPLES:
        raise ValueError(f"there are {steps:,.0f} intervals until then; at most {MAX_SAMPLES:,} are possible")


@check(
    "prometheus.fires",
    reads=_rules,
    evidence=Evidence.RUNS,
    tools=("promtool",),
    rule=_fits,
    example=Example(
        rubric=f"""
            {_DELIVERABLE}
            check: prometheus.fires
            with:
              file: rules
              alert: DiskWillFill
              interval: 1m
              series:
                - {{series: 'disk_free_bytes{{device="sda"}}', values: '1000x60 1000-10x60'}}
              expect:
                - {{at: 50m, firing: false}}
                - {{at: 1h58m, labels: {{severity: warning, device: sda}}}}
        """,
        files={"disk.rules.yml": _FILE},
    ),
)
def prometheus_fires(
    context: Context,
    rules: _Rules,
    *,
    alert: str,
    series: tuple[Series, ...] = (),
    interval: Duration = "1m",
    expect: Annotated[tuple[Moment, ...], Field(min_length=1)],
) -> Outcome:
    """An alert fires at the times at which it must, on these series, and at no other of these times.

    So thresholds, `absent`, `predict_linear`, burn rates over several windows and what recording rules feed
    are tried as they are: nothing need be said about how the expression is written.

    Args:
        alert: the alert's name; of several of one name, any may fire.
        series: what Prometheus has scraped; nothing else exists.
        interval: time between samples, and between evaluations.
        expect: times and what must be so then.
    """
    alerts = rules.file.alerts(alert)
    if not alerts:
        names = ", ".join(sorted({rule.alert for rule in rules.file.rules if rule.alert})[:10])
        return failed(
            Finding(
                message=f"there is no alert {alert}",
                expected=alert,
                actual=names[:300] or "no alert",
                where=rules.source.name,
            ),
            cause=f"no alert {alert}",
        )
    questions = tuple(
        Question(_seconds(each.at), ever=False, expected=each.firing, expr=_firing(alert, each.labels))
        for each in expect
    )
    answers, refusal = _ask(context, rules, alerts, alert, series, interval, questions)
    findings = []
    for moment, answer in zip(expect, answers, strict=True):
        if answer is moment.firing:
            continue
        labels = f" with {json.dumps(moment.labels)}" if moment.labels else ""
        state = "fires" if moment.firing else "does not fire"
        findings.append(
            Finding(
                message=(
                    f"Prometheus cannot evaluate the alert {alert}"
                    if answer is None
                    else f"{alert} {'fires' if answer else 'does not fire'}{labels} after {moment.at}"
                ),
                expected=f"{alert} {state}{labels} after {moment.at}",
                where=alerts[0].where,
                detail=_shown(series, interval) if answer is not None else refusal[-1000:],
            )
        )
    return failed(*findings[:3]) if findings else passed()


@check(
    "prometheus.records",
    reads=_rules,
    evidence=Evidence.RUNS,
    tools=("promtool",),
    rule=_fits,
    example=Example(
        rubric=f"""
            {_DELIVERABLE}
            check: prometheus.records
            with:
              file: rules
              record: disk:free:ratio
              series:
                - {{series: 'disk_free_bytes{{device="sda"}}', values: '25x10'}}
                - {{series: 'disk_size_bytes{{device="sda"}}', values: '100x10'}}
              expect: [{{at: 5m, labels: {{device: sda}}, value: 0.25}}]
        """,
        files={"disk.rules.yml": _FILE},
    ),
)
def prometheus_records(
    context: Context,
    rules: _Rules,
    *,
    record: Annotated[str, AfterValidator(_is_a_name)],
    series: tuple[Series, ...] = (),
    interval: Duration = "1m",
    expect: Annotated[tuple[Value, ...], Field(min_length=1)],
) -> Outcome:
    """A recording rule gives these values on these series.

    Args:
        record: the name of what it records.
        series: what Prometheus has scraped; nothing else exists.
        interval: time between samples, and between evaluations.
        expect: times and the values that must be there then.
    """
    recording = [rule for rule in rules.file.recordings if rule.record == record]
    if not recording:
        names = ", ".join(sorted({rule.record for rule in rules.file.recordings})[:10])
        return failed(
            Finding(
                message=f"no rule records {record}",
                expected=f"record: {record}",
                actual=names[:300] or "no recording rule",
                where=rules.source.name,
            )
        )
    questions = tuple(
        Question(_seconds(each.at), ever=False, expected=True, expr=_recorded(record, each))
        for each in expect
    )
    answers, refusal = _ask(context, rules, (), "Control", series, interval, questions)
    for value, answer in zip(expect, answers, strict=True):
        if answer is True:
            continue
        labels = f" with {json.dumps(value.labels)}" if value.labels else ""
        near = f"{value.value:g}, give or take {value.tolerance:g}"
        return failed(
            Finding(
                message=(
                    f"Prometheus cannot evaluate the rule of {record}"
                    if answer is None
                    else f"{record}{labels} has another value after {value.at}, or is not one series"
                ),
                expected=f"{near}, from one series",
                where=recording[0].where,
                detail=_shown(series, interval) if answer is not None else refusal[-1000:],
            )
        )
    return passed()


@check(
    "prometheus.rule",
    reads=_rules,
    example=Example(
        rubric=f"""
            {_DELIVERABLE}
            check: prometheus.rule
            with:
              file: rules
              alert: DiskWillFill
              path: $.annotations.summary
              expect: {{contains: $labels.device}}
        """,
        files={"disk.rules.yml": _FILE},
    ),
)
def prometheus_rule(
    _: Context,
    rules: _Rules,
    *,
    alert: str = "",
    record: str = "",
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a rule is as expected: its labels, its annotations, its `for`.

    Args:
        alert: the alert's name; any alert, if neither this nor `record` is given.
        record: what the rule records, for a recording rule.
        path: a JSONPath from the rule, such as `$.labels.severity`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    documents = rules.source.yaml
    assert not isinstance(documents, Problem)  # noqa: S101  (its rules were read)
    found = []
    for rule in rules.file.rules:
        if (rule.record != record) if record else (not rule.alert or alert not in ("", rule.alert)):
            continue
        place = ("groups", rule.place[0], "rules", rule.place[1])
        data: Any = documents[0].data
        for key in place if rules.file.grouped else ():
            data = data[key]
        if rules.file.grouped:
            found.append(Document(rules.source, as_json(data), documents[0], place))
    if not found:
        what = f"no rule records {record}" if record else f"there is no alert {alert}".strip()
        return failed(Finding(message=what, where=rules.source.name))
    return judge(tuple(found), path, expect, quantifier)


def _seconds(duration: str) -> int:
    return int(promql.seconds(duration) or 0)


def _ask(
    context: Context,
    rules: _Rules,
    alerts: Sequence[Rule],
    alert: str,
    series: Sequence[Series],
    interval: str,
    questions: tuple[Question, ...],
) -> tuple[tuple[bool | None, ...], str]:
    program = context.tools.require("promtool")
    trial = Trial(
        name="given",
        rules=_rule_file(program, rules, alerts),
        series=[{"series": each.series, "values": each.values} for each in series],
        questions=questions,
        interval=_seconds(interval),
    )
    tool = Promtool(program, alert)
    given = tool.ask([trial]).given.get("given", ())
    return (*given, *([None] * (len(questions) - len(given)))), tool.refusal


def _rule_file(program: Path, rules: _Rules, alerts: Sequence[Rule]) -> str:
    """The whole file as it is; where Prometheus rejects that, what it accepts of its recording rules too."""
    documents = rules.source.yaml
    if rules.file.grouped and not isinstance(documents, Problem):
        whole = json.dumps({"groups": as_json(documents[0].data).get("groups")})
        if check_rules(program, whole)[0]:
            return whole
    recordings = [
        each for each in rules.file.recordings if check_rules(program, alert_rules.as_file(each))[0]
    ]
    return alert_rules.as_file(*alerts, *recordings)


def _matchers(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())


def _firing(alert: str, labels: Mapping[str, str]) -> str:
    matchers = _matchers({"alertname": alert, "alertstate": "firing", **labels})
    return f"(count(ALERTS{{{matchers}}}) > bool 0) or vector(0)"


def _recorded(record: str, value: Value) -> str:
    found = f"{record}{{{_matchers(value.labels)}}}"
    near = f"(abs(sum({found}) - {value.value!r}) <= bool {value.tolerance!r})"
    return f"({near} * (count({found}) == bool 1)) or vector(0)"


def _shown(series: Sequence[Series], interval: str) -> str:
    lines = [f"{each.series}  {each.values}"[:200] for each in series[:10]]
    return "\n".join([f"series, one sample each {interval}:", *lines] if lines else ["with no series at all"])


CHECKS = (prometheus_fires, prometheus_records, prometheus_rule)
