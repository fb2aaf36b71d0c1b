from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.checks.drift import checks as drift
from grader.checks.drift.scenarios import Detected, Drift
from grader.checks.scripts.call import Called
from grader.readers.python.tracebacks import last_traceback
from grader.results import Evidence, Outcome, Verdict
from grader.runtime.sandbox.model import Ended, Run
from tests.builders import decide, make_context
from tests.checks.live import live_context, lost, parameters

if TYPE_CHECKING:
    from pathlib import Path

ASKED: Drift = parameters("6.2", "drift.quiet")["scenario"]
MARKS = frozenset([*ASKED.library_marks, *ASKED.preset_marks])
TRACEBACK = (
    "Traceback (most recent call last):\n  File \"/workspace/src/d.py\", line 2, in <module>\nKeyError: 'x'\n"
)


def detected(
    status: int | None, stderr: str = "", *, marks: frozenset[str] = MARKS, ended: Ended = Ended.EXITED
) -> Detected:
    run = Run(argv=("x",), ended=ended, returncode=status, stderr=stderr)
    called = Called(argv=("python", "d.py"), run=run, traceback=last_traceback(stderr, ["/workspace"]))
    return Detected(called=called, written={"r.html": marks} if marks else {})


QUIET, ALARM, CRASH = detected(0), detected(1), detected(1, TRACEBACK, marks=frozenset())
USAGE = detected(2, "usage: d.py [-h] --reference REFERENCE", marks=frozenset())
HANGS = detected(None, ended=Ended.WALL_LIMIT)


def verdict(outcome: Outcome) -> str:
    return "passed" if outcome.verdict is Verdict.PASSED else outcome.findings[0].message


def test_a_right_one() -> None:
    assert verdict(drift.judge_drifted(QUIET, ALARM, 1, lambda: QUIET)) == "passed"
    assert verdict(drift.judge_quiet(QUIET, ALARM, 0)) == "passed"
    assert verdict(drift.judge_html(QUIET, ALARM, ASKED)) == "passed"


@pytest.mark.parametrize(
    ("quiet", "drifted", "said"),
    [
        (QUIET, QUIET, "status 0 although every column drifted"),
        (ALARM, ALARM, "whether the data drifted or not"),
        (CRASH, CRASH, "KeyError"),
        (QUIET, CRASH, "an exit because of the verdict, not a crash"),
        (detected(0, TRACEBACK), detected(1, TRACEBACK), "passed"),
        (
            detected(0, TRACEBACK),
            detected(1, TRACEBACK.replace("Key", "Value")),
            "an exit because of the verdict, not a crash",
        ),
        (QUIET, detected(2), "status 2 although"),
        (QUIET, HANGS, "wall limit"),
    ],
)
def test_what_is_no_detection(quiet: Detected, drifted: Detected, said: str) -> None:
    assert said in verdict(drift.judge_drifted(quiet, drifted, 1, lambda: quiet))


def test_another_sample_taken_for_drift_is_the_loss_of_another_criterion() -> None:
    assert verdict(drift.judge_drifted(ALARM, ALARM, 1, lambda: QUIET)) == "passed"
    assert verdict(drift.judge_quiet(ALARM, ALARM, 0)) != "passed"


@pytest.mark.parametrize(
    ("seen", "said"), [(ALARM, "status 1 where nothing drifted"), (CRASH, "KeyError"), (HANGS, "wall limit")]
)
def test_what_is_not_quiet(seen: Detected, said: str) -> None:
    assert said in verdict(drift.judge_quiet(seen, ALARM, 0))


def test_a_report_only_of_drift() -> None:
    outcome = drift.judge_html(detected(0, marks=frozenset()), ALARM, ASKED)
    assert verdict(outcome) == "no HTML report was saved when nothing drifted"


def test_a_report_of_another_preset() -> None:
    other = detected(0, marks=frozenset(ASKED.library_marks))
    outcome = drift.judge_preset(other, other, ASKED, "DataDriftPreset")
    assert outcome is not None
    assert verdict(outcome) == "the saved report was not made with DataDriftPreset"
    assert drift.judge_preset(CRASH, CRASH, ASKED, "DataDriftPreset") is None
    passing = drift.judge_preset(other, ALARM, ASKED, "DataDriftPreset")
    assert passing is not None
    assert verdict(passing) == "passed"


def test_a_page_that_was_not_made_of_the_data() -> None:
    quiet, drifted = (replace(each, digests={"r.html": "a"}) for each in (QUIET, ALARM))
    said = "r.html is the same page, byte for byte, whatever the data: it was not made of them"
    assert verdict(drift.judge_html(quiet, drifted, ASKED)) == said
    preset = drift.judge_preset(quiet, drifted, ASKED, "DataDriftPreset")
    assert preset is not None
    assert verdict(preset) == said
    assert verdict(drift.judge_html(quiet, replace(drifted, digests={"r.html": "b"}), ASKED)) == "passed"


@pytest.mark.parametrize(
    ("quiet", "drifted", "same"),
    [
        (CRASH, CRASH, True),
        (USAGE, USAGE, True),
        (CRASH, detected(1, TRACEBACK.replace("Key", "Value"), marks=frozenset()), False),
        (CRASH, USAGE, False),
        (detected(1, marks=frozenset()), detected(1, marks=frozenset()), False),
        (detected(2), detected(2), False),
    ],
)
def test_stopping_on_any_data_is_one_mistake(quiet: Detected, drifted: Detected, same: bool) -> None:
    outcomes = (
        drift.judge_works((quiet, drifted), ASKED),
        drift.judge_html(quiet, drifted, ASKED),
        drift.judge_quiet(quiet, drifted, 0),
        drift.judge_drifted(quiet, drifted, 1, lambda: quiet),
    )
    causes = [outcome.cause for outcome in outcomes if outcome is not None]
    assert causes == ["the script stops on any data" if same else ""] * len(causes)


def test_html_of_somebody_elses() -> None:
    outcome = drift.judge_html(QUIET, detected(1, marks=frozenset({"Dataset Drift"})), ASKED)
    assert outcome.findings[0].actual == "r.html, which is not a report of the library"


def test_works_and_fails_clearly() -> None:
    assert drift.judge_works((ALARM, ALARM), ASKED) is None
    assert drift.judge_works((CRASH, CRASH), ASKED) is not None
    without_report = detected(1, "something is wrong", marks=frozenset())
    assert drift.judge_works((without_report, without_report), ASKED) is not None
    assert verdict(drift.judge_missing({"a.csv": CRASH, "b.csv": ALARM})) == "passed"
    assert "when b.csv is missing" in verdict(drift.judge_missing({"a.csv": CRASH, "b.csv": QUIET}))
    assert "when a.csv is missing" in verdict(drift.judge_missing({"a.csv": HANGS}))


def source_says(root: Path, files: dict[str, str | bytes]) -> Outcome:
    context = make_context(root, files, deliverables={"drift": "src/d.py"} if "src/d.py" in files else {})
    return decide(drift.preset, context, **parameters("6.2", "drift.preset"))


@pytest.mark.parametrize(
    "files",
    [
        {"src/d.py": "from evidently.presets import DataDriftPreset\nReport([DataDriftPreset()])"},
        {"src/d.py": "from evidently.metric_preset import DataDriftPreset as P\nReport(metrics=[P()])"},
        {"src/d.py": "import evidently.presets as ep\nep.DataDriftPreset()"},
        {
            "src/d.py": "from helpers import report\nreport()",
            "src/helpers/__init__.py": "from .make import report",
            "src/helpers/make.py": "from evidently.legacy.metric_preset import DataDriftPreset\n"
            "def report(): return DataDriftPreset()",
        },
    ],
)
def test_the_preset_in_the_source(root: Path, files: dict[str, str | bytes]) -> None:
    outcome = source_says(root, files)
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, Evidence.STATIC)


@pytest.mark.parametrize(
    "files",
    [
        {"src/d.py": "from evidently.presets import DataDriftPreset"},
        {"src/d.py": "# DataDriftPreset from evidently\nDataDriftPreset()"},
        {"src/d.py": "from mine import DataDriftPreset\nDataDriftPreset()"},
        {"src/d.py": "from evidently.presets import DataSummaryPreset\nDataSummaryPreset()"},
        {"src/d.py": b"\xff\xfe\x00def"},
        {"src/d.py": "def ("},
        {"src/d.py": "from . import d\nfrom .... import x\nimport d, src.d"},
        {},
    ],
)
def test_no_preset_in_the_source(root: Path, files: dict[str, str | bytes]) -> None:
    assert source_says(root, files).verdict is Verdict.FAILED


NEW = """
import sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
"""
COMPARE = """
reference, current = pd.read_csv("data/baseline.csv"), pd.read_csv("data/current.csv")
result = Report([DataDriftPreset()]).run(reference_data=reference, current_data=current)
"""
SHARE = "share = result.dict()['metrics'][0]['value']['share']\n"

VARIANTS = {
    "any-column": (
        NEW + COMPARE + "result.save_html('drift.html')\n" + SHARE + "sys.exit(1 if share > 0 else 0)",
        set(),
    ),
    "arguments": (
        "import argparse\n"
        + NEW
        + """
parser = argparse.ArgumentParser()
parser.add_argument("--reference", required=True)
parser.add_argument("--current", required=True)
parser.add_argument("--out", default="report.html")
options = parser.parse_args()
reference, current = pd.read_csv(options.reference), pd.read_csv(options.current)
result = Report([DataDriftPreset()]).run(reference_data=reference, current_data=current)
result.save_html(options.out)
"""
        + SHARE
        + "sys.exit(int(share >= 0.5))",
        set(),
    ),
    "legacy": (
        """
import sys
import pandas as pd
from evidently.legacy.report import Report
from evidently.legacy.metric_preset import DataDriftPreset
report = Report(metrics=[DataDriftPreset()])
reference, current = pd.read_csv("data/baseline.csv"), pd.read_csv("data/current.csv")
report.run(reference_data=reference, current_data=current)
report.save_html("reports.html")
if report.as_dict()["metrics"][0]["result"]["dataset_drift"]:
    sys.exit(1)
""",
        set(),
    ),
    "raises": (
        NEW + COMPARE + "result.save_html('drift.html')\n" + SHARE + "assert share < 0.5, 'drift'",
        {"6.2.drift"},
    ),
    "always-1": (NEW + COMPARE + "result.save_html('drift.html')\nsys.exit(1)", {"6.2.quiet", "6.2.drift"}),
    "never": (NEW + COMPARE + "result.save_html('drift.html')", {"6.2.drift"}),
    "html-of-drift-only": (
        NEW + COMPARE + SHARE + "if share >= 0.5:\n    result.save_html('drift.html')\n    sys.exit(1)",
        {"6.2.html"},
    ),
    "another-preset": (
        NEW.replace("DataDriftPreset", "DataSummaryPreset")
        + COMPARE.replace("DataDrift", "DataSummary")
        + "result.save_html('drift.html')\nsys.exit(int(current.age.mean() > reference.age.mean() + 10))",
        {"6.2.preset"},
    ),
    "crashes": (
        NEW + COMPARE + "result.nonsense()",
        {"6.2.runs", "6.2.html", "6.2.quiet", "6.2.drift"},
    ),
    "forgives-a-missing-file": (
        NEW
        + "import os\nif not os.path.exists('data/baseline.csv'):\n    sys.exit(0)\n"
        + COMPARE
        + "result.save_html('drift.html')\n"
        + SHARE
        + "sys.exit(int(share >= 0.5))",
        {"6.2.runs"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_real_scripts(root: Path, name: str) -> None:
    source, expected = VARIANTS[name]
    deliverables = {"drift": "src/detect_drift.py"}
    with live_context(root, {"src/detect_drift.py": source}, deliverables=deliverables) as context:
        assert set(lost(context, "6.2")) == expected
