"""The report that a person reads in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from grader.report.safe import one_line, points, safe
from grader.results import CriterionResult, Finding, Grade, SectionResult, Status, TaskResult
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STYLES = {
    Status.EARNED: ("✔", "green"),
    Status.PARTIAL: ("◐", "yellow"),
    Status.LOST: ("✘", "red"),
    Status.BLOCKED: ("⊘", "dim red"),
    Status.UNVERIFIED: ("?", "cyan"),
    Status.ERROR: ("!", "bold magenta"),
}


def write_text(grade: Grade, stream: TextIO, *, verbose: bool = False, colour: bool | None = None) -> None:
    """Tables by section, then every point that was not earned and why.

    Args:
        verbose: also what earned its points, and every finding's detail.
        colour: None leaves it to the stream (a terminal has colours, a pipe has none).
    """
    console = Console(
        file=stream, no_color=colour is False, force_terminal=colour, highlight=False, soft_wrap=False
    )
    if not console.is_terminal:
        console = Console(file=stream, no_color=True, highlight=False, width=110)
    console.print(_heading(grade))
    console.print(_table(grade))
    for section in grade.sections:
        for task in section.tasks:
            _print_task(console, task, verbose=verbose)
    for remark in grade.remarks:
        console.print(Padding(_finding(remark, verbose=verbose), (0, 0, 0, 2)))
    console.print(summary(grade))


def summary(grade: Grade) -> Text:
    """The last word, on one line or two: `93.0 / 110  PASS  (incomplete: 93 to 110)`."""
    score = grade.score
    line = Text(f"{score.earned:.1f} / {points(score.possible)}", style="bold")
    line.append(
        "  PASS" if score.passed else "  NOT PASSED", style="bold green" if score.passed else "bold red"
    )
    line.append(f"  (pass mark {points(score.pass_mark)}", style="dim")
    if score.bonus_possible:
        line.append(f", bonus {points(score.bonus_earned)} of {points(score.bonus_possible)}", style="dim")
    line.append(")", style="dim")
    if score.complete:
        line.append("  complete", style="dim")
    else:
        line.append(
            f"\nincomplete: between {points(score.lowest)} and {points(score.highest)}"
            " once the criteria marked ? and ! are decided",
            style="cyan",
        )
    if grade.isolation == "none":
        line.append("\ncandidate code ran as you, without isolation", style="bold red")
    return line


def _heading(grade: Grade) -> Text:
    line = Text()
    line.append(one_line(grade.submission["name"]), style="bold")
    line.append(f" · {grade.exam['title']} · seed {grade.seed} · isolation {grade.isolation}", style="dim")
    source = grade.environment.get("source")
    if source:
        line.append(
            " · environment from " + {"lock": "its own lock file"}.get(str(source), "the exam"), style="dim"
        )
    if reason := grade.environment.get("reason"):
        line.append(f"\n{one_line(str(reason))}", style="yellow")
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
    marks = Text()
    for criterion in task.criteria:
        mark, style = STYLES[criterion.status]
        marks.append(mark + " ", style=style)
    return marks


def _print_task(console: Console, task: TaskResult, *, verbose: bool) -> None:
    shown = [row for row in task.criteria if verbose or row.status is not Status.EARNED or row.findings]
    if not shown:
        return
    console.print()
    console.print(Rule(Text(f"{task.id}  {task.title}"), align="left", style="dim", characters="─"))
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
            _print_criterion(console, criterion, verbose=verbose)
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


def _print_criterion(console: Console, criterion: CriterionResult, *, verbose: bool) -> None:
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
