"""What `grader verify` found: where rubric and corpus agree, and where they do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.table import Table
from rich.text import Text

from grader.report.console import console
from grader.report.safe import one_line, points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from grader.corpus.verify import Verdict, Verification
    from grader.exam.model import Criterion

FEWEST_DEFECTS = 2
"""Defects that should cost each criterion something: a blunt one and a subtle one."""
MAX_SLOW = 8


@dataclass(slots=True)
class Row:
    """One criterion's line of the confusion table, counted in cases."""

    true_fail: int = 0
    true_pass: int = 0
    false_fail: int = 0
    """False fails: an honest case lost something, or a defect lost it besides what it must."""
    false_pass: int = 0
    """False passes: a defect that must cost it did not, or not as much."""

    @property
    def agrees(self) -> bool:
        """Whether nothing is wrong."""
        return not self.false_fail and not self.false_pass


def confusion(result: Verification) -> dict[str, Row]:
    """Criterion -> its row, in the exam's order."""
    rows = {criterion.id: Row() for criterion in criteria(result)}
    for verdict in result.verdicts:
        if verdict.fault:
            continue
        for task in result.tasks:
            if task.id in verdict.tasks:
                for criterion in task.criteria:
                    _count(rows[criterion.id], verdict, criterion.id)
    return rows


def _count(row: Row, verdict: Verdict, criterion: str) -> None:
    must, did = verdict.expected.get(criterion, 0.0), verdict.lost.get(criterion, 0.0)
    if criterion in verdict.open:
        return
    if did > must:
        row.false_fail += 1
    elif did < must:
        row.false_pass += 1
    elif must:
        row.true_fail += 1
    else:
        row.true_pass += 1


def criteria(result: Verification) -> tuple[Criterion, ...]:
    """Those of the tasks that were graded."""
    return tuple(criterion for task in result.tasks for criterion in task.criteria)


def thin(result: Verification) -> dict[str, int]:
    """Criteria that fewer than two defects of their own cost, with how many do."""
    counts = {criterion.id: 0 for criterion in criteria(result)}
    for verdict in result.verdicts:
        if not verdict.case.everything:
            for criterion in verdict.expected:
                counts[criterion] = counts.get(criterion, 0) + 1
    return {name: count for name, count in counts.items() if count < FEWEST_DEFECTS}


def idle(result: Verification) -> tuple[str, ...]:
    """Parts whose check never failed in any case."""
    failed = {name for verdict in result.verdicts if not verdict.case.everything for name in verdict.failed}
    names = (
        f"{criterion.id}/{part.id}" if part.id else criterion.id
        for criterion in criteria(result)
        for part in criterion.parts
    )
    return tuple(name for name in names if name not in failed)


def document(result: Verification) -> dict[str, Any]:
    """Plain data, from which JSON is written."""
    return {
        "exam": {"id": result.exam.id, "version": result.exam.version, "digest": result.exam.digest},
        "agrees": all(verdict.agrees for verdict in result.verdicts),
        "cases": [_case(verdict) for verdict in result.verdicts],
        "criteria": {
            name: {
                "lost_rightly": row.true_fail,
                "kept_rightly": row.true_pass,
                "lost_wrongly": row.false_fail,
                "kept_wrongly": row.false_pass,
            }
            for name, row in confusion(result).items()
        },
        "thin": thin(result) if result.whole else {},
        "idle": list(idle(result)) if result.whole else [],
        "seconds": round(result.seconds, 1),
    }


def _case(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.case.name,
        "kind": verdict.case.kind,
        "agrees": verdict.agrees,
        "tasks": list(verdict.tasks),
        "expected": dict(verdict.expected),
        "lost": dict(verdict.lost),
        "open": {name: status.value for name, status in verdict.open.items()},
        "findings": dict(verdict.findings),
        "fault": verdict.fault,
        "seconds": round(verdict.seconds, 2),
    }


def write_json(result: Verification, stream: TextIO) -> None:
    """The document as JSON."""
    stream.write(json.dumps(document(result), indent=2, ensure_ascii=False) + "\n")


def write_text(result: Verification, stream: TextIO, *, verbose: bool = False) -> None:
    """The table, then every disagreement with what was found, then what the corpus leaves unproved."""
    out = console(stream)
    out.print(_table(result))
    for verdict in result.verdicts:
        if verbose or not verdict.agrees:
            for line in _lines(verdict):
                out.print(line, soft_wrap=True)
    if result.whole:
        for line in _unproved(result):
            out.print(line)
    _print_slowest(out, result.verdicts)
    out.print(_summary(result))


WRITERS: dict[str, Callable[..., None]] = {
    "text": write_text,
    "json": lambda result, stream, **_settings: write_json(result, stream),
}
"""What `--format` may name."""


def _table(result: Verification) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("criterion")
    for title in ("true fail", "true pass", "false fail", "false pass"):
        table.add_column(title, justify="right")
    for name, row in confusion(result).items():
        style = "" if row.agrees else "red"
        cells = (row.true_fail, row.true_pass, row.false_fail, row.false_pass)
        table.add_row(name, *(str(cell) if cell else "·" for cell in cells), style=style)
    return table


def _lines(verdict: Verdict) -> Iterator[Text]:
    mark, style = ("✔", "green") if verdict.agrees else ("✘", "red")
    yield Text(f"{mark} {verdict.case.name}", style=style)
    if verdict.case.why:
        yield Text(f"    {one_line(verdict.case.why)}", style="dim")
    if verdict.fault:
        yield Text(f"    {one_line(verdict.fault)}")
    for name in dict.fromkeys((*verdict.expected, *verdict.lost, *verdict.open)):
        must, did = verdict.expected.get(name, 0.0), verdict.lost.get(name, 0.0)
        if name not in verdict.open and must == did and not (verdict.agrees and name in verdict.findings):
            continue
        became = verdict.open.get(name) or f"lost {points(did)}"
        said = one_line(verdict.findings.get(name, ""))
        yield Text(f"    {name}: must lose {points(must)}, {became}" + (f" — {said}" if said else ""))


def _unproved(result: Verification) -> Iterator[Text]:
    if few := thin(result):
        names = ", ".join(f"{name} ({count})" for name, count in few.items())
        yield Text(f"criteria that fewer than {FEWEST_DEFECTS} defects lose: {names}", style="yellow")
    if never := idle(result):
        yield Text(f"checks that never failed: {', '.join(never)}", style="yellow")


def _print_slowest(console: Console, verdicts: Iterable[Verdict]) -> None:
    slowest = sorted(verdicts, key=lambda verdict: -verdict.seconds)[:MAX_SLOW]
    names = ", ".join(f"{verdict.case.name} {verdict.seconds:.0f} s" for verdict in slowest)
    console.print(Text(f"slowest: {names}", style="dim"))


def _summary(result: Verification) -> Text:
    wrong = [verdict for verdict in result.verdicts if not verdict.agrees]
    rows = confusion(result).values()
    false_fails, false_passes = sum(row.false_fail for row in rows), sum(row.false_pass for row in rows)
    line = Text(f"{len(result.verdicts)} cases in {result.seconds:.0f} s: ", style="bold")
    if not wrong:
        return line.append("every one lost exactly what it must", style="bold green")
    line.append(f"{len(wrong)} disagree", style="bold red")
    undecided = sum(1 for verdict in wrong if verdict.undecided)
    return line.append(
        f" ({false_fails} false fails, {false_passes} false passes, {undecided} undecided)", style="red"
    )
