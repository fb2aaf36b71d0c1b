"""Prometheus alerts: whether a rule file is valid, and when its alerts fire.

With promtool an alert is tried on series made for its expression; without, the expression is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from grader.check import Deliverable, check
from grader.checks.prometheus import facts as alert_rules
from grader.checks.prometheus.judgement import Verdict, verdict
from grader.checks.prometheus.promtool import check_rules
from grader.checks.prometheus.scenarios import Alert
from grader.documents import Problem, SourceFile
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from grader.checks.prometheus.facts import RuleFile
    from grader.context import Context

_READ = Finding(message="promtool is not installed on this machine, so the rules were read but not tested")


def _rules(context: Context, *, file: Deliverable) -> RuleFile | Outcome:
    """The rules of the file, however broken the rest of it is."""
    rules = alert_rules.read(context.deliverable(file))
    return _unreadable(rules) if isinstance(rules, Problem) else rules


@check("prometheus.valid", reads=_rules, evidence=Evidence.RUNS, tools=("promtool",), falls_back=True)
def valid(context: Context, rules: RuleFile, *, file: Deliverable) -> Outcome:
    """Prometheus loads the rule file, which has at least one alert."""
    source = context.deliverable(file)
    if not any(rule.alert for rule in rules.rules):
        return failed(Finding(message="the file has no alert", where=source.name))
    if not rules.grouped:
        return failed(Finding(message=alert_rules.NO_GROUPS, where=source.name))
    if context.tools.find("promtool") is None:
        return _read_validity(source, rules)
    accepted, said = _checked(context, source)
    if accepted:
        return passed()
    lines = [line.strip() for line in said.splitlines() if line.strip() not in ("", "FAILED:")]
    return failed(
        Finding(
            message="Prometheus rejects the file",
            actual=lines[0][:500] if lines else "",
            where=source.name,
            detail="\n".join(lines[1:])[:3000],
        )
    )


def _has_a_quantile(given: Any) -> None:
    if given.shows == "quantile" and given.scenario.watches != "latency":
        raise ValueError(f"an alert on a {given.scenario.watches} has no quantile; only one on a latency has")


def _verdict(context: Context, *, scenario: Alert) -> Verdict | Outcome:
    """What trying or reading the alert came to; the best of several with its name."""
    rules = _rules(context, file=scenario.file)
    if isinstance(rules, Outcome):
        return rules
    source, alerts = context.deliverable(scenario.file), rules.alerts(scenario.alert)
    if not alerts:
        names = ", ".join(sorted({rule.alert for rule in rules.rules if rule.alert})[:10]) or "no alert"
        return failed(
            Finding(
                message=f"there is no alert {scenario.alert}",
                expected=scenario.alert,
                actual=names[:300],
                where=source.name,
            ),
            cause=f"no alert {scenario.alert}",
        )
    promtool = context.tools.find("promtool")
    accepted = promtool is not None and _checked(context, source)[0]
    found = [verdict(rule, rules, scenario, promtool, valid=accepted) for rule in alerts]
    return max(found, key=lambda each: each.worth)


@check(
    "prometheus.alert",
    reads=_verdict,
    evidence=Evidence.RUNS,
    tools=("promtool",),
    falls_back=True,
    rule=_has_a_quantile,
)
def alert_does(_: Context, found: Verdict, *, shows: Literal["fires", "quiet", "quantile"]) -> Outcome:
    """An alert `fires` when it should, stays `quiet` when it should, or uses the required `quantile`.

    It fires well over the threshold once that has lasted its time; it stays quiet well under it and until
    then.

    Args:
        shows: which of these to check.
    """
    answer = {"fires": found.fires, "quiet": found.quiet, "quantile": found.quantile}[shows]
    evidence = Evidence.RUNS if found.tried else Evidence.STATIC
    remarks = () if found.tried else (_READ,)
    if answer is None:
        reason = found.why[shows].message if found.tried else "only promtool can tell whether the alert fires"
        return unverified(reason)
    if answer:
        return passed(*remarks, evidence=evidence)
    why = found.why[shows]
    shared = sum(each == why for each in found.why.values()) > 1
    return failed(why, *remarks, evidence=evidence, cause=f"{why.where} {why.message}" if shared else "")


def _unreadable(problem: Problem) -> Outcome:
    return failed(problem.finding(expected="a Prometheus rule file"), cause=f"{problem.path} is unreadable")


def _checked(context: Context, source: SourceFile) -> tuple[bool, str]:
    """Whether promtool accepts the file, and its output."""
    promtool = context.tools.require("promtool")

    def ask() -> tuple[bool, str]:
        accepted, said = check_rules(promtool, source.absolute)
        if not accepted and (older := alert_rules.for_older(source)):
            return check_rules(promtool, older)
        return accepted, said

    return context.memo.once(("prometheus.checked", source.name), ask)


def _read_validity(source: SourceFile, rules: RuleFile) -> Outcome:
    """Validity as far as reading goes: every rule has an expression that parses, durations are durations."""
    complaints = alert_rules.complaints(source, rules)
    if complaints:
        return failed(*complaints[:5], _READ, evidence=Evidence.STATIC)
    return passed(_READ, evidence=Evidence.STATIC)


CHECKS = (valid, alert_does)
