"""The confusion table of `grader verify`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.corpus.cases import Case
from grader.corpus.report import Row, confusion, document, idle, thin, write_text
from grader.corpus.verify import Verdict, Verification
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAM = load_exam(RUBRICS, ALL)


def verdict(
    name: str,
    must: Mapping[str, float],
    did: Mapping[str, float],
    *,
    failed: frozenset[str] = frozenset(),
    unknown: Mapping[str, Status] | None = None,
    fault: str = "",
) -> Verdict:
    case = Case(name=name, kind="defect", why="Because.", loses=must)
    return Verdict(
        case=case,
        tasks=("4.2",),
        expected=must,
        lost=did,
        failed=failed,
        open=unknown or {},
        findings=dict.fromkeys(did, "found so"),
        fault=fault,
        seconds=1,
    )


def result(*verdicts: Verdict, whole: bool = False) -> Verification:
    tasks = tuple(task for task in EXAM.tasks if task.id == "4.2")
    return Verification(exam=EXAM, tasks=tasks, verdicts=verdicts, whole=whole, seconds=3)


@pytest.mark.parametrize(
    ("must", "did", "row"),
    [
        ({}, {}, Row(true_pass=1)),
        ({"4.2.limits": 1}, {"4.2.limits": 1}, Row(true_fail=1)),
        ({}, {"4.2.limits": 1}, Row(false_fail=1)),
        ({"4.2.limits": 0.5}, {"4.2.limits": 1}, Row(false_fail=1)),
        ({"4.2.limits": 1}, {"4.2.limits": 0.5}, Row(false_pass=1)),
        ({"4.2.limits": 1}, {}, Row(false_pass=1)),
    ],
)
def test_a_case_is_counted_by_what_it_must_and_did_lose(
    must: Mapping[str, float], did: Mapping[str, float], row: Row
) -> None:
    assert confusion(result(verdict("x", must, did)))["4.2.limits"] == row


def test_what_was_not_decided_is_not_counted() -> None:
    rows = confusion(
        result(
            verdict("x", {"4.2.limits": 1}, {}, unknown={"4.2.limits": Status.ERROR}),
            verdict("y", {"4.2.limits": 1}, {}, fault="cannot be built"),
        )
    )
    assert rows["4.2.limits"] == Row()


def test_what_no_case_proves_is_named() -> None:
    twice = [verdict(name, {"4.2.env": 1}, {"4.2.env": 1}, failed=frozenset({"4.2.env"})) for name in "xy"]
    once = verdict("z", {"4.2.limits": 1}, {"4.2.limits": 1}, failed=frozenset({"4.2.limits/cpu"}))
    found = result(*twice, once, whole=True)
    assert {name: thin(found).get(name) for name in ("4.2.env", "4.2.limits", "4.2.image")} == {
        "4.2.env": None,
        "4.2.limits": 1,
        "4.2.image": 0,
    }
    assert [name for name in idle(found) if name.startswith(("4.2.env", "4.2.limits"))] == [
        "4.2.limits/memory"
    ]


def lines(found: Verification, *, verbose: bool = False) -> list[str]:
    stream = io.StringIO()
    write_text(found, stream, verbose=verbose)
    return stream.getvalue().splitlines()


def test_agreement_is_one_line() -> None:
    agreed = result(verdict("x", {"4.2.limits": 1}, {"4.2.limits": 1}))
    assert lines(agreed)[-1] == "1 cases in 3 s: every one lost exactly what it must"
    assert "✔ x" not in lines(agreed)
    assert "✔ x" in lines(agreed, verbose=True)


def test_disagreement_says_what_was_found() -> None:
    wrong = result(verdict("x", {"4.2.limits": 1}, {"4.2.limits": 0.5}))
    said = lines(wrong)
    at = said.index("✘ x")
    assert said[at : at + 3] == ["✘ x", "    Because.", "    4.2.limits: must lose 1, lost 0.5 — found so"]
    assert said[-1] == "1 cases in 3 s: 1 disagree (0 false fails, 1 false passes, 0 undecided)"
    assert document(wrong)["agrees"] is False
