"""Similar pairs on a stream: for a person, and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TextIO, get_args

from rich.padding import Padding
from rich.text import Text

from grader.cohort.similarity.model import Trace
from grader.report.console import console, speaks_unicode
from grader.report.document import dump
from grader.report.safe import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from grader.cohort.similarity.model import Block, Lines, Pair, Reason, Similarity
    from grader.report.console import Colour

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = get_args(Form)

NOTE = "pairs to look at, never a verdict"
BAR = 10
MAX_BLOCKS = 5
MAX_REASONS = 5
MAX_SKIPPED = 10
HIGH = 0.7
SAID = {
    Trace.RUN: "the same MLflow run",
    Trace.OUTPUT: "the same output in DVC",
    Trace.EMAIL: "the same e-mail address",
    Trace.HOME: "the same home folder",
    Trace.FILE: "the same file, byte for byte",
}


def write(result: Similarity, stream: TextIO, form: Form = "text", *, colour: Colour = "auto") -> None:
    """Write similar pairs."""
    if form == "json":
        dump(document(result), stream)
        return
    _write_text(result, console(stream, colour), "█" if speaks_unicode(stream) else "#")


def _write_text(result: Similarity, out: Console, full: str) -> None:
    out.print(_heading(result))
    for number, pair in enumerate(result.pairs, 1):
        out.print()
        out.print(_pair_line(number, pair, full))
        for line in _details(pair):
            out.print(Padding(line, (0, 0, 0, 4), expand=False))
    out.print()
    out.print(_summary(result))
    if result.mostly_shared:
        names = ", ".join(one_line(name, longest=60) for name in result.mostly_shared)
        note = "a quarter of the cohort has most of the work of"
        out.print(Text(f"{note} {names}; little of it was left to compare", style="yellow"))
    for skipped in result.skipped[:MAX_SKIPPED]:
        place = ": ".join(one_line(each, longest=100) for each in (skipped.name, skipped.path) if each)
        out.print(Text(f"not compared: {place}: {one_line(skipped.reason)}", style="cyan"))
    if (more := len(result.skipped) - MAX_SKIPPED) > 0:
        out.print(Text(f"not compared: {counted(more, 'other', 'others')}", style="cyan"))


def _heading(result: Similarity) -> Text:
    line = Text(counted(result.works, "submission", "submissions"), style="bold")
    if result.earlier:
        line.append(f" and {result.earlier:,} of earlier cohorts", style="")
    return line.append(f", {counted(result.files, 'file', 'files')} compared")


def _pair_line(number: int, pair: Pair, full: str) -> Text:
    line = Text(f"{number:>3} ")
    line.append(f"{pair.score * 100:>3.0f} % ", style="bold red" if pair.score >= HIGH else "bold yellow")
    line.append(f"{full * max(1, round(BAR * pair.score)):<{BAR}} ", style="dim")
    line.append(one_line(pair.left, longest=60), style="bold").append(" and ")
    return line.append(one_line(pair.right, longest=60), style="bold")


def _details(pair: Pair) -> Iterator[Text]:
    for reason in pair.reasons[:MAX_REASONS]:
        yield Text(_reason(reason))
    if (more := len(pair.reasons) - MAX_REASONS) > 0:
        yield Text(f"{counted(more, 'other trace', 'other traces')}", style="dim")
    for block in pair.blocks[:MAX_BLOCKS]:
        yield Text(f"{_lines(block.left)} and {_lines(block.right)}", style="dim")
    if (more := len(pair.blocks) - MAX_BLOCKS + pair.more_blocks) > 0:
        yield Text(counted(more, "other block", "other blocks"), style="dim")


def _reason(reason: Reason) -> str:
    places = [one_line(each, longest=80) for each in (reason.left, reason.right)]
    where = " and ".join(each or "known of the candidate" for each in dict.fromkeys(places))
    value = "" if reason.trace is Trace.FILE else f" {one_line(reason.value, longest=80)}"
    return f"{SAID[reason.trace]}{value}: {where}"


def _lines(lines: Lines) -> str:
    return f"{one_line(lines.path, longest=80)}:{lines.first}-{lines.last}"


def _summary(result: Similarity) -> Text:
    if not result.pairs:
        return Text("no pair is more alike than independent work", style="bold green")
    number = len(result.pairs) + result.more_pairs
    line = Text(counted(number, "pair", "pairs"), style="bold")
    if result.more_pairs:
        line.append(f", {result.more_pairs:,} of them not shown")
    return line.append(f": {NOTE}", style="bold")


# --- JSON -------------------------------------------------------------------------------------------


def document(result: Similarity) -> dict[str, Any]:
    """Plain data, from which JSON is written."""
    return {
        "note": NOTE,
        "submissions": result.works,
        "earlier": result.earlier,
        "files": result.files,
        "pairs": [_pair(pair) for pair in result.pairs],
        "more_pairs": result.more_pairs,
        "mostly_shared": list(result.mostly_shared),
        "skipped": [{"name": each.name, "path": each.path, "reason": each.reason} for each in result.skipped],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "left": pair.left,
        "right": pair.right,
        "score": round(pair.score, 4),
        "whole": round(pair.whole, 4),
        "reasons": [
            {"trace": each.trace.value, "value": each.value, "left": each.left, "right": each.right}
            for each in pair.reasons
        ],
        "blocks": [_block(block) for block in pair.blocks],
        "more_blocks": pair.more_blocks,
    }


def _block(block: Block) -> dict[str, Any]:
    def lines(side: Lines) -> dict[str, Any]:
        return {"path": side.path, "first": side.first, "last": side.last}

    return {"left": lines(block.left), "right": lines(block.right), "fingerprints": block.fingerprints}
