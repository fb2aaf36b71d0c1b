from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader import command as process
from grader.checks.prometheus import checks as prometheus
from grader.checks.prometheus import facts as alert_rules
from grader.checks.prometheus import promql, promtool
from grader.checks.prometheus.facts import complaints, read
from grader.checks.prometheus.promtool import Promtool, Question, Trial, check_rules
from grader.documents import Problem
from grader.errors import GraderFault
from grader.exam.bundled import RUBRICS
from grader.results import Evidence, Outcome
from grader.tools import Tools
from tests.builders import decide, make_context, make_submission
from tests.checks.live import parts

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_TOOLS = frozenset({"promtool"})
RATE, LATENCY, MODEL = "HighErrorRate", "HighLatency", "ModelNotLoaded"
P95 = "histogram_quantile(0.95, sum by (le) (rate(x_seconds_bucket[5m])))"
needs_promtool = pytest.mark.skipif(
    Tools().find("promtool") is None, reason="promtool is not on this machine"
)


@cache
def asked() -> dict[str, dict[str, dict[str, Any]]]:
    """Alert -> what is asked of it -> the parameters, as the rubric has them."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for part in parts("6.1"):
        if (scenario := part.parameters.get("scenario")) is not None:
            found.setdefault(scenario.alert, {})[part.parameters["shows"]] = dict(part.parameters)
    return found


def outcomes(
    root: Path, text: str, alert: str, without: frozenset[str] = frozenset()
) -> Mapping[str, Outcome]:
    context = make_context(root, {"alerts.yml": text}, deliverables={"alerts": "alerts.yml"}, without=without)
    return {shows: decide(prometheus.alert_does, context, **given) for shows, given in asked()[alert].items()}


def letters(found: Mapping[str, Outcome]) -> str:
    """Passed, Failed or Unverified, in the rubric's order."""
    return "".join(outcome.verdict[0].upper() for outcome in found.values())


def rules(alert: str, expr: str, wait: str = "5m", *more: dict[str, Any]) -> str:
    rule = {"alert": alert, "expr": expr} | ({"for": wait} if wait else {})
    return json.dumps({"groups": [{"name": "g", "rules": [*more, rule]}]})


def test_expressions_that_keep_promtool_busy_never_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda *_, **__: pytest.fail("promtool was asked"))
    minus = rules(RATE, "-" * 200_000 + "rate(http_errors_total[5m]) > 5")
    assert letters(outcomes(tmp_path, minus, RATE)) == "FF"
    many = json.dumps(
        {
            "groups": [
                {"name": "g", "rules": [{"alert": f"A{n}", "expr": "-" * 15_000 + "x"} for n in range(40)]}
            ]
        }
    )
    context = make_context(tmp_path / "many", {"alerts.yml": many}, deliverables={"alerts": "alerts.yml"})
    for text, root, said in (
        (minus, "one", f"the expression of {RATE} has 200,031 characters"),
        (many, "many", "the expressions have 600,040 characters in total"),
    ):
        context = make_context(tmp_path / root, {"alerts.yml": text}, deliverables={"alerts": "alerts.yml"})
        outcome = decide(prometheus.valid, context, file="alerts")
        assert [finding.message for finding in outcome.findings] == [said]


def tried(root: Path, alert: str, expr: str, wait: str = "5m") -> str:
    return letters(outcomes(root, rules(alert, expr, wait), alert))


def valid(root: Path, text: str | bytes, without: frozenset[str] = frozenset()) -> Outcome:
    context = make_context(root, {"alerts.yml": text}, deliverables={"alerts": "alerts.yml"}, without=without)
    return decide(prometheus.valid, context, file="alerts")


BROKEN = [
    "",
    "groups: []",
    "groups: {}",
    "[]",
    "groups: [null, 3, {rules: 4}, {rules: [null, [], 5]}]",
    "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, for: 5}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, when: 5m}]}]",
    "groups: [{name: g, rules: [{alert: A, record: b, expr: up}]}]",
    "groups: [{rules: [{alert: A, expr: up}]}]",
    "groups: [{name: g, rules: [{alert: A, alert: B, expr: up}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up}]}]",
    "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}",
    "alert: HighErrorRate\nexpr: up == 0",
    "groups: [&a {rules: [*a]}]",
    "\t- {",
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text)[:40])
@pytest.mark.parametrize(
    "without", [pytest.param(frozenset(), marks=needs_promtool), NO_TOOLS], ids=["tool", "read"]
)
def test_broken_files(tmp_path: Path, text: str | bytes, without: frozenset[str]) -> None:
    outcome = valid(tmp_path, text, without)
    assert outcome.verdict == "failed"
    assert outcome.findings[0].message
    for alert in (RATE, LATENCY, MODEL):
        context = make_context(
            tmp_path, {"alerts.yml": text}, deliverables={"alerts": "alerts.yml"}, without=without
        )
        for given in asked()[alert].values():
            assert decide(prometheus.alert_does, context, **given).verdict == "failed"


def test_no_file_at_all(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    assert decide(prometheus.valid, context, file="alerts").verdict == "failed"
    assert decide(prometheus.alert_does, context, **asked()[RATE]["fires"]).verdict == "failed"


@pytest.mark.parametrize(
    "without", [pytest.param(frozenset(), marks=needs_promtool), NO_TOOLS], ids=["tool", "read"]
)
def test_the_reference(tmp_path: Path, without: frozenset[str]) -> None:
    text = (RUBRICS.parent / "reference_solution/alerts.yml").read_text(encoding="utf-8")
    evidence = Evidence.STATIC if without else Evidence.RUNS
    assert valid(tmp_path, text, without).verdict == "passed"
    for alert, expected in ((RATE, "PP"), (LATENCY, "PPP"), (MODEL, "PP")):
        found = outcomes(tmp_path, text, alert, without)
        assert letters(found) == expected
        assert {outcome.evidence for outcome in found.values()} == {evidence}
        assert all(
            ("read but not tested" in str(outcome.findings)) == bool(without) for outcome in found.values()
        )


QUICK = [
    (RATE, "0.05 < irate(api_errors_total[1m])", "300s", "PP"),
    (RATE, "rate(api_errors_total[5m]) > 0.05", "", "PF"),
    (RATE, "rate(api_errors_total[5m]) > 0.5", "5m", "FP"),
    (RATE, "api_errors_total > 0.05", "5m", "PF"),
    (RATE, "rate(http_errors_total[5m]) > 0.05", "5m", "FF"),
    (RATE, "rate(api_errors_total) > 0.05", "5m", "FF"),
    (LATENCY, P95 + " > 1", "10m", "PFP"),
    (LATENCY, "histogram_quantile(0.95, x_seconds_bucket) > 1", "5m", "FFF"),
    (LATENCY, "histogram_quantile(0.95, rate(x_seconds[5m])) > 1", "5m", "FFF"),
    (MODEL, "min(model_loaded) < 1", "60s", "PP"),
    (MODEL, "absent(model_loaded)", "1m", "FF"),
    (MODEL, "model_loaded == 0", "", "PF"),
    (MODEL, "model_loaded == 0", "5m", "FP"),
]


@needs_promtool
@pytest.mark.parametrize(("alert", "expr", "wait", "expected"), QUICK)
def test_alerts_are_tried(tmp_path: Path, alert: str, expr: str, wait: str, expected: str) -> None:
    assert tried(tmp_path, alert, expr, wait) == expected


ERRORS = "sum(rate(api_errors_total[5m]))"
REQUESTS = "sum by (job) (rate(api_requests_total{job='exam-api'}[5m]))"
RIGHT = {
    RATE: [
        "sum(rate(api_errors_total[1m])) > 0.05",
        "increase(api_errors_total[5m]) > 15",
        "increase(api_errors_total[5m]) / 300 >= 0.05",
        "deriv(api_errors_total[5m]) > 0.05",
        "avg_over_time(rate(api_errors_total[1m])[5m:15s]) > 0.05",
        "sum(rate(api_errors_total[5m])) / sum(rate(api_requests_total[5m])) > 0.05",
        "rate(api_errors_total[5m]) / rate(http_request_duration_seconds_count[5m]) * 100 > 5",
        f"sum by (job) (rate(api_errors_total{{status=~'5..'}}[5m])) / on(job) group_left {REQUESTS} > 0.05",
        f"{ERRORS} / ({ERRORS} + sum(rate(api_success_total[5m]))) > 0.05",
        f"{ERRORS} / sum(rate(api_requests_total[5m])) > 0.05 and sum(rate(api_requests_total[5m])) > 10",
        "rate({__name__='api_errors_total', env!='dev'}[5m]) > 0.05 and on() up == 1",
    ],
    LATENCY: [
        "histogram_quantile(0.95, rate(x_duration_seconds_bucket[5m])) > 1",
        "1 < histogram_quantile(0.95, sum(irate(x_bucket{path=~'/predict|/x',le!=''}[1m])) by (le, path))",
        "histogram_quantile(0.95, sum by (le) (increase(x_latency_ms_bucket[5m]))) >= 1000",
        "histogram_quantile(0.95, sum by (le) (rate(x_latency_bucket[5m]))) > 1000",
        "sum(rate(x_seconds_bucket{le='1'}[5m])) / sum(rate(x_seconds_count[5m])) < 0.95",
        "1 - sum(rate(x_bucket{le='1.0'}[5m])) / sum(rate(x_bucket{le='+Inf'}[5m])) > 0.05",
        "histogram_quantile(0.95, sum without (instance) (rate(x_bucket[10m]))) > 1 and on() up == 1",
    ],
    MODEL: [
        "model_loaded{job='api'} != 1",
        "model_loaded == 0 or absent(model_loaded)",
        "count(model_loaded == 0) > 0",
        "1 - model_loaded > 0",
    ],
}
WRONG = [
    (RATE, "rate(api_errors_total[5m]) > 0.05", "4m", "PF"),
    (RATE, "rate(api_errors_total[5m]) > 0.05", "10m", "FP"),
    (RATE, "rate(api_errors_total[5m]) > 0.1", "5m", "FP"),
    (RATE, "rate(api_errors_total[5m]) > 5", "5m", "FP"),
    (RATE, "rate(api_errors_total[5m]) > 8", "5m", "FF"),
    (RATE, "rate(api_errors_total[5m]) > 5", "8h", "FP"),
    (RATE, "rate(api_errors_total[5m]) > 0.05", "12h", "FF"),
    (RATE, "rate(api_errors_total[5m]) > 0.01", "5m", "PF"),
    (RATE, "increase(api_errors_total[5m]) > 0.05", "5m", "PF"),
    (RATE, "rate(api_errors_total[5m]) < 0.05", "5m", "FF"),
    (RATE, "rate(api_errors_total[5m]) > bool 0.05", "5m", "PF"),
    (RATE, "api_errors_total / api_requests_total > 0.05", "5m", "FP"),
    (LATENCY, "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))) > 1", "5m", "FPP"),
    (LATENCY, "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) > 1", "5m", "FPP"),
    (LATENCY, "histogram_quantile(0.5, sum by (le) (rate(x_bucket[5m]))) > 1", "5m", "FPP"),
    (LATENCY, "histogram_quantile(95, sum by (le) (rate(x_bucket[5m]))) > 1", "5m", "FPF"),
    (LATENCY, "rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m]) > 1", "5m", "FPP"),
    (LATENCY, "histogram_quantile(0.95, sum(rate(x_bucket[5m]))) > 1", "5m", "FFF"),
    (LATENCY, "api_latency_seconds{quantile='0.95'} > 1", "5m", "FPP"),
    (LATENCY, P95 + " > 0.5", "5m", "PPF"),
    (LATENCY, P95 + " > 2", "5m", "PFP"),
    (LATENCY, P95 + " > 100", "5m", "PFP"),
    (LATENCY, P95 + " > 1000", "5m", "PFF"),
    (LATENCY, P95 + " > 1", "1d", "PFF"),
    (LATENCY, P95 + " > 1", "", "PPF"),
    (MODEL, "model_loaded == 0", "2m", "FP"),
    (MODEL, "model_loaded == 0", "1w", "FP"),
    (MODEL, "model_loaded < 0", "1m", "FF"),
    (MODEL, "model_loaded == 0", "30s", "PF"),
    (MODEL, "model_loaded == 1", "1m", "FF"),
    (MODEL, "model_loaded == bool 0", "1m", "PF"),
    (MODEL, "up{job='model_loaded'} == 0", "1m", "FF"),
]


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize(("alert", "expr"), [(alert, expr) for alert in RIGHT for expr in RIGHT[alert]])
def test_right_ones_however_written(tmp_path: Path, alert: str, expr: str) -> None:
    assert set(tried(tmp_path, alert, expr, "1m" if alert == MODEL else "5m")) == {"P"}


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize(("alert", "expr", "wait", "expected"), WRONG)
def test_wrong_ones(tmp_path: Path, alert: str, expr: str, wait: str, expected: str) -> None:
    assert tried(tmp_path, alert, expr, wait) == expected


@pytest.mark.parametrize(
    ("alert", "expr", "wait", "expected"),
    [
        *QUICK,
        *WRONG,
        *((alert, expr, "1m" if alert == MODEL else "5m", "PPP") for alert in RIGHT for expr in RIGHT[alert]),
    ],
)
def test_reading_never_contradicts_trying(
    tmp_path: Path, alert: str, expr: str, wait: str, expected: str
) -> None:
    found = letters(outcomes(tmp_path, rules(alert, expr, wait), alert, NO_TOOLS))
    median_or_so = "histogram_quantile(95" in expr
    assert median_or_so or all(read in ("U", trial) for read, trial in zip(found, expected, strict=False)), (
        found
    )


@needs_promtool
def test_recording_rules_of_the_same_file(tmp_path: Path) -> None:
    first = {"record": "job:errors", "expr": "sum by (job) (job:raw)", "labels": {"a": "b"}}
    second = {"record": "job:raw", "expr": "rate(api_errors_total[1m])"}
    assert letters(outcomes(tmp_path, rules(RATE, "job:errors > 0.05", "5m", second, first), RATE)) == "PP"


@needs_promtool
def test_each_rule_of_an_invalid_file_is_judged_alone(tmp_path: Path) -> None:
    broken = [{"alert": "B", "expr": "up ==", "x": 1}, {"record": "r", "expr": "rate(("}, 7, None]
    good = {"record": "ok", "expr": "model_loaded"}
    text = rules(MODEL, "ok == 0", "1m", *broken, good)  # type: ignore[arg-type]
    assert valid(tmp_path, text).verdict == "failed"
    assert letters(outcomes(tmp_path, text, MODEL)) == "PP"


@needs_promtool
def test_of_two_alerts_of_one_name_the_better_counts(tmp_path: Path) -> None:
    warning = {"alert": MODEL, "expr": "model_loaded == 0", "labels": {"severity": ["wrong"]}}
    assert letters(outcomes(tmp_path, rules(MODEL, "model_loaded == 0", "1m", warning), MODEL)) == "PP"


@needs_promtool
def test_labels_annotations_and_templates_are_free(tmp_path: Path) -> None:
    rule = {"alert": MODEL, "expr": "model_loaded == 0", "for": "1m", "labels": {"a": "{{ .Value }}"}}
    text = json.dumps(
        {"groups": [{"name": "g", "interval": "30s", "rules": [{**rule, "annotations": {"b": "c"}}]}]}
    )
    assert (valid(tmp_path, text).verdict, letters(outcomes(tmp_path, text, MODEL))) == ("passed", "PP")


@needs_promtool
def test_a_rule_that_cannot_be_evaluated(tmp_path: Path) -> None:
    many = "model_loaded == 0 and on() count_over_time(model_loaded[100d:1ms]) > 0"
    found = outcomes(tmp_path, rules(MODEL, many, "1m"), MODEL)
    assert letters(found) == "FF"
    assert "cannot be evaluated" in found["fires"].findings[0].message


@needs_promtool
@pytest.mark.parametrize(
    "expr",
    [
        "(" * 3000 + "model_loaded == 0" + ")" * 3000,
        "model_loaded == 0" + " or model_loaded == 0" * 3000,
        'model_loaded{a="\\u0000"} == 0',
        'model_loaded{a=~"(a+)+b"} == 0 and model_loaded{a!~"(x|x)*y"} == 0',
        'label_replace(model_loaded, "é", "x", "a", "b") == 0',
        '{__name__=~".+"} == 0',
        "model_loaded @ 5 == 0",
    ],
    ids=lambda expr: expr[:30],
)
def test_hostile_expressions_are_decided(tmp_path: Path, expr: str) -> None:
    found = outcomes(tmp_path, rules(MODEL, expr, "1m"), MODEL)
    assert set(letters(found)) <= set("PFU")


@needs_promtool
def test_an_expression_over_a_bound_is_the_candidates(tmp_path: Path) -> None:
    found = outcomes(tmp_path, rules(RATE, "api_errors_total " + "+ 0 " * 300 + "> 0.05"), RATE)
    assert letters(found) == "FF"
    message = f"the expression of {RATE} was not tested: more than 400 tokens"
    assert {outcome.findings[0].message for outcome in found.values()} == {message}


def test_recording_rules_that_fan_out(tmp_path: Path) -> None:
    """Ten levels of ten rules each of which uses all of the next level."""
    more = [
        {"record": f"a{level}_{number}", "expr": " + ".join(f"a{level + 1}_{each}" for each in range(10))}
        for level in range(10)
        for number in range(10)
    ]
    text = rules(RATE, "a0_0 + api_errors_total > 0.05", "5m", *more)
    context = make_context(tmp_path, {"alerts.yml": text}, deliverables={"alerts": "alerts.yml"})
    source = context.submission.deliverable("alerts")
    assert source is not None
    file = read(source)
    assert not isinstance(file, Problem)
    (alert,) = file.alerts(RATE)
    readings = alert_rules.readings(alert, file)
    assert not isinstance(readings, promql.Unreadable)
    assert len(readings) == len(set(map(id, readings))) == 92


@needs_promtool
def test_a_wrong_alert_is_told_what_is_wrong(tmp_path: Path) -> None:
    found = outcomes(tmp_path, rules(RATE, "rate(api_errors_total[5m]) > 0.05", ""), RATE)
    [finding] = found["quiet"].findings
    assert finding.message == "HighErrorRate fires before the condition has lasted 300 s"
    assert finding.expected == "a rate of api_errors_total over 0.05 per second for 300 s"
    assert finding.actual == "rate(api_errors_total[5m]) > 0.05 without `for`"
    assert finding.where == "alerts.yml:1"


@needs_promtool
@pytest.mark.parametrize(
    ("text", "alert", "expected"),
    [
        (rules(MODEL, "absent(model_loaded)", "1m"), MODEL, {"fires": True, "quiet": True}),
        (rules(MODEL, "model_loaded == 0", "5m"), MODEL, {"fires": False}),
        (rules(RATE, "up == 0"), MODEL, {"fires": True, "quiet": True}),
        (rules(MODEL, "model_loaded ==", "1m"), MODEL, {"fires": True, "quiet": True}),
        (rules(MODEL, "absent(model_loaded) or vector(1)", "5m"), MODEL, {"quiet": False}),
        ("groups: [", MODEL, {"fires": True, "quiet": True}),
    ],
)
def test_one_mistake_is_one_cause(tmp_path: Path, text: str, alert: str, expected: dict[str, bool]) -> None:
    found = outcomes(tmp_path, text, alert)
    lost = {shows: outcome for shows, outcome in found.items() if outcome.verdict == "failed"}
    assert {shows: bool(outcome.cause) for shows, outcome in lost.items()} == expected
    assert len({outcome.cause for outcome in lost.values() if outcome.cause}) == any(expected.values())


@needs_promtool
def test_an_alert_that_never_fires_says_so(tmp_path: Path) -> None:
    found = outcomes(tmp_path, rules(RATE, "rate(api_errors_total[5m]) > 50"), RATE)
    messages = {finding.message for outcome in found.values() for finding in outcome.findings}
    assert messages == {
        "HighErrorRate never fires, even if api_errors_total grows by 5 a second for 500 minutes"
    }


def test_only_the_first_document_is_read(tmp_path: Path) -> None:
    text = "groups: []\n---\n" + rules(MODEL, "model_loaded == 0", "1m")
    assert letters(outcomes(tmp_path, text, MODEL, NO_TOOLS)) == "FF"


def test_a_promtool_that_fails_is_ours(tmp_path: Path) -> None:
    scenario = Trial(name="s", rules="", series=(), questions=(Question(3600, ever=False, expected=True),))
    with pytest.raises(GraderFault, match="own rule"):
        Promtool(Path("/bin/false"), "A").ask([scenario])


@needs_promtool
def test_a_promtool_that_hangs_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promtool, "SECONDS", 0.01)
    with pytest.raises(GraderFault):
        outcomes(tmp_path, rules(MODEL, "model_loaded == 0", "1m"), MODEL)


def test_a_promtool_that_the_text_keeps_busy_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promtool, "SECONDS", 1)
    program = tmp_path / "promtool"
    program.write_text('#!/bin/sh\n! grep -q busy "$3" || sleep 60\n')
    program.chmod(0o755)
    assert check_rules(program, "{}") == (True, "")
    assert check_rules(program, "busy") == (False, "promtool did not finish within 1 s")


def test_complaints_name_their_lines(tmp_path: Path) -> None:
    text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n    for: soon\n"
    file = make_submission(tmp_path, {"alerts.yml": text}).file("alerts.yml")
    assert file is not None
    found = read(file)
    assert not isinstance(found, Problem)
    assert [finding.where for finding in complaints(file, found)] == ["alerts.yml:4", "alerts.yml:4"]


def test_rules_outside_of_groups_are_judged_alone(tmp_path: Path) -> None:
    rule = {"alert": MODEL, "expr": "model_loaded == 0", "for": "1m"}
    for data in ([rule], {"rules": [rule]}, {"groups": {"name": "g", "rules": [rule]}}, rule):
        text = json.dumps(data)
        [finding] = valid(tmp_path, text, NO_TOOLS).findings
        assert finding.message.startswith("the file has no list of `groups`")
        assert letters(outcomes(tmp_path, text, MODEL, NO_TOOLS)) == "PP"
    manifest = json.dumps({"kind": "PrometheusRule", "spec": {"groups": [{"name": "g", "rules": [rule]}]}})
    assert letters(outcomes(tmp_path, manifest, MODEL, NO_TOOLS)) == "FF"


@needs_promtool
def test_what_only_a_newer_promtool_knows(tmp_path: Path) -> None:
    group = {"name": "g", "labels": {"a": "b"}, "query_offset": "30s"}
    rule = {"alert": MODEL, "expr": "model_loaded == 0", "for": "1m"}
    text = json.dumps({"groups": [{**group, "rules": [rule]}]})
    assert (valid(tmp_path, text).verdict, letters(outcomes(tmp_path, text, MODEL))) == ("passed", "PP")
    assert (
        valid(tmp_path, json.dumps({"groups": [{**group, "labels": 3, "rules": [rule]}]})).verdict == "failed"
    )
    assert valid(tmp_path, "groups: [&a {name: g, labels: {}, rules: [*a]}]").verdict == "failed"


@needs_promtool
def test_a_wait_that_is_none_does_not_cost_the_quantile(tmp_path: Path) -> None:
    found = outcomes(tmp_path, rules(LATENCY, P95 + " > 1", "5 minutes"), LATENCY)
    assert letters(found) == "PFF"


@needs_promtool
@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum(rate(api_errors_total[5m])) > 0.05 unless on() maintenance == 1", "PP"),
        ("sum(rate(api_errors_total[5m])) > 0.05 unless on() absent(up)", "PP"),
        ("sum(rate(api_errors_total[5m])) > 0.2 unless on() maintenance == 1", "FP"),
        ("sum(rate(api_errors_total[5m])) > 0.2 and on() up == 1", "FP"),
    ],
)
def test_exceptions_need_not_be_there(tmp_path: Path, expr: str, expected: str) -> None:
    assert tried(tmp_path, RATE, expr) == expected
