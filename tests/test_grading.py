from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.check import Check, check, table
from grader.check import Deliverable as DeliverableId
from grader.context import Context, Memo
from grader.errors import GraderFault, RubricError, ToolMissing
from grader.exam.model import Criterion, Deliverable, Part, Task
from grader.grading import grade_tasks, outcome_of
from grader.results import (
    Evidence,
    Finding,
    Outcome,
    PartResult,
    Status,
    TaskResult,
    failed,
    passed,
    unverified,
)
from tests.builders import make_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ok(_context: Context) -> Outcome:
    return passed()


def bad(_context: Context) -> Outcome:
    return failed(Finding(message="no"))


def cannot_tell(_context: Context) -> Outcome:
    return unverified("not here")


def tool_missing(_context: Context) -> Outcome:
    raise ToolMissing("promtool", install="apt-get install prometheus")


def our_fault(_context: Context) -> Outcome:
    raise GraderFault("the server did not start", log_tail="port taken")


def authors_fault(_context: Context) -> Outcome:
    raise RubricError("1.1.yaml:3: nothing can pass")


def bug(_context: Context) -> Outcome:
    raise ZeroDivisionError


def stopped(_context: Context) -> Outcome:
    return failed(Finding(message="it does not start"), cause="start")


def stopped_too(_context: Context) -> Outcome:
    return failed(Finding(message="it does not start, so nothing answers"), cause="start")


def stopped_elsewhere(_context: Context) -> Outcome:
    return failed(Finding(message="nor does that"), cause="another")


CHECKS = table(
    tuple(
        check(f.__name__)(f)
        for f in (
            ok,
            bad,
            cannot_tell,
            tool_missing,
            our_fault,
            authors_fault,
            bug,
            stopped,
            stopped_too,
            stopped_elsewhere,
        )
    )
)


def criterion(
    id_: str, *checks: str, needs: tuple[str, ...] = (), files: tuple[str, ...] = (), **more: Any
) -> Criterion:
    parts = tuple(
        Part(id="" if len(checks) == 1 else name, title=name, points=1, check=name, parameters={}, **more)
        for name in checks
    )
    return Criterion(id=id_, title=id_, points=len(checks), hint="h", parts=parts, needs=needs, files=files)


def grade(
    root: Path,
    *criteria: Criterion,
    deliverables: tuple[Deliverable, ...] = (),
    checks: dict[str, Check] = CHECKS,
) -> TaskResult:
    task = Task(id="1.1", title="T", deliverables=deliverables, criteria=criteria)
    return grade_tasks([task], make_context(root, {}), checks)["1.1"]


def statuses(result: TaskResult) -> list[tuple[str, str, str]]:
    return [(row.id, row.status.value, row.blocked_by) for row in result.criteria]


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("ok", Status.EARNED, ""),
        ("bad", Status.LOST, "no"),
        ("cannot_tell", Status.UNVERIFIED, "not here"),
        ("tool_missing", Status.UNVERIFIED, "promtool is not on this machine (apt-get install prometheus)"),
        ("our_fault", Status.ERROR, "the grader failed: the server did not start"),
        ("authors_fault", Status.ERROR, "the rubric is at fault: 1.1.yaml:3: nothing can pass"),
        ("bug", Status.ERROR, "the grader failed: ZeroDivisionError in check bug"),
    ],
)
def test_whose_failure_it_is(tmp_path: Path, name: str, status: Status, message: str) -> None:
    (row,) = grade(tmp_path, criterion("1.1.a", name)).criteria
    assert row.status is status
    assert [finding.message for finding in row.findings] == ([message] if message else [])


def test_a_crash_in_one_check_takes_no_neighbour_along(tmp_path: Path) -> None:
    result = grade(tmp_path, criterion("1.1.a", "bug"), criterion("1.1.b", "ok"))
    assert statuses(result) == [("1.1.a", "error", ""), ("1.1.b", "earned", "")]


def test_a_fault_of_ours_is_retried_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def flaky(_context: Context) -> Outcome:
        calls.append(1)
        if len(calls) == 1:
            raise GraderFault("late")
        return passed()

    result = grade(tmp_path, criterion("1.1.a", "flaky"), checks=table((check("flaky")(flaky),)))
    assert (statuses(result), len(calls)) == ([("1.1.a", "earned", "")], 2)


def test_a_lost_need_blocks_and_names_the_first_cause(tmp_path: Path) -> None:
    result = grade(
        tmp_path,
        criterion("1.1.c", "ok", needs=("1.1.b",)),
        criterion("1.1.b", "ok", needs=("1.1.a",)),
        criterion("1.1.a", "bad"),
    )
    assert statuses(result) == [
        ("1.1.c", "blocked", "1.1.b"),
        ("1.1.b", "blocked", "1.1.a"),
        ("1.1.a", "lost", ""),
    ]


def test_an_open_need_leaves_the_rest_open(tmp_path: Path) -> None:
    result = grade(tmp_path, criterion("1.1.a", "our_fault"), criterion("1.1.b", "ok", needs=("1.1.a",)))
    assert [row.status for row in result.criteria] == [Status.ERROR, Status.UNVERIFIED]


def test_a_need_that_was_not_asked_for_is_no_obstacle(tmp_path: Path) -> None:
    assert statuses(grade(tmp_path, criterion("1.1.a", "ok", needs=("9.9.z",)))) == [("1.1.a", "earned", "")]


def test_a_partly_earned_need_is_met(tmp_path: Path) -> None:
    result = grade(tmp_path, criterion("1.1.a", "ok", "bad"), criterion("1.1.b", "ok", needs=("1.1.a",)))
    assert [row.status for row in result.criteria] == [Status.PARTIAL, Status.EARNED]


def test_parts_may_need_one_another(tmp_path: Path) -> None:
    parts = (
        Part(id="fires", title="", points=1, check="bad", parameters={}),
        Part(id="quiet", title="", points=1, check="ok", parameters={}, needs=("1.1.a/fires",)),
    )
    (row,) = grade(tmp_path, Criterion(id="1.1.a", title="", points=2, hint="", parts=parts)).criteria
    assert [part.status for part in row.parts] == [Status.LOST, Status.BLOCKED]
    assert row.status is Status.LOST


def test_a_missing_file_is_lost_once_and_blocks_the_rest(tmp_path: Path) -> None:
    api = Deliverable(id="api", path="src/api.py")
    manifest = Deliverable(id="other", path="other.txt")
    task = Task(
        id="1.1",
        title="T",
        deliverables=(api, manifest),
        criteria=(
            criterion("1.1.a", "ok", files=("api",)),
            criterion("1.1.b", "ok", "bad", files=("api",)),
            criterion("1.1.c", "ok", files=("other",)),
        ),
    )
    context = make_context(tmp_path, {"other.txt": ""}, deliverables={"other": "other.txt"})
    result = grade_tasks([task], context, CHECKS)["1.1"]
    assert statuses(result) == [("1.1.a", "lost", ""), ("1.1.b", "blocked", "1.1.a"), ("1.1.c", "earned", "")]
    assert result.criteria[0].findings == (
        Finding(message="src/api.py is missing", expected="src/api.py", actual="no such file"),
    )


def test_what_was_not_looked_for_everywhere_is_undecided(tmp_path: Path) -> None:
    query = Deliverable(id="query", path="", calls=("search_runs",))
    other = Deliverable(id="other", path="other.txt")
    task = Task(
        id="1.1",
        title="T",
        deliverables=(query, other),
        criteria=(
            criterion("1.1.a", "ok", files=("query",)),
            criterion("1.1.b", "ok", files=("query",)),
            criterion("1.1.c", "ok", files=("other",)),
        ),
    )
    context = make_context(tmp_path, {"README.md": ""})
    some = replace(context, submission=replace(context.submission, unread=3))
    result = grade_tasks([task], some, CHECKS)["1.1"]
    assert [row.status for row in result.criteria] == [Status.UNVERIFIED] * 2 + [Status.LOST]
    assert result.criteria[0].findings == (
        Finding(message="query was not found, and 3 files were not searched", expected="query"),
    )


def test_one_cause_is_lost_once_and_blocks_the_rest(tmp_path: Path) -> None:
    result = grade(
        tmp_path,
        criterion("1.1.a", "ok"),
        criterion("1.1.b", "ok", "stopped"),
        criterion("1.1.c", "stopped_too", "bad"),
        criterion("1.1.d", "stopped_too", "stopped_elsewhere"),
        criterion("1.1.e", "stopped", "stopped_elsewhere"),
    )
    assert statuses(result) == [
        ("1.1.a", "earned", ""),
        ("1.1.b", "partial", ""),
        ("1.1.c", "lost", "1.1.b"),
        ("1.1.d", "lost", "1.1.b"),
        ("1.1.e", "blocked", "1.1.b"),
    ]
    assert [finding.message for row in result.criteria for finding in row.findings] == [
        "it does not start",
        "no",
        "nor does that",
    ]


def test_a_cause_within_one_criterion_is_lost_at_its_first_part(tmp_path: Path) -> None:
    (row,) = grade(tmp_path, criterion("1.1.a", "stopped", "stopped_too")).criteria
    assert [(part.status, part.blocked_by) for part in row.parts] == [
        (Status.LOST, ""),
        (Status.BLOCKED, "1.1.a/stopped"),
    ]
    assert (row.status, row.findings) == (Status.LOST, (Finding(message="it does not start"),))


def test_an_empty_folder_gets_one_kind_line_a_task(tmp_path: Path) -> None:
    deliverables = (Deliverable(id="a", path="a.txt"), Deliverable(id="b", path="b.txt"))
    result = grade(
        tmp_path,
        criterion("1.1.a", "ok", files=("a",)),
        criterion("1.1.b", "ok", files=("b",)),
        criterion("1.1.c", "ok"),
        deliverables=deliverables,
    )
    assert [row.status for row in result.criteria] == [Status.LOST, Status.BLOCKED, Status.BLOCKED]
    assert [finding for row in result.criteria for finding in row.findings] == [
        Finding(message="nothing was handed in for this task yet", expected="a.txt, b.txt")
    ]


def test_the_observer_hears_of_every_part(tmp_path: Path) -> None:
    heard: list[tuple[str, str | None]] = []

    def observe(name: str, result: PartResult | None) -> None:
        heard.append((name, result.status.value if result else None))

    task = Task(id="1.1", title="T", deliverables=(), criteria=(criterion("1.1.a", "ok"),))
    grade_tasks([task], make_context(tmp_path, {}), CHECKS, observe)
    assert heard == [("1.1.a", None), ("1.1.a", "earned")]


def test_two_checks_of_one_name_are_refused() -> None:
    one = check("ok")(ok)
    with pytest.raises(ValueError, match="two checks are named ok"):
        table((one,), (one,))


@pytest.mark.parametrize("error", [None, GraderFault("x"), ValueError("y")], ids=repr)
def test_a_costly_look_is_shared(error: Exception | None) -> None:
    memo = Memo()
    calls: list[int] = []
    got: list[object] = []
    gate = threading.Event()

    def make() -> int:
        calls.append(1)
        gate.wait(5)
        if error is not None:
            raise error
        return 7

    def ask(look: Callable[[], int]) -> None:
        try:
            got.append(memo.once("key", look))
        except (GraderFault, ValueError) as raised:
            got.append(raised)

    threads = [threading.Thread(target=ask, args=(make,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert got == [7 if error is None else error] * 4
    assert len(calls) == (2 if isinstance(error, GraderFault) else 1)


# --- what a check reads ---------------------------------------------------------------------------


def words(context: Context, *, file: DeliverableId) -> list[str] | Finding | Outcome:
    text = context.deliverable(file).text
    assert isinstance(text, str)
    if text == "binary":
        return Finding(message="no words", where="a.txt")
    return failed(Finding(message="empty"), cause="empty") if not text else text.split()


@check("has", reads=words, evidence=Evidence.RUNS)
def has(_: Context, found: list[str], *, word: str) -> Outcome:
    return passed() if word in found else failed(Finding(message=f"no {word} in {found}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two", passed()),
        ("two", failed(Finding(message="no one in ['two']"))),
        (
            "binary",
            failed(
                Finding(message="no words", where="a.txt"),
                evidence=Evidence.STATIC,
                cause="a.txt no words",
            ),
        ),
        ("", failed(Finding(message="empty"), cause="empty")),
        (
            None,
            failed(
                Finding(message="a is missing", expected="a", actual="no such file"), evidence=Evidence.STATIC
            ),
        ),
    ],
)
def test_what_a_check_reads(tmp_path: Path, text: str | None, expected: Outcome) -> None:
    files = {} if text is None else {"a.txt": text}
    context = make_context(tmp_path, files, deliverables={"a": "a.txt"})
    assert outcome_of(has, context, {"file": "a", "word": "one"}) == expected


def test_what_is_read_is_read_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(context: Context, *, file: DeliverableId) -> str:
        asked.append(file)
        return context.deliverable(file).name

    def judge(_: Context, found: str, *, name: str) -> Outcome:
        return passed() if found == name else failed(Finding(message="no"))

    both = [check(name, reads=read)(judge) for name in ("one", "two")]
    assert list(both[0].parameters.model_fields) == ["file", "name"]
    context = make_context(tmp_path, {"a.txt": ""}, deliverables={"a": "a.txt"})
    for each in (*both, both[0]):
        assert outcome_of(each, context, {"file": "a", "name": "a.txt"}) == passed()
    assert asked == ["a"]


def test_a_check_that_does_not_say_what_it_reads_is_our_fault(tmp_path: Path) -> None:
    with pytest.raises(GraderFault, match="reads a, which is missing"):
        make_context(tmp_path, {}).deliverable("a")
