"""The report that a person reads in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from grader.errors import NothingRuns
from grader.report.console import console
from grader.report.previous import Direction, changes, comparability, difference, signed, told
from grader.report.safe import counted, counted_points, one_line, points, safe
from grader.report.solution import write_solutions
from grader.results import CallRecord, CriterionResult, Finding, Grade, SectionResult, Status, TaskResult
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from grader.report.formats import Settings

STYLES = {
    Status.EARNED: ("✔", "green"),
    Status.PARTIAL: ("◐", "yellow"),
    Status.LOST: ("✘", "red"),
    Status.BLOCKED: ("⊘", "dim red"),
    Status.UNVERIFIED: ("?", "cyan"),
    Status.ERROR: ("!", "bold magenta"),
}


STATIC = "static"
"""The isolation of a grade that ran nothing."""
SEEN_AT_ONCE = frozenset({Status.EARNED, Status.LOST})
"""Statuses whose mark nobody has to look up."""


def write_text(grade: Grade, stream: TextIO, settings: Settings) -> None:
    """Tables by section, then every point that was not earned and why, and the total.

    Verbose, it also has what earned its points, which files were taken, and every finding's detail.
    """
    verbose = settings.verbose
    out = console(stream, settings.colour)
    out.print(_heading(grade))
    out.print(_table(grade))
    if legend := _legend(grade):
        out.print(legend)
    not_run = {} if verbose else _not_run(grade)
    for section in grade.sections:
        for task in section.tasks:
            _print_task(out, task, verbose=verbose, leave_out=not_run)
    for name, record in grade.calls.items() if verbose else ():
        out.print(Padding(_called(name, record), (0, 0, 0, 2)))
    for remark in grade.remarks:
        out.print(Padding(_finding(remark, verbose=verbose), (0, 0, 0, 2)))
    write_solutions(grade, out)
    out.print()
    if not_run:
        out.print(_not_run_line(not_run))
    if settings.previous is not None:
        for line in _changes(settings.previous, grade):
            out.print(line)
    out.print(summary(grade, settings.previous))


def _called(name: str, record: CallRecord) -> Text:
    """`train: src/train.py, called as "python src/train.py --config params.yaml" (dvc.yaml:7)`."""
    line = Text(f"{one_line(name)}: {one_line(record.path)}, called as ")
    line.append(one_line(record.command), style="bold")
    if record.origin:
        line.append(f" ({one_line(record.origin)})")
    if record.variables:
        line.append(f" with {one_line(', '.join(record.variables))}")
    for trial in record.trials:
        line.append(f"\n  before: {one_line(trial)}", style="dim")
    return line


CHANGE_STYLES = {Direction.UP: "green", Direction.DOWN: "red", Direction.DECIDED: "red"}


def _changes(previous: Grade, grade: Grade) -> Iterator[Text]:
    """What is different from an earlier grade, a line each."""
    if reason := comparability(previous, grade):
        yield Text(f"before: {reason}", style="yellow")
    found = changes(previous, grade)
    for change in found:
        line = Text(told(change), style=CHANGE_STYLES.get(change.direction, "dim"))
        line.append(f"  {one_line(change.row.title)}", style="dim")
        yield line
    if not found:
        yield Text("nothing changed since the earlier grade", style="dim")


def summary(grade: Grade, previous: Grade | None = None) -> Text:
    """The last word, on one line or two: `93 / 110  PASS  (pass mark 70)  complete`."""
    score = grade.score
    line = Text(f"{points(score.earned)} / {points(score.possible)}", style="bold")
    if previous is not None:
        line.append(f" ({signed(difference(previous, grade))})")
    verdict, style = ("PASS", "green") if score.passed else ("NOT PASSED", "red")
    if not score.certain:
        verdict, style = "UNDECIDED", "cyan"
    line.append(f"  {verdict}", style=f"bold {style}")
    line.append(f"  (pass mark {points(score.pass_mark)}", style="dim")
    if score.bonus_possible:
        line.append(f", bonus {points(score.bonus_earned)} of {points(score.bonus_possible)}", style="dim")
    line.append(")", style="dim")
    if score.complete:
        line.append("  complete", style="dim")
    else:
        rows = _rows(grade)
        still_open = sum(row.status.open for row in rows)
        line.append(
            f"\nincomplete: between {points(score.lowest)} and {points(score.highest)}"
            f" once {still_open} of {counted(len(rows), 'criterion', 'criteria')}, marked ? or !,"
            f" {'is' if still_open == 1 else 'are'} decided",
            style="cyan",
        )
    if grade.isolation == "none":
        line.append("\ncandidate code ran as you, without isolation", style="bold red")
    return line


def _rows(grade: Grade) -> list[CriterionResult]:
    return [row for section in grade.sections for task in section.tasks for row in task.criteria]


def _heading(grade: Grade) -> Text:
    line = Text()
    line.append(one_line(grade.submission["name"]), style="bold")
    told = [str(grade.exam["title"])]
    graded = len(_rows(grade))
    if graded < grade.criteria_of_exam:
        told.append(f"{graded} of {grade.criteria_of_exam} criteria")
    if grade.seed:
        told.append(f"seed {grade.seed}")
    told.append("static: nothing was run" if grade.isolation == STATIC else f"isolation {grade.isolation}")
    if source := grade.environment.get("source"):
        told.append("environment from " + {"lock": "its own lock file"}.get(str(source), "the exam"))
    line.append("".join(f" · {each}" for each in told), style="dim")
    if reason := grade.environment.get("reason"):
        line.append(f"\n{one_line(str(reason))}", style="yellow")
    return line


def _legend(grade: Grade) -> Text | None:
    """What the marks mean, where one occurs that does not speak for itself."""
    statuses = {row.status for row in _rows(grade)}
    if statuses <= SEEN_AT_ONCE:
        return None
    line = Text(style="dim")
    for status, (mark, style) in STYLES.items():
        if status in statuses:
            line.append("  " if line else "")
            line.append(mark, style=style)
            line.append(f" {status.value}")
    return line


def _not_run(grade: Grade) -> dict[str, CriterionResult]:
    """Criteria of which nothing is told but that `--static` runs nothing."""
    if grade.isolation != STATIC:
        return {}
    rows = {row.id: row for row in _rows(grade) if row.status is Status.UNVERIFIED}
    undecided = {name: row for name, row in rows.items() if _lost_nothing(row)}
    why = str(NothingRuns())
    return {name: row for name, row in undecided.items() if _reason(_root(row, list(rows.values()))) == why}


def _lost_nothing(row: CriterionResult) -> bool:
    return all(part.status in (Status.EARNED, Status.UNVERIFIED) for part in row.parts)


def _reason(row: CriterionResult) -> str:
    return next((finding.message for part in row.parts if part.status.open for finding in part.findings), "")


def _not_run_line(rows: dict[str, CriterionResult]) -> Text:
    mark, style = STYLES[Status.UNVERIFIED]
    line = Text(f"{mark} not run: ", style=style)
    line.append(counted(len(rows), "criterion", "criteria"), style="bold")
    line.append(f" with {counted_points(add(row.highest - row.earned for row in rows.values()))}")
    line.append(" that only running the submission can decide (-v lists them)", style="dim")
    return line


def _table(grade: Grade) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Task", ""):
        table.add_column(name)
    table.add_column("Points", justify="right")
    table.add_column("Of", justify="right", style="dim")
    table.add_column("")
    for section in grade.sections:
        _add_section(table, section)
    return table


def _add_section(table: Table, section: SectionResult) -> None:
    rows = [criterion for task in section.tasks for criterion in task.criteria]
    table.add_row(
        Text(section.id, style="bold"),
        Text(section.title, style="bold"),
        Text(points(add(row.earned for row in rows)), style="bold"),
        points(add(row.points for row in rows)),
        "",
    )
    for task in section.tasks:
        table.add_row(
            f"  {task.id}",
            task.title,
            points(add(row.earned for row in task.criteria)),
            points(add(row.points for row in task.criteria)),
            _marks(task),
        )


def _marks(task: TaskResult) -> Text:
    """A mark for each criterion; with its name where it is not earned, unless all are alike."""
    marks = Text()
    alike = len({row.status for row in task.criteria}) == 1
    for criterion in task.criteria:
        mark, style = STYLES[criterion.status]
        named = "" if alike or criterion.status is Status.EARNED else criterion.id.removeprefix(f"{task.id}.")
        marks.append(mark + named + " ", style=style)
    return marks


def _print_task(
    console: Console, task: TaskResult, *, verbose: bool, leave_out: dict[str, CriterionResult]
) -> None:
    shown = [
        row
        for row in task.criteria
        if row.id not in leave_out and (verbose or row.status is not Status.EARNED or row.findings)
    ]
    if not shown:
        return
    console.print()
    console.print(Rule(Text(f"{task.id}  {task.title}"), align="left", style="dim", characters="─"))
    if verbose:
        for name, path in task.files.items():
            text = Text(f"{name}: ", style="dim")
            text.append(one_line(path) or "not found", style="" if path else "dim")
            console.print(Padding(text, (0, 0, 0, 2)))
    undecided = [
        row for row in shown if row.status is Status.UNVERIFIED and _wholly_open(row) and not verbose
    ]
    repeated = {} if verbose else _repeated(shown)
    for criterion in shown:
        if (
            criterion.status is not Status.BLOCKED
            and criterion not in undecided
            and criterion.id not in repeated
        ):
            print_criterion(console, criterion, verbose=verbose)
    for cause, rows in _grouped([row for row in shown if row.id in repeated], lambda row: repeated[row.id]):
        _print_group(console, Status.LOST, rows, f"for the same reason as {cause}")
    reasons = {row.id: next((each.message for each in row.findings), "") for row in undecided}
    for reason, rows in _grouped(undecided, lambda row: reasons.get(_root(row, undecided).id, "")):
        _print_group(console, Status.UNVERIFIED, rows, f"not decided: {safe(reason)}")
    for cause, rows in _grouped([row for row in shown if row.status is Status.BLOCKED], _cause):
        _print_group(console, Status.BLOCKED, rows, f"not earned, because {cause} was lost")


def _repeated(rows: list[CriterionResult]) -> dict[str, str]:
    """Criteria that were lost for nothing but what an earlier one says, and that one."""
    first: dict[tuple[Finding, ...], str] = {}
    found: dict[str, str] = {}
    for row in rows:
        if row.status is Status.LOST and row.findings:
            cause = first.setdefault(tuple(row.findings), row.id)
            if cause != row.id:
                found[row.id] = cause
    return found


def _wholly_open(criterion: CriterionResult) -> bool:
    return all(part.status.open for part in criterion.parts)


def _cause(criterion: CriterionResult) -> str:
    return criterion.blocked_by


def _root(criterion: CriterionResult, rows: list[CriterionResult]) -> CriterionResult:
    """The criterion at which it began, for one that only waits for another."""
    by_id = {row.id: row for row in rows}
    for _ in rows:
        above = by_id.get(criterion.parts[0].blocked_by.partition("/")[0])
        if above is None or above is criterion:
            break
        criterion = above
    return criterion


def _grouped(
    rows: list[CriterionResult], key: Callable[[CriterionResult], str]
) -> Iterator[tuple[str, list[CriterionResult]]]:
    for value in dict.fromkeys(map(key, rows)):
        yield value, [row for row in rows if key(row) == value]


def _print_group(console: Console, status: Status, rows: list[CriterionResult], why: str) -> None:
    """One line for many criteria that share one story."""
    mark, style = STYLES[status]
    line = Text(f"{mark} ", style=style)
    line.append(", ".join(row.id for row in rows), style=style)
    line.append(f"  0 of {points(add(row.points for row in rows))}  ", style="bold")
    line.append(why, style="dim")
    console.print(line)


def print_criterion(console: Console, criterion: CriterionResult, *, verbose: bool) -> None:
    """Print what became of one criterion, and why."""
    mark, style = STYLES[criterion.status]
    line = Text()
    line.append(f"{mark} {criterion.id}", style=style)
    line.append(f"  {points(criterion.earned)} of {points(criterion.points)}  ", style="bold")
    line.append(criterion.title)
    if criterion.status in (Status.UNVERIFIED, Status.ERROR):
        line.append(f"  ({criterion.status.value})", style=style)
    elif criterion.evidence:
        line.append(f"  ({'ran' if criterion.evidence == 'runs' else 'read'})", style="dim")
    console.print(line)
    for text in _lines(criterion, verbose=verbose):
        console.print(Padding(text, (0, 0, 0, 4)))


def _lines(criterion: CriterionResult, *, verbose: bool) -> Iterator[Text]:
    for part in criterion.parts:
        if part.id and (verbose or part.status is not Status.EARNED):
            mark, style = STYLES[part.status]
            yield Text(f"{mark} {part.title} ({points(part.points)})", style=style)
    for finding in criterion.findings:
        yield _finding(finding, verbose=verbose or criterion.status is Status.ERROR)
    if criterion.hint and criterion.status in (Status.LOST, Status.PARTIAL):
        yield Text(f"hint: {criterion.hint.strip()}", style="blue")


def _finding(finding: Finding, *, verbose: bool) -> Text:
    text = Text()
    if finding.where:
        text.append(f"{one_line(finding.where)}: ", style="bold")
    text.append(safe(finding.message))
    for label, value in (("expected", finding.expected), ("found", finding.actual)):
        if value:
            text.append(f"\n  {label}: ", style="dim")
            text.append(one_line(value))
    if finding.detail:
        lines = safe(finding.detail).rstrip().split("\n")
        shown = lines if verbose else lines[-6:]
        text.append("\n  " + "\n  ".join(shown), style="dim")
    return text
