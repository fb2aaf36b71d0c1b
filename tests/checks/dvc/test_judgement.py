from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.dvc.command import described
from grader.checks.dvc.edit import Change
from grader.checks.dvc.judgement import (
    Pushed,
    Repro,
    Reproduced,
    Stages,
    concerned,
    judge_again,
    judge_outputs,
    judge_push,
)
from grader.checks.dvc.pipeline import Stage
from grader.results import Finding, Outcome, passed
from grader.runtime.sandbox.model import Ended, Run

if TYPE_CHECKING:
    from grader.checks.scripts.call import Called

CLEAN, MODEL = "data/clean.csv", "models/model.pkl"
STAGES: Stages = {
    "preprocess": (Stage(deps=("data/raw.csv",), outs=(CLEAN,), params={}),),
    "train": (Stage(deps=("data",), outs=(MODEL,), params={"params.yaml": ("train",)}),),
    "evaluate": (Stage(deps=(MODEL,), outs=(), params={}),),
}
CRASH = """Traceback (most recent call last):
  File "/workspace/src/clean.py", line 7, in <module>
    main()
  File "/env/site-packages/pandas.py", line 1, in read_csv
KeyError: 'target'
ERROR: failed to reproduce 'preprocess': failed to run: python src/clean.py, exited with 1
"""


def called(
    *words: str, status: int | None = 0, out: str = "", err: str = "", ended: Ended = Ended.EXITED
) -> Called:
    run = Run(argv=words, ended=ended, returncode=status, stdout=out, stderr=err)
    return described(words, run, ("/workspace",))


def repro(*ran: str, rewritten: set[str] | None = None, **how: Any) -> Repro:
    out = "".join(f"Running stage '{name}':\n> x\n" for name in ran)
    return Repro(called=called("repro", out=out, **how), rewritten=frozenset(rewritten or ()))


FIRST = repro("preprocess", "train", "evaluate")
CHANGE = Change(start=0, end=1, old="100", new="101", places=(("train", "n_estimators"),))
GOOD = Reproduced(
    first=FIRST,
    sizes={CLEAN: 5, MODEL: 5},
    again=repro(),
    change=CHANGE,
    changed=repro("train", "evaluate", rewritten={MODEL}),
)


def said(outcome: Outcome) -> str:
    return outcome.findings[0].message if outcome.findings else "passed"


def outputs(seen: Reproduced, outs: list[str]) -> str:
    return said(judge_outputs(seen, outs, [CLEAN]))


def again(**fields: Any) -> str:
    return said(judge_again(replace(GOOD, **fields), STAGES, "train", "params.yaml", "n_estimators"))


def test_a_right_pipeline() -> None:
    assert outputs(GOOD, [CLEAN, MODEL]) == "passed"
    assert again() == "passed"


def test_outputs_that_are_not_made() -> None:
    assert outputs(replace(GOOD, sizes={CLEAN: 5}), [CLEAN, MODEL]) == (
        "`dvc repro` succeeds, but does not create models/model.pkl"
    )
    assert outputs(replace(GOOD, sizes={CLEAN: 0, MODEL: 0}), [CLEAN, MODEL]) == (
        "`dvc repro` succeeds, but leaves these outputs empty: data/clean.csv"
    )
    assert "declares an output" in outputs(replace(GOOD, sizes={}), [])


def test_a_stage_that_crashes_is_shown_in_its_own_words() -> None:
    broken = replace(GOOD, first=repro("preprocess", status=255, err=CRASH))
    (finding,) = judge_outputs(broken, [CLEAN], []).findings
    assert finding == Finding(
        message="`dvc repro` fails at stage preprocess",
        actual="KeyError: 'target'",
        where="src/clean.py:7",
        detail="  File \"src/clean.py\", line 7, in <module>\n    main()\nKeyError: 'target'",
    )


def test_a_stage_that_fails_without_a_traceback() -> None:
    err = "cannot open x\nERROR: failed to reproduce 'a/dvc.yaml:train@b': output 'm' does not exist\n"
    (finding,) = judge_outputs(replace(GOOD, first=repro(status=255, err=err)), [CLEAN], []).findings
    assert (finding.message, finding.actual, finding.where) == (
        "`dvc repro` fails at stage train",
        "failed to reproduce 'a/dvc.yaml:train@b': output 'm' does not exist",
        "dvc repro",
    )


def test_a_stage_that_hangs() -> None:
    first = repro("preprocess", "train", status=None, ended=Ended.WALL_LIMIT)
    (finding,) = judge_outputs(replace(GOOD, first=first), [CLEAN], []).findings
    assert finding.message == "`dvc repro` fails at stage train (was stopped after 240 s (wall limit))"


def test_dvc_that_does_not_get_to_a_stage() -> None:
    first = repro(status=255, err="ERROR: you are not inside of a DVC repository\n")
    (finding,) = judge_outputs(replace(GOOD, first=first), [CLEAN], []).findings
    assert (finding.message, finding.actual) == (
        "`dvc repro` ended with status 255",
        "you are not inside of a DVC repository",
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"first": repro(status=1)}, "`dvc repro` ended with status 1"),
        ({"again": None}, "outputs are missing"),
        ({"again": repro(status=1)}, "a second `dvc repro` fails"),
        ({"again": repro("evaluate")}, "runs stage evaluate again"),
        ({"again": repro(rewritten={CLEAN})}, "runs stage preprocess again"),
        ({"change": None, "changed": None}, "params.yaml has no number n_estimators"),
        ({"changed": repro("train", status=1)}, "changed from 100 to 101"),
        ({"changed": repro()}, "does not rerun stage train"),
        ({"changed": repro("preprocess", "evaluate", rewritten={CLEAN})}, "does not rerun stage train"),
        # The other stage printed what DVC prints.
        ({"changed": repro("preprocess", "train", rewritten={CLEAN})}, "does not rerun stage train"),
        ({"changed": repro("preprocess", "train", rewritten={CLEAN, MODEL})}, "also reruns stage preprocess"),
    ],
)
def test_what_is_no_right_rerun(fields: dict[str, Any], expected: str) -> None:
    assert expected in again(**fields)


def test_stages_of_other_files_and_members_of_a_group() -> None:
    assert (
        again(changed=repro("other/dvc.yaml:x", "train@a", "dvc.yaml:train@b", rewritten={MODEL})) == "passed"
    )


@pytest.mark.parametrize(
    ("params", "deps", "expected"),
    [
        ({"params.yaml": ("train.n",)}, (), {"a", "b"}),
        ({"params.yaml": ("train",)}, (), {"a", "b"}),
        ({"params.yaml": None}, (), {"a", "b"}),
        ({}, ("params.yaml",), {"a", "b"}),
        ({}, (".",), set()),
        ({"params.yaml": ("train.m", "n", "train.n.x", "tra")}, (), set()),
        ({"other.yaml": None}, (), set()),
    ],
)
def test_whom_a_change_concerns(
    params: dict[str, tuple[str, ...] | None], deps: tuple[str, ...], expected: set[str]
) -> None:
    stages: Stages = {
        "b": (Stage(deps=("out/x/file",), outs=(), params={}),),
        "c": (Stage(deps=("out/y",), outs=("out/y/z",), params={}),),
        "a": (Stage(deps=deps, outs=("out/x",), params=params),),
    }
    assert concerned(stages, "params.yaml", [("train", "n")]) == expected


def test_an_index_in_a_key() -> None:
    stages: Stages = {"a": (Stage(deps=(), outs=(), params={"params.yaml": ("grid[0].n",)}),)}
    assert concerned(stages, "params.yaml", [("grid", "0", "n")]) == {"a"}


PUSHED = Pushed(
    url="s3://b/p", committed=called("commit"), pushed=called("push"), keys=("p/x",), stored=True,
    pulled=called("pull"), returned=True,
)  # fmt: skip


def test_a_round_trip() -> None:
    assert judge_push(PUSHED, "data/t.csv") == passed()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"committed": called(status=1)}, "cannot add data/t.csv to its cache"),
        ({"pushed": called(status=1)}, "`dvc push` fails"),
        ({"pushed": None}, "`dvc push` fails"),
        ({"stored": False}, "data/t.csv is not in the remote"),
        ({"pulled": called(status=1)}, "fails to restore the data"),
        ({"pulled": None}, "fails to restore the data"),
        ({"returned": False}, "does not restore the data/t.csv"),
    ],
)
def test_what_is_no_round_trip(fields: dict[str, Any], expected: str) -> None:
    assert expected in said(judge_push(replace(PUSHED, **fields), "data/t.csv"))


def test_what_lies_in_the_bucket_instead_is_told() -> None:
    (finding,) = judge_push(replace(PUSHED, stored=False), "t.csv").findings
    assert (finding.expected, finding.actual) == ("an object under s3://b/p that holds the data", "p/x")
    (finding,) = judge_push(replace(PUSHED, stored=False, keys=()), "t.csv").findings
    assert finding.actual == "the bucket is empty"
