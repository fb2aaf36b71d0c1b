"""Statistics on a stream: for a person, and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TextIO, get_args

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.cohort.points import TWENTIETHS, points_of, shown
from grader.cohort.statistics.analysis import (
    MIN_CANDIDATES,
    MIN_CORRELATION,
    MIN_FULL,
)
from grader.cohort.statistics.model import FlagKind, Level
from grader.report.console import console, speaks_unicode
from grader.report.document import dump
from grader.report.safe import counted, one_line, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from grader.cohort.statistics.model import ExamStatistics, Flag, Interval, Item, Statistics
    from grader.report.console import Colour

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = get_args(Form)

WIDE = 76
"""From this width on, facilities have bars."""
WITH_TITLES = 100
"""From this width on, criteria have their titles."""
MIN_TITLE = 24
BAR = 10
MIN_HISTOGRAM_BAR = 10


def write(
    result: Statistics,
    stream: TextIO,
    form: Form = "text",
    *,
    titles: Mapping[str, str] | None = None,
    messages: Mapping[str, str] | None = None,
    colour: Colour = "auto",
) -> None:
    """Write statistics.

    Args:
        titles: of tasks and criteria, by id.
        messages: of findings, by fingerprint.
    """
    if form == "json":
        dump(document(result), stream)
        return
    out = console(stream, colour)
    full = "█" if speaks_unicode(stream) else "#"
    _write_text(result, out, full, titles or {}, messages or {})


# --- text -------------------------------------------------------------------------------------------


def _write_text(
    result: Statistics, out: Console, full: str, titles: Mapping[str, str], messages: Mapping[str, str]
) -> None:
    for line in _heading(result):
        out.print(line)
    if result.exam.mean is not None:
        out.print()
        out.print(_numbers(result.exam))
        out.print()
        out.print(Text("distribution, in % of full marks", style="bold"))
        for line in _histogram(result.exam, out.width, full):
            out.print(line)
    for name, items in (("task", result.tasks), ("criterion", result.criteria)):
        if items:
            out.print()
            counts = result.level is Level.COUNTS
            out.print(_counts(name, items) if counts else _items(name, items, out.width, full, titles))
    flagged = [item for item in (*result.tasks, *result.criteria) if item.flags]
    if flagged:
        out.print()
        out.print(Text("worth a look", style="bold"))
        for item in flagged:
            title = one_line(titles.get(item.id, ""))
            out.print(Text(f"  {one_line(item.id)}  ", style="bold yellow").append(title, style="dim"))
            for flag in item.flags:
                out.print(Padding(_flag_line(flag, messages), (0, 0, 0, 4)))
    elif result.level is not Level.COUNTS:
        out.print()
        out.print(Text("nothing is flagged", style="dim"))


def _heading(result: Statistics) -> Iterator[Text]:
    exam = result.exam
    line = Text(counted(exam.candidates, "candidate", "candidates"), style="bold")
    if missing := exam.candidates - exam.complete:
        line.append(f", {exam.complete} with every criterion decided", style="")
        yield line
        yield Text(f"the other {missing:,} count only for what is decided", style="cyan")
    else:
        yield line
    if result.level is Level.COUNTS:
        yield Text(f"fewer than {MIN_CANDIDATES} candidates: counts only", style="yellow")
    elif exam.mean is None:
        yield Text(
            f"fewer than {MIN_CANDIDATES} are decided in full: nothing is said of the whole exam",
            style="yellow",
        )
    if result.level is not Level.COUNTS and exam.complete < MIN_FULL:
        yield Text(f"indicative: fewer than {MIN_FULL} candidates", style="yellow")


def _numbers(exam: ExamStatistics) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    table.add_column(style="dim")
    small = 1 / TWENTIETHS
    of_points = f"of {points(exam.possible * small)}"
    pass_rate = "-" if exam.pass_rate is None else f"{exam.pass_rate * 100:.0f} %"
    passed = f"{exam.passed} of {exam.complete}"
    table.add_row("mean", _number(exam.mean, small), of_points, _between(exam.mean_interval, small))
    table.add_row("median", _number(exam.median, small))
    table.add_row("standard deviation", _number(exam.deviation, small))
    table.add_row("skewness", _number(exam.skewness))
    table.add_row("Cronbach's alpha", _number(exam.alpha), "over tasks", _between(exam.alpha_interval))
    table.add_row("error of one mark", _number(exam.standard_error, small))
    between = _between(exam.pass_rate_interval, 100, digits=0)
    table.add_row(f"pass rate, from {points(exam.pass_mark * small)}", pass_rate, passed, between)
    return table


def _between(interval: Interval | None, scale: float = 1, digits: int = 2) -> str:
    if interval is None:
        return ""
    return f"95 %: {interval.low * scale:.{digits}f} to {interval.high * scale:.{digits}f}"


def _number(value: float | None, scale: float = 1) -> str:
    return "-" if value is None else f"{value * scale:.2f}"


def _histogram(exam: ExamStatistics, width: int, full: str) -> Iterator[Text]:
    most = max(each.count for each in exam.histogram) if exam.histogram else 0
    digits = len(str(most))
    room = max(MIN_HISTOGRAM_BAR, min(60, width - 14 - digits))
    for each in exam.histogram:
        line = Text(f"{each.low:>5.0f} to {each.high:<4.0f}{each.count:>{digits}} ", style="dim")
        # Somebody is somebody: no bar is shorter than one block.
        line.append(full * (max(1, round(room * each.count / most)) if each.count else 0), style="blue")
        line.rstrip()
        yield line


def _counts(name: str, items: tuple[Item, ...]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(name, overflow="fold")
    for title in ("points", "earned", "partial", "lost", "blocked", "missing"):
        table.add_column(title, justify="right", no_wrap=True)
    for item in items:
        counts = item.counts
        cells = (counts.earned, counts.partial, counts.lost, counts.blocked, counts.missing)
        table.add_row(
            one_line(item.id),
            shown(item.possible),
            *(str(each) if each else "-" for each in cells),
        )
    return table


def _items(name: str, items: tuple[Item, ...], width: int, full: str, titles: Mapping[str, str]) -> Table:
    """The item table. Columns in which nobody has anything are left out."""
    with_bars, with_titles = width >= WIDE, width >= WITH_TITLES and bool(titles)
    columns: dict[str, list[str]] = {
        "facility": [_percent(item.facility) for item in items],
        "r": [_number(item.correlation) for item in items],
        "effic.": [_percent(item.efficiency) for item in items],
        "blocked": [_percent(item.blocked, zero="") for item in items],
        "missing": [str(item.counts.missing or "") for item in items],
        "s": ["" if item.seconds is None else f"{item.seconds:.1f}" for item in items],
    }
    columns = {title: cells for title, cells in columns.items() if any(cells)}
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(name, overflow="fold")
    if with_bars:
        table.add_column("", width=BAR, no_wrap=True, style="blue")
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    if with_titles:
        table.add_column("", no_wrap=True, style="dim")
    for number, item in enumerate(items):
        cells: list[str | Text] = [Text(one_line(item.id), style="bold yellow" if item.flags else "")]
        if with_bars:
            cells.append(full * round(BAR * (item.facility or 0)))
        cells += [column[number] for column in columns.values()]
        if with_titles:
            cells.append(Text(one_line(titles.get(item.id, ""), longest=width - WITH_TITLES + MIN_TITLE)))
        table.add_row(*cells)
    return table


def _percent(value: float | None, zero: str = "0 %") -> str:
    if value is None:
        return "-"
    return f"{value * 100:.0f} %" if value else zero


def _flag_line(flag: Flag, messages: Mapping[str, str]) -> Text:
    line = Text(say_flag(flag))
    if flag.fingerprint:
        line.append(f': "{one_line(messages.get(flag.fingerprint, flag.fingerprint))}"', style="dim")
    if flag.candidates:
        line.append(f": {', '.join(one_line(each, longest=60) for each in flag.candidates)}", style="dim")
    return line


def say_flag(flag: Flag) -> str:
    """Why it is worth a look, in words."""
    value = flag.value or 0.0
    match flag.kind:
        case FlagKind.NOBODY_LOST:
            return "nobody lost anything; it tells nobody apart"
        case FlagKind.NOBODY_EARNED:
            return "nobody earned anything; perhaps the check or the task is wrong"
        case FlagKind.NEGATIVE:
            return f"r = {value:.2f}: who does better in the rest does worse here"
        case FlagKind.WEAK:
            return f"r = {value:.2f}, below {MIN_CORRELATION}: it has little to do with the rest"
        case FlagKind.BLOCKED:
            return f"blocked for {value * 100:.0f} % by earlier losses"
        case FlagKind.ONE_FINDING:
            return (
                f"{value * 100:.0f} % of the losses have one finding; perhaps the check or the task is wrong"
            )
        case FlagKind.OVERRIDDEN:
            return f"overridden for {value * 100:.0f} %; the check is probably wrong"
        case FlagKind.ODD_SECONDS:
            return f"took far longer than usual (up to {value:.1f} s)"


# --- JSON -------------------------------------------------------------------------------------------


def document(result: Statistics) -> dict[str, Any]:
    """Plain data, from which JSON is written. Points are points here, not twentieths."""
    exam = result.exam
    return {
        "level": result.level.value,
        "seed": result.seed,
        "exam": {
            "points": points_of(exam.possible),
            "pass_mark": points_of(exam.pass_mark),
            "candidates": exam.candidates,
            "complete": exam.complete,
            "passed": exam.passed,
            "mean": _points(exam.mean),
            "mean_interval": _interval(exam.mean_interval, 1 / TWENTIETHS),
            "median": _points(exam.median),
            "standard_deviation": _points(exam.deviation),
            "skewness": exam.skewness,
            "cronbach_alpha": exam.alpha,
            "cronbach_alpha_interval": _interval(exam.alpha_interval),
            "standard_error_of_measurement": _points(exam.standard_error),
            "pass_rate": exam.pass_rate,
            "pass_rate_interval": _interval(exam.pass_rate_interval),
            "histogram": [
                {"from": each.low, "to": each.high, "count": each.count} for each in exam.histogram
            ],
        },
        "tasks": [_item(item) for item in result.tasks],
        "criteria": [_item(item) for item in result.criteria],
    }


def _points(value: float | None) -> float | None:
    return None if value is None else value / TWENTIETHS


def _interval(interval: Interval | None, scale: float = 1) -> list[float] | None:
    return None if interval is None else [interval.low * scale, interval.high * scale]


def _item(item: Item) -> dict[str, Any]:
    counts = item.counts
    return {
        "id": item.id,
        "task": item.task,
        "points": points_of(item.possible),
        "counts": {
            "earned": counts.earned,
            "partial": counts.partial,
            "lost": counts.lost,
            "blocked": counts.blocked,
            "missing": counts.missing,
        },
        "facility": item.facility,
        "correlation": item.correlation,
        "discriminative_efficiency": item.efficiency,
        "blocked": item.blocked,
        "overridden": item.overridden,
        "median_seconds": item.seconds,
        "findings": [{"fingerprint": name, "count": count} for name, count in item.findings],
        "flags": [
            {
                "kind": flag.kind.value,
                "value": flag.value,
                "fingerprint": flag.fingerprint,
                "candidates": list(flag.candidates),
            }
            for flag in item.flags
        ],
    }
