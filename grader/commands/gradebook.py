"""`grader gradebook show`, `candidate` and `history`: what is in a gradebook, for readers."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any, Literal

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.check import unknown
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.reading import Order, events, everything_of, fields, in_order, is_found
from grader.cohort.gradebook.results import document_of
from grader.cohort.gradebook.standing import ONLY, STATES, Standing, standings
from grader.cohort.gradebook.whom import whom
from grader.cohort.points import shown
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.report.console import console
from grader.report.document import dump
from grader.report.formats import Settings
from grader.report.read import grade_of
from grader.report.safe import counted, one_line, points
from grader.report.spreadsheet import cell
from grader.report.text import STYLES, write_text
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console


Form = Literal["text", "json", "csv"]
COLUMNS = (
    *("key", "name", "email", "section", "state", "mark", "highest", "possible", "passed", "complete"),
    *("late", "overridden", "stale", "flagged", "submitted_at", "reason"),
)
NO_MARK = "\N{EN DASH}"
WIDEST_NAME = 28


# --- show -------------------------------------------------------------------------------------------


def show_command(
    path: Path,
    *,
    only: Sequence[str] = (),
    find: str = "",
    order: Order = "name",
    reverse: bool = False,
    anonymous: bool = False,
    form: Form = "text",
) -> int:
    """Print where each candidate stands.

    Args:
        only: keep who is any of these.
        find: keep whose key, name, e-mail or section has this in it.

    Raises:
        UsageError: nothing is called like that.
    """
    for name in only:
        if name not in ONLY:
            raise UsageError(f"{unknown('selection', name, ONLY)}; there are {', '.join(ONLY)}")
    with open_gradebook(path) as book:
        names = Names(book, anonymous=anonymous)
        everybody = standings(book)
    kept = [
        row
        for row in everybody
        if (not only or any(ONLY[name](row) for name in only)) and is_found(row, find, names)
    ]
    kept = in_order(kept, order, names, reverse=reverse)
    if form == "json":
        dump([fields(row, names) for row in kept], sys.stdout)
    elif form == "csv":
        out = csv.writer(sys.stdout)
        out.writerow(COLUMNS)
        for row in kept:
            out.writerow([_cell(value) for value in fields(row, names).values()])
    else:
        _print_cohort(console(sys.stdout), kept, len(everybody), names)
    return PASSED


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return points(value)
    return cell(str(value))


def _print_cohort(out: Console, rows: Sequence[Standing], everybody: int, names: Names) -> None:
    of = f" of {everybody:,}" if len(rows) < everybody else ""
    told = [f"{sum(row.state == state for row in rows)} {state}" for state in STATES]
    told = [each for each in told if not each.startswith("0 ")]
    out.print(
        Text(
            f"{counted(len(rows), 'candidate', 'candidates')}{of}" + (f": {', '.join(told)}" if told else "")
        )
    )
    scales = {(row.possible, row.pass_mark) for row in rows if row.points is not None}
    if len(scales) == 1:
        possible, pass_mark = scales.pop()
        out.print(Text(f"marks of {_points(possible)}, {_points(pass_mark)} to pass", style="dim"))
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("candidate", overflow="fold", max_width=WIDEST_NAME, min_width=10)
    table.add_column("mark", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    called = names.apart(row.candidate for row in rows)
    for row in rows:
        table.add_row(
            Text(called[row.candidate]),
            Text(_mark(row, scale=len(scales) > 0)),
            _verdict(row),
            Text(", ".join(_notes(row, names)), style="dim" if row.points is not None else "cyan"),
        )
    out.print(table)


def _points(twentieths: int | None) -> str:
    return NO_MARK if twentieths is None else shown(twentieths)


def _mark(row: Standing, *, scale: bool) -> str:
    """`87.5`, or `80-87.5` (a dash) while points are undecided; with what it is of where that differs."""
    text = _points(row.points)
    if row.highest is not None and row.highest != row.points:
        text += f"{NO_MARK}{_points(row.highest)}"
    return f"{text}/{_points(row.possible)}" if scale and row.points is not None else text


def _verdict(row: Standing) -> Text:
    if row.points is None:
        return Text("")
    if row.passed is None:
        return Text("?", style="cyan")
    mark, style = STYLES[Status.EARNED if row.passed else Status.LOST]
    return Text(mark, style=style)


def _notes(row: Standing, names: Names) -> list[str]:
    notes = ["late"] if row.late else []
    notes += ["undecided"] if row.state == "open" else []
    notes += [f"{row.overrides} overridden"] if row.overrides else []
    notes += [f"{row.stale} stale"] if row.stale else []
    notes += ["flagged"] if row.flags else []
    return notes + ([names.text(row.reason, longest=160)] if row.reason else [])


# --- candidate --------------------------------------------------------------------------------------


def candidate_command(
    path: Path,
    who: str,
    *,
    anonymous: bool = False,
    verbose: bool = False,
    report: bool = False,
    form: Literal["text", "json"] = "text",
) -> int:
    """Print all that is known of one candidate.

    Args:
        report: print the report of the result that counts, as `grader report` does.
    """
    with open_gradebook(path) as book:
        found = whom(book, who, anonymous=anonymous)
        names = Names(book, anonymous=anonymous)
        standing = next(row for row in standings(book) if row.candidate == found)
        if report and standing.result is not None:
            write_text(grade_of(document_of(book, standing.result)), sys.stdout, Settings(verbose=verbose))
            return PASSED
        data = everything_of(book, standing, names)
    if form == "json":
        dump(data, sys.stdout)
    else:
        _print_candidate(console(sys.stdout), standing, data, names, verbose=verbose)
    return PASSED


def _print_candidate(
    out: Console, standing: Standing, data: dict[str, Any], names: Names, *, verbose: bool
) -> None:
    out.print(Text(names.full(standing.candidate), style="bold"))
    told = [data["email"], data["section"], *(f"{key} {value}" for key, value in data["identities"].items())]
    if any(told):
        out.print(Text(", ".join(filter(None, told)), style="dim"))
    out.print(_mark_line(standing))
    if notes := _notes(standing, names):
        out.print(Padding(Text(", ".join(notes)), (0, 0, 0, 2)))
    for each in data["submissions"]:
        out.print(Padding(_submission_line(each), (0, 0, 0, 2)))
    if data["criteria"]:
        out.print()
        out.print(_criteria(data, verbose=verbose))
    for each in data["overrides"]:
        out.print(_override_line(each))
    for each in data["flags"]:
        done = f" (done by {each['done_by']}, {_minute(each['done_at'])})" if each["done_at"] else ""
        out.print(
            Text(f"flag {each['id']}: {each['reason']} ({each['author']}, {_minute(each['at'])}){done}")
        )


def _mark_line(standing: Standing) -> Text:
    if standing.points is None:
        return Text("no mark", style="cyan")
    line = Text(f"{_mark(standing, scale=False)} of {_points(standing.possible)}")
    verdict = {True: "passed", False: "not passed", None: "undecided"}[standing.passed]
    return line.append(f", {verdict} ").append(_verdict(standing))


def _submission_line(each: dict[str, Any]) -> Text:
    line = Text("submission " + str(each["id"]), style="bold" if each["counts"] else "")
    when = f"handed in {_minute(each['submitted_at'])}" if each["submitted_at"] else ""
    known = [when, "late" if each["late"] else "", each["tag"], "counts" if each["counts"] else ""]
    line.append(": " + ", ".join(filter(None, [*known, each["source"]])), style="")
    if each["unreadable"]:
        line.append(f": cannot be read: {each['unreadable']}", style="cyan")
    for result in each["results"]:
        void = f", void: {result['void']}" if result["void"] else ""
        line.append(
            f"\n  result {result['id']}, {_minute(result['at'])}: {points(result['score'])}{void}", "dim"
        )
    return line


def _criteria(data: dict[str, Any], *, verbose: bool) -> Table:
    """Each task, and below it what did not earn its points or is overridden; verbose, all."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for task in data["tasks"]:
        rows = [each for each in data["criteria"] if each["task"] == task["id"]]
        whole = task["overridden"] and not any(each["override"] for each in rows)
        table.add_row(
            Text(one_line(task["id"]), style="bold"),
            Text(f"{points(task['points'])}/{points(task['possible'])}", style="bold"),
            Text(""),
            Text("overridden as a whole" if whole else "", style="magenta"),
        )
        for each in rows:
            if verbose or each["status"] != "earned" or each["override"]:
                mark, style = STYLES[Status(each["status"])]
                note = (
                    f"override {each['override']}, graded {points(each['earned'])}"
                    if each["override"]
                    else ""
                )
                table.add_row(
                    Text(f"  {one_line(each['id'])}"),
                    Text(f"{points(each['points'])}/{points(each['possible'])}"),
                    Text(mark, style=style),
                    Text(note, style="magenta"),
                )
    return table


def _override_line(each: dict[str, Any]) -> Text:
    line = Text(f"override {each['id']}: ", style="magenta")
    line.append(f"{one_line(each['target'])} {points(each['points'])}", style="bold")
    line.append(f", {each['reason']} ({each['author']}, {_minute(each['at'])})", style="")
    if each["withdrawn_at"]:
        line.append(f", withdrawn by {each['withdrawn_by']}, {_minute(each['withdrawn_at'])}", style="dim")
    elif each["stale"]:
        line.append(", stale: what it was based on has changed", style="yellow")
    return line


def _minute(at: str | None) -> str:
    return (at or "")[:16].replace("T", " ")


# --- history ----------------------------------------------------------------------------------------


def history_command(
    path: Path, who: str = "", *, last: int = 0, anonymous: bool = False, form: Form = "text"
) -> int:
    """Print what happened, oldest first.

    Args:
        who: only to this candidate, with the results of all submissions.
        last: only so many; 0: all.
    """
    with open_gradebook(path) as book:
        names = Names(book, anonymous=anonymous)
        found = whom(book, who, anonymous=anonymous) if who else None
        rows = events(book, found, names)[-last:]
    if form == "json":
        dump(rows, sys.stdout)
    elif form == "csv":
        out = csv.writer(sys.stdout)
        out.writerow(("at", "who", "what", "candidate", "data"))
        for row in rows:
            data = json.dumps(row["data"], ensure_ascii=False)
            out.writerow([row["at"], *(cell(row[name] or "") for name in ("who", "what", "candidate")), data])
    else:
        out_ = console(sys.stdout)
        for row in rows:
            out_.print(_event_line(row))
        if not rows:
            out_.print(Text("nothing happened yet"))
    return PASSED


def _event_line(row: dict[str, Any]) -> Text:
    line = Text(f"{_minute(row['at'])}  ", style="dim")
    line.append(f"{row['who']}  ", style="")
    line.append(row["what"], style="bold")
    if row["candidate"]:
        line.append(f" {row['candidate']}", style="")
    told = ", ".join(f"{name} {value}" for name, value in row["data"].items() if value not in ("", None))
    return line.append(f"  {told}" if told else "", style="")
