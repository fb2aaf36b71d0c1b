from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from grader.checks.prometheus import given_series
from grader.grading import decide as grade
from grader.results import Status, Verdict
from grader.tools import Tools
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check
    from grader.results import Outcome

needs_promtool = pytest.mark.skipif(
    Tools().find("promtool") is None, reason="promtool is not on this machine"
)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"series": [{"series": "up{", "values": "1"}]}, "is not a series"),
        ({"series": [{"series": "rate(a[5m])", "values": "1"}]}, "is not a series"),
        ({"series": [{"series": "up", "values": "1x"}]}, "promtool's notation"),
        ({"series": [{"series": "up", "values": ""}]}, "promtool's notation"),
        ({"series": [{"series": "up", "values": "1x999999"}]}, "at most 50,000"),
        ({"expect": []}, "at least 1 item"),
        ({"expect": [{"at": "5 minutes"}]}, "not a Prometheus duration"),
        ({"expect": [{"at": "5m", "labels": {"a-b": "c"}}]}, "not a label"),
        ({"interval": "0"}, "at least 1s"),
        ({"interval": "500ms"}, "at least 1s"),
        ({"interval": "1s", "expect": [{"at": "30d"}]}, "at most 50,000"),
    ],
)
def test_what_promtool_could_not_try_is_the_authors_fault(changed: dict[str, Any], said: str) -> None:
    given = {"file": "rules", "alert": "A", "expect": [{"at": "5m"}]}
    with pytest.raises(ValidationError, match=said):
        given_series.prometheus_fires.parameters.model_validate(given | changed)


def _file(*rules: dict[str, Any]) -> str:
    return yaml.safe_dump({"groups": [{"name": "g", "rules": list(rules)}]})


def _decide(check: Check, root: Path, text: str, **given: Any) -> Outcome:
    context = make_context(root, {"r.yml": text}, deliverables={"rules": "r.yml"})
    return decide(check, context, **dict(check.parameters.model_validate({"file": "rules", **given})))


ABSENT = {"alert": "A", "expr": 'absent(up{job="api"})', "for": "5m"}
LINEAR = {"alert": "A", "expr": "predict_linear(free[1h], 14400) < 0", "labels": {"severity": "page"}}
BURN = {
    "alert": "A",
    "expr": "e:ratio_rate1h > 14.4 * 0.001 and e:ratio_rate5m > 14.4 * 0.001",
}
RATIOS = [
    {
        "record": f"e:ratio_rate{window}",
        "expr": f"sum(rate(e_total[{window}])) / sum(rate(r_total[{window}]))",
    }
    for window in ("5m", "1h")
]
REQUESTS = {"series": "r_total", "values": "0+600x180"}
CASES: dict[str, tuple[str, list[dict[str, str]], list[dict[str, Any]], bool]] = {
    "absent": (
        _file(ABSENT),
        [],
        [{"at": "4m", "firing": False}, {"at": "10m", "labels": {"job": "api"}}],
        True,
    ),
    "not absent": (
        _file(ABSENT),
        [{"series": 'up{job="api"}', "values": "1x20"}],
        [{"at": "10m", "firing": False}],
        True,
    ),
    "not absent at first": (
        _file(ABSENT),
        [{"series": 'up{job="api"}', "values": "1x20 stale"}],
        [{"at": "10m", "firing": False}, {"at": "30m"}],
        True,
    ),
    "linear": (
        _file(LINEAR),
        [{"series": "free", "values": "1000-10x60"}],
        [{"at": "1h", "labels": {"severity": "page"}}],
        True,
    ),
    "another severity": (
        _file(LINEAR),
        [{"series": "free", "values": "1000-10x60"}],
        [{"at": "1h", "labels": {"severity": "ticket"}}],
        False,
    ),
    "burn": (
        _file(*RATIOS, BURN),
        [REQUESTS, {"series": "e_total", "values": "0+0x60 0+60x120"}],
        [{"at": "55m", "firing": False}, {"at": "2h"}],
        True,
    ),
    "a short burst": (
        _file(*RATIOS, BURN),
        [REQUESTS, {"series": "e_total", "values": "0+0x60 0+20x3 60+0x100"}],
        [{"at": "1h4m", "firing": True}],
        False,
    ),
    "no alert of that name": (_file({**ABSENT, "alert": "B"}), [], [{"at": "10m"}], False),
    "what Prometheus cannot evaluate": (
        _file({"alert": "A", "expr": 'label_replace(up, "a", "$1", "b", "(")'}),
        [{"series": "up", "values": "1x20"}],
        [{"at": "10m"}],
        False,
    ),
    "another rule that is broken": (
        _file(ABSENT, {"alert": "C", "expr": "sum("}),
        [],
        [{"at": "10m"}],
        True,
    ),
}


@needs_promtool
@pytest.mark.parametrize(("text", "series", "expect", "right"), CASES.values(), ids=CASES.keys())
def test_alerts_on_given_series(
    tmp_path: Path, text: str, series: list[dict[str, str]], expect: list[dict[str, Any]], right: bool
) -> None:
    check = given_series.prometheus_fires
    outcome = _decide(check, tmp_path, text, alert="A", series=series, expect=expect)
    assert (outcome.verdict is Verdict.PASSED) is right, outcome.findings


@needs_promtool
def test_what_an_alert_did_is_told(tmp_path: Path) -> None:
    given = {"alert": "A", "expect": [{"at": "2m"}]}
    (finding,) = _decide(given_series.prometheus_fires, tmp_path, _file(ABSENT), **given).findings
    assert (finding.message, finding.expected) == ("A does not fire after 2m", "A fires after 2m")
    assert (finding.where, finding.detail) == ("r.yml:4", "with no series at all")


@needs_promtool
@pytest.mark.parametrize(
    ("expect", "right"),
    [
        ({"value": 0.1, "at": "1h"}, True),
        ({"value": 0.2, "at": "1h"}, False),
        ({"value": 0.2, "at": "1h", "tolerance": 0.15}, True),
        ({"value": 0.1, "at": "1h", "labels": {"job": "x"}}, False),
    ],
)
def test_recording_rules(tmp_path: Path, expect: dict[str, Any], right: bool) -> None:
    series = [REQUESTS, {"series": "e_total", "values": "0+60x180"}]
    given = {"record": "e:ratio_rate5m", "series": series, "expect": [expect]}
    outcome = _decide(given_series.prometheus_records, tmp_path, _file(*RATIOS), **given)
    assert (outcome.verdict is Verdict.PASSED) is right, outcome.findings


def test_labels_and_annotations(tmp_path: Path) -> None:
    check, text = given_series.prometheus_rule, _file(*RATIOS, LINEAR)
    given: dict[str, Any] = {"alert": "A", "path": "$.labels.severity", "expect": {"equals": "page"}}
    assert _decide(check, tmp_path, text, **given).verdict is Verdict.PASSED
    (finding,) = _decide(check, tmp_path, text, **{**given, "expect": {"equals": "ticket"}}).findings
    assert (finding.actual, finding.where) == ('"page"', "r.yml:11")
    assert _decide(check, tmp_path, text, record="x", path="$.expr").verdict is Verdict.FAILED
    assert _decide(check, tmp_path, "- alert: A\n  expr: up\n", path="$.expr").verdict is Verdict.FAILED


def test_without_promtool_nothing_is_said(tmp_path: Path) -> None:
    from grader.exam.model import Part

    context = make_context(
        tmp_path, {"r.yml": _file(ABSENT)}, deliverables={"rules": "r.yml"}, without=frozenset({"promtool"})
    )
    check = given_series.prometheus_fires
    given = dict(check.parameters.model_validate({"file": "rules", "alert": "A", "expect": [{"at": "10m"}]}))
    part = Part(id="", title="", points=1, check=check.name, parameters=given)
    assert grade(part, context, check).status is Status.UNVERIFIED
