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


@check("prometheus.valid", evidence=Evidence.RUNS, tools=("promtool",), falls_back=True)
def valid(context: Context, *, file: Deliverable) -> Outcome:
    """Prometheus loads the rule file, which has at least one alert."""
    source = context.submission.deliverable(file)
    if source is None:
        return failed(Finding(message="the alert rules file is missing"))
    rules = _rules(context, source)
    if isinstance(rules, Problem):
        return _unreadable(rules)
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


@check("prometheus.alert", evidence=Evidence.RUNS, tools=("promtool",), falls_back=True, rule=_has_a_quantile)
def alert_does(context: Context, *, scenario: Alert, shows: Literal["fires", "quiet", "quantile"]) -> Outcome:
    """An alert `fires` when it should, stays `quiet` when it should, or uses the required `quantile`.

    It fires well over the threshold once that has lasted its time; it stays quiet well under it and until
    then.

    Args:
        shows: which of these to check.
    """
    key = ("prometheus.verdict", scenario)
    found = context.memo.once(key, lambda: _verdict(context, scenario))
    return found if isinstance(found, Outcome) else _outcome(found, shows)


def _verdict(context: Context, spec: Alert) -> Verdict | Outcome:
    source = context.submission.deliverable(spec.file)
    if source is None:
        return failed(Finding(message="the alert rules file is missing"))
    rules = _rules(context, source)
    if isinstance(rules, Problem):
        return _unreadable(rules)
    alerts = rules.alerts(spec.alert)
    if not alerts:
        names = ", ".join(sorted({rule.alert for rule in rules.rules if rule.alert})[:10]) or "no alert"
        return failed(
            Finding(
                message=f"there is no alert {spec.alert}",
                expected=spec.alert,
                actual=names[:300],
                where=source.name,
            ),
            cause=f"no alert {spec.alert}",
        )
    promtool = context.tools.find("promtool")
    accepted = promtool is not None and _checked(context, source)[0]
    found = [verdict(rule, rules, spec, promtool, valid=accepted) for rule in alerts]
    return max(found, key=lambda each: each.worth)


def _outcome(found: Verdict, shows: str) -> Outcome:
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


def _rules(context: Context, source: SourceFile) -> RuleFile | Problem:
    return context.memo.once(("prometheus.rules", source.name), lambda: alert_rules.read(source))


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
