"""`grader gradebook export`."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.cohort.exports import canvas, files, moodle, tables
from grader.cohort.exports.delimited import read_table, shown
from grader.cohort.exports.forms import FORMS
from grader.cohort.exports.marks import read_marks
from grader.cohort.exports.output import write_bytes, write_folder, write_zip
from grader.cohort.exports.round_trip import decimal, fill
from grader.cohort.gradebook import open_gradebook
from grader.commands.lines import named, say
from grader.error_handler import INCOMPLETE, PASSED
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.formats import refuse_unwritable
from grader.report.safe import counted, counted_points
from grader.web.copy import pages

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from grader.cohort.exports.marks import Absent, Incomplete, Marks
    from grader.cohort.exports.round_trip import Filled

READERS = {"moodle": moodle.read_worksheet, "canvas": canvas.read_gradebook}
TABLES = {"csv": tables.write_candidates, "criteria": tables.write_criteria, "jsonl": tables.write_lines}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user decides of an export."""

    incomplete: Incomplete = "refuse"
    missing: Absent = "blank"
    unreadable: Absent = "blank"
    column: str = ""
    maximum: float | None = None
    full: float | None = None
    page: str = "html"
    anonymous: bool = False


def export_command(
    form: str, *, gradebook: Path, worksheet: Path | None, output: Path | None, choices: Choices
) -> int:
    """Write the marks, and say by the exit code whether somebody is left without."""
    kind = FORMS[form].kind
    _refuse_words(form, kind, worksheet, output)
    with open_gradebook(gradebook) as book:
        marks = read_marks(
            book,
            incomplete=choices.incomplete,
            missing=choices.missing,
            unreadable=choices.unreadable,
            anonymous=choices.anonymous,
        )
        if worksheet is not None and output is not None:
            return _fill(form, worksheet, output, marks, choices)
        if output is None:
            TABLES[form](marks, sys.stdout)
            said: TextIO = sys.stderr
        else:
            _write(form, kind, output, marks, choices)
            said = sys.stdout
        lines = _without(marks)
        if form == "moodle-feedback":
            lines += named(
                "without a file, as Moodle's number is not known",
                [each.who for each in files.without_number(marks)],
            )
        told = [*lines, *_remarks(marks)]
        if output is not None:
            told.insert(0, f"{output}: {counted(len(marks.marked), 'mark', 'marks')}")
        say(told, said)
        return INCOMPLETE if lines else PASSED


def copy_command(gradebook: Path, folder: Path, *, incomplete: Incomplete, anonymous: bool) -> int:
    """Write the pages of `grader serve` as files, and for each candidate who has a mark a page to hand out.

    Raises:
        UsageError: the folder is not empty, or criteria are open and nobody says how they count.
    """
    with open_gradebook(gradebook) as book, book.snapshot():
        marks = read_marks(book, incomplete=incomplete, anonymous=anonymous)
        exam = load_exam(RUBRICS, ALL)
        handed_out = ((f"feedback/{name}", data) for name, data in files.reports(marks, "html"))
        write_folder(folder, chain(pages(book, exam=exam, anonymous=anonymous), handed_out))
        lines = _without(marks)
        count = counted(len(marks.marked), "feedback page", "feedback pages")
        say(
            [f"{folder / 'index.html'}: everything, for you; {count} beside it", *lines, *_remarks(marks)],
            sys.stdout,
        )
        return INCOMPLETE if lines else PASSED


def _refuse_words(form: str, kind: str, worksheet: Path | None, output: Path | None) -> None:
    if kind == "round trip" and worksheet is None:
        raise UsageError(
            f"name the file of the platform: grader gradebook export {form} FILE --output NEW-FILE"
        )
    if kind != "round trip" and worksheet is not None:
        raise UsageError(f"{form} fills in no file: use --output for where {worksheet} shall be written")
    if kind != "table" and output is None:
        raise UsageError(
            f"say by --output where the export goes: grader gradebook export {form} … --output PATH"
        )
    if output is not None and (kind in ("round trip", "table", "zip") or output.suffix == ".zip"):
        refuse_unwritable(output)


def _write(form: str, kind: str, output: Path, marks: Marks, choices: Choices) -> None:
    if kind == "table":
        text = io.StringIO(newline="")
        TABLES[form](marks, text)
        write_bytes(output, text.getvalue().encode(errors="replace"))
    elif form == "all":
        write_zip(output, files.everything(marks))
    elif form == "moodle-feedback":
        write_zip(output, files.moodle_feedback(marks, choices.page))
    elif output.suffix == ".zip":
        write_zip(output, files.reports(marks, form))
    else:
        write_folder(output, files.reports(marks, form))


def _fill(form: str, worksheet: Path, output: Path, marks: Marks, choices: Choices) -> int:
    sheet = READERS[form](
        read_table(worksheet), column=choices.column, maximum=_positive("--maximum", choices.maximum)
    )
    filled = fill(sheet, marks, full=_positive("--full", choices.full), zero=choices.missing == "0")
    write_bytes(output, filled.data)
    open_ends = _open_ends(filled)
    say([*_told(output, filled), *open_ends, *_remarks(marks)], sys.stdout)
    return INCOMPLETE if open_ends else PASSED


def _positive(option: str, value: float | None) -> Fraction | None:
    if value is None:
        return None
    if not 0 < value < 1e9:
        raise UsageError(f"{option} {value:g} must be more than 0")
    return Fraction(str(value))


def _told(output: Path, filled: Filled) -> list[str]:
    worth = counted_points(float(filled.full))
    written = counted(filled.new + filled.changed + filled.same, "mark", "marks")
    told = [
        f"{output}: column {shown(filled.column)}, {worth} are worth {decimal(filled.maximum)}",
        f"  {written}: {filled.new} new, {filled.changed} changed, {filled.same} as before",
    ]
    if filled.zero:
        told.append(f"  {filled.zero} who handed nothing in: 0")
    return told + named("above the maximum, which they get", filled.capped)


def _open_ends(filled: Filled) -> list[str]:
    return [
        *named("in the file, not in the gradebook", filled.unknown_rows),
        *named("in the gradebook, not in the file", filled.unknown_people),
        *named("in the file, but it is not clear who of the gradebook they are", filled.ambiguous),
        *named("without a mark", filled.no_mark),
        *named("left as they were", filled.left),
    ]


def _without(marks: Marks) -> list[str]:
    return named("without a mark", [f"{each.who} ({each.state})" for each in marks.without])


def _remarks(marks: Marks) -> list[str]:
    """What to look at before marks are published; no reason to say that something is missing."""
    return [
        *named("flagged for a second look", [each.who for each in marks.candidates if each.flagged]),
        *named(
            "with overrides whose basis has changed", [each.who for each in marks.candidates if each.stale]
        ),
    ]
