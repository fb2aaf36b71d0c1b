"""The verdict on one alert: what it does in every scenario, tried with promtool or read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.checks.prometheus import facts as alert_rules
from grader.checks.prometheus import promql
from grader.checks.prometheus import static as alert_reading
from grader.checks.prometheus.clock import draw_clock
from grader.checks.prometheus.promtool import Promtool, check_rules
from grader.checks.prometheus.scenarios import (
    AT_ALL,
    Alert,
    Tried,
    at_all_scenario,
    quantile_scenarios,
    scenarios,
    worlds,
)
from grader.checks.prometheus.series import draw_service
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from grader.checks.prometheus.facts import Rule, RuleFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an alert does. An answer is None where nothing could tell."""

    where: str
    fires: bool | None
    quiet: bool | None
    quantile: bool | None = None
    why: dict[str, Finding]
    """For what it does not do (`fires`, `quiet`, `quantile`), a finding; the same for the same mistake."""
    tried: bool
    """Whether promtool ran it; otherwise it was read."""

    @property
    def worth(self) -> tuple[int, int]:
        """For choosing among several: firing first, since nothing counts without."""
        return int(self.fires is True), int(self.quiet is True) + int(self.quantile is True)


def verdict(rule: Rule, file: RuleFile, spec: Alert, promtool: Path | None, *, valid: bool) -> Verdict:
    """Try an alert, or read it where there is no promtool.

    Args:
        valid: promtool accepts the whole file, so this rule needs no look on its own.
    """
    if isinstance(own := promql.read(rule.expr), promql.Unreadable) and own.too_long:
        # No question of the exam takes a tenth of that, and tools take for ever over what is longer.
        return _lost(rule, Finding(message=f"the expression of {spec.alert} was not tested: {own.message}"))
    refused = "" if valid or promtool is None else _refused(promtool, rule)
    if refused:
        lost = _lost(rule, Finding(message=f"{spec.alert} is not a valid rule", actual=_last(refused)))
        if not rule.duration or spec.watches != "latency":
            return lost
        # How long it waits has no say in which quantile it takes.
        at_once = verdict(replace(rule, duration=""), file, spec, promtool, valid=False)
        why = {**lost.why, "quantile": at_once.why["quantile"]}
        return replace(lost, quantile=at_once.quantile, why=why)
    selectors = alert_rules.selectors(rule, file)
    if isinstance(selectors, promql.Unreadable):
        if promtool is None or not rule.expr:
            return _lost(
                rule,
                Finding(message=f"the expression of {spec.alert} cannot be read", actual=selectors.message),
            )
        return _open(rule, f"the expression of {spec.alert} could not be read: {selectors.message}")
    if spec.metric and spec.metric not in {each.metric for each in selectors}:
        return _lost(rule, _other_metric(spec, selectors))
    if promtool is None:
        return _read(rule, file, spec)
    return _tried(rule, file, spec, promtool, selectors, valid=valid)


def _tried(
    rule: Rule,
    file: RuleFile,
    spec: Alert,
    promtool: Path,
    selectors: Sequence[promql.Selector],
    *,
    valid: bool,
) -> Verdict:
    recordings = [each for each in file.recordings if valid or not _refused(promtool, each)]
    clock = draw_clock()
    tried = Tried(
        rules=alert_rules.as_file(rule, *recordings, clock=clock),
        selectors=tuple(selectors),
        grouping=_grouping(rule, file),
        service=draw_service(),
    )
    tool = Promtool(promtool, spec.alert)
    found = _best(_in_worlds(tool, spec, tried))
    at_once = replace(tried, rules=alert_rules.as_file(replace(rule, duration=""), *recordings, clock=clock))
    wrong = _wrong_quantile(tool, spec, at_once)
    why = {name: _why(name, rule, spec, found, tool.refusal) for name in ("fires", "quiet")}
    why["quantile"] = _why_no_quantile(rule, spec, wrong or "")
    fires, quiet = found["lasting 0"] and found["burst 1"], found["burst 0"] and found["under 0"]
    # A gauge has no more than two values: however late it fires, it fires at all.
    if not fires and quiet and not _fires_at_all(tool, spec, at_once if spec.watches == "value" else tried):
        quiet = False
        why["quiet"] = why["fires"] = _why_never(spec, why["fires"])
    return Verdict(
        where=rule.where,
        fires=fires,
        quiet=quiet,
        quantile=None if wrong is None else not wrong,
        why=why,
        tried=True,
    )


def _in_worlds(tool: Promtool, spec: Alert, tried: Tried) -> Iterator[dict[str, bool]]:
    """For each world, which questions were answered as they should be, up to the first that is all right."""
    for world in worlds(spec, tried.selectors):
        asked = scenarios(spec, tried, world)
        answers = tool.ask(asked)
        found = {
            f"{each.name} {number}": answers.right(each.name, number, expected=question.expected)
            for each in asked
            for number, question in enumerate(each.questions)
        }
        yield found
        if all(found.values()):
            return


def _best(found: Iterator[dict[str, bool]]) -> dict[str, bool]:
    return max(found, key=lambda each: (each["lasting 0"] and each["burst 1"], sum(each.values())))


def _fires_at_all(tool: Promtool, spec: Alert, tried: Tried) -> bool:
    """Staying quiet is no merit of an alert that never fires."""
    for world in worlds(spec, tried.selectors):
        asked = at_all_scenario(spec, tried, world)
        if tool.ask([asked]).right(asked.name, 0, expected=True):
            return True
    return False


def _wrong_quantile(tool: Promtool, spec: Alert, at_once: Tried) -> str | None:
    """Why it does not take the wanted quantile of buckets; how long it waits is another question."""
    if spec.watches != "latency":
        return None
    if not _has_buckets(at_once.selectors):
        return "uses no histogram buckets (a `_bucket` series)"
    wrong = ""
    for world in worlds(spec, at_once.selectors, any_unit=True):
        asked = quantile_scenarios(spec, at_once, world)
        answers = tool.ask(asked)
        if not answers.right("slow", 0, expected=True):
            wrong = wrong or f"does not fire although {spec.slow:.0%} of requests are much too slow"
        elif not answers.right("few", 0, expected=False):
            wrong = f"fires although only {spec.rare:.0%} of requests are too slow"
        else:
            return ""
    return wrong


def _read(rule: Rule, file: RuleFile, spec: Alert) -> Verdict:
    expression = promql.read(rule.expr)
    if isinstance(expression, promql.Unreadable):
        return _lost(rule, Finding(message=f"the expression of {spec.alert} cannot be read"))
    recorded = [each for each in file.recordings if each.record == rule.expr.split(" ", 1)[0]]
    read = alert_reading.read(expression, rule.duration, spec) if not recorded else alert_reading.Reading()
    why = {
        name: Finding(message=message, expected=_asked(spec), actual=rule.expr[:300], where=rule.where)
        for name, message in (
            ("fires", f"{spec.alert}, as written, does not fire when it should"),
            ("quiet", f"{spec.alert}, as written, does not stay quiet when it should"),
            ("quantile", f"{spec.alert} uses another quantile"),
        )
    }
    return Verdict(
        where=rule.where, fires=read.fires, quiet=read.quiet, quantile=read.quantile, why=why, tried=False
    )


def _refused(promtool: Path, rule: Rule) -> str:
    """What promtool has against a rule that stands alone, empty where nothing."""
    accepted, said = check_rules(promtool, alert_rules.as_file(rule))
    return "" if accepted else said or "promtool rejects it"


def _grouping(rule: Rule, file: RuleFile) -> frozenset[str]:
    readings = alert_rules.readings(rule, file)
    if isinstance(readings, promql.Unreadable):
        return frozenset()
    return frozenset().union(*(expression.grouping() for expression in readings))


def _has_buckets(selectors: Sequence[promql.Selector]) -> bool:
    return any(
        each.metric.endswith("_bucket") or any(matcher.label == "le" for matcher in each.matchers)
        for each in selectors
    )


def _lost(rule: Rule, finding: Finding) -> Verdict:
    finding = replace(finding, where=rule.where, detail=finding.detail or rule.expr[:1000])
    why = dict.fromkeys(("fires", "quiet", "quantile"), finding)
    return Verdict(where=rule.where, fires=False, quiet=False, quantile=False, why=why, tried=True)


def _open(rule: Rule, reason: str) -> Verdict:
    why = dict.fromkeys(("fires", "quiet", "quantile"), Finding(message=reason, where=rule.where))
    return Verdict(where=rule.where, fires=None, quiet=None, quantile=None, why=why, tried=True)


def _other_metric(spec: Alert, selectors: Sequence[promql.Selector]) -> Finding:
    seen = ", ".join(sorted({each.metric for each in selectors} - {""})) or "no metric"
    return Finding(message=f"{spec.alert} does not use {spec.metric}", expected=spec.metric, actual=seen)


def _asked(spec: Alert) -> str:
    level = {
        "rate": f"a rate of {spec.metric} over {spec.threshold:g} per second",
        "latency": f"a {spec.quantile:.0%} quantile over {spec.threshold:g} s",
        "value": f"{spec.metric} == {spec.bad:g}",
    }[spec.watches]
    return f"{level} for {spec.after:g} s"


def _why(name: str, rule: Rule, spec: Alert, found: dict[str, bool], refusal: str) -> Finding:
    bad = {
        "rate": f"{spec.metric} grows by {spec.over:g} per second",
        "latency": f"every request takes {spec.over:g} s",
        "value": f"{spec.metric} is {spec.bad:g}",
    }[spec.watches]
    good = {
        "rate": f"{spec.metric} grows by {spec.under:.2g} per second",
        "latency": f"every request takes {spec.under:.2g} s",
        "value": f"{spec.metric} is {spec.good:g}",
    }[spec.watches]
    if refusal:
        message = f"{spec.alert} cannot be evaluated on the time series that it selects"
    elif name == "fires":
        lasting = "for half an hour" if not found["lasting 0"] else f"for a little more than {spec.after:g} s"
        message = f"{spec.alert} does not fire although {bad} {lasting}"
    elif not found["under 0"]:
        message = f"{spec.alert} fires although {good}"
    else:
        message = f"{spec.alert} fires before the condition has lasted {spec.after:g} s"
    written = f"{rule.expr[:300]}" + (f" for {rule.duration}" if rule.duration else " without `for`")
    return Finding(
        message=message, expected=_asked(spec), actual=written, where=rule.where, detail=_last(refusal)
    )


def _why_never(spec: Alert, why: Finding) -> Finding:
    """The finding on an alert that does not fire at all, if it can be evaluated."""
    if why.detail:
        return why
    bad = {
        "rate": f"{spec.metric} grows by {AT_ALL * spec.threshold:g} a second",
        "latency": f"every request takes {AT_ALL * spec.threshold:g} s",
        "value": f"{spec.metric} is {spec.bad:g}",
    }[spec.watches]
    message = f"{spec.alert} never fires, even if {bad} for {AT_ALL * spec.after / 60:g} minutes"
    return replace(why, message=message)


def _why_no_quantile(rule: Rule, spec: Alert, wrong: str) -> Finding:
    wanted = f"the {spec.quantile:.0%} quantile of the rates of a histogram's buckets"
    return Finding(message=f"{spec.alert} {wrong}", expected=wanted, actual=rule.expr[:300], where=rule.where)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "FAILED" not in line]
    return lines[-1][:500] if lines else ""
