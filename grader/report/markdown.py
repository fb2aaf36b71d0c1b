"""A grade as GitHub's Markdown: the summary of a step, and the comment on a pull request.

One form serves both: it stays under the tighter of their limits, and what is left out is counted, the dearest
losses last. Texts that a candidate may have written are in code, where no mention, reference or link is
looked for; what an exam's author wrote is prose, in which such words are put in code too.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, TextIO

from grader.report.losses import losses, place_of, points_lost, points_open
from grader.report.previous import changes, comparability, difference, signed
from grader.report.reasons import balance, interval, left_out, path_of, reason, reasons, verdict
from grader.report.safe import counted, one_line, points, safe
from grader.results import Status
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from grader.report.formats import Settings
    from grader.report.previous import Change
    from grader.results import CriterionResult, Grade, SectionResult

MAX_BYTES = 60_000
"""Of the whole. A comment has 65,536 characters, and whoever posts it adds a mark to find it by; a step's
summary has 1 MiB."""
SECTION_BYTES = 6_000
CHANGE_BYTES = 6_000
GROUP_BYTES = 6_000
MORE_BYTES = 500
"""For the lines around the losses, and for what counts those that are left out."""
MAX_LOSS = 2_500
"""Characters that are said of one loss: a few long ones leave room for the others."""
MAX_REMARKS = 5

_PUNCTUATION = re.compile(r"""[!-~](?<![a-zA-Z0-9"'%,/;?])""")
"""All that may be escaped, but for what begins and ends nothing."""
_CODE = re.compile(r"`([^`]+)`")
_PIPE = re.compile(r"(?<!\\)\|")
_WORD = re.compile(r"\S+")
_ACTIVE = re.compile(r"[@#]|://|^www\.", re.IGNORECASE)
"""Of a word: GitHub would notify somebody, or make a link of it."""


def write_markdown(grade: Grade, stream: TextIO, settings: Settings) -> None:
    """Total, sections, changes since an earlier grade, and each loss folded, the dearest first."""
    head = [*_head(grade, settings.previous), _sections(grade)]
    if settings.previous is not None:
        head.append(_changes(settings.previous, grade))
    tail = list(_remarks(grade))
    room = MAX_BYTES - MORE_BYTES - sum(map(_bytes, (*head, *tail)))
    stream.write("\n\n".join((*head, *_losses(grade, room), *tail)) + "\n")


def _head(grade: Grade, previous: Grade | None) -> Iterator[str]:
    score = grade.score
    change = f" ({signed(difference(previous, grade))})" if previous is not None else ""
    yield f"## {points(score.earned)} / {points(score.possible)}{change}: {verdict(grade)}"
    about = [f"pass mark {points(score.pass_mark)}"]
    if score.bonus_possible:
        about.append(f"bonus {points(score.bonus_earned)} of {points(score.bonus_possible)}")
    line = f"{prose(one_line(grade.exam['title']))}, submission {code(one_line(grade.submission['name']))}"
    yield f"{line}: {', '.join(about)}."
    if not score.complete:
        yield f"**Incomplete:** {interval(grade)}."
    if grade.isolation == "static":
        yield "Nothing was run: the submission was only read."
    if grade.isolation == "none":
        yield "**Candidate code ran without isolation.**"


def _sections(grade: Grade) -> str:
    head = "| Section | | Points | Of |\n|:--|:--|--:|--:|\n"
    rows, left = _within([_section(section) for section in grade.sections], SECTION_BYTES)
    return head + "\n".join(rows) + (f"\n\nand {counted(left, 'more section', 'more sections')}" * bool(left))


def _section(section: SectionResult) -> str:
    rows = [row for task in section.tasks for row in task.criteria]
    earned, possible = (add(row.earned for row in rows), add(row.points for row in rows))
    name = (_PIPE.sub(r"\\|", prose(one_line(text))) for text in (section.id, section.title))  # in code too
    return f"| {' | '.join((*name, points(earned), points(possible)))} |"


def _changes(previous: Grade, grade: Grade) -> str:
    found = changes(previous, grade)
    lines, left = _within(list(map(_change, found)), CHANGE_BYTES)
    if left:
        lines.append(f"- and {counted(left, 'more change', 'more changes')}")
    doubt = comparability(previous, grade)
    head = "### Since the earlier grade" + (f"\n\n{prose(one_line(doubt))}" if doubt else "")
    return f"{head}\n\n" + ("\n".join(lines) or "Nothing changed.")


def _change(change: Change) -> str:
    before = change.before.status.value if change.before else "not graded"
    now = change.now.status.value if change.now else "not graded"
    name = code(one_line(change.row.id))
    return f"- **{signed(change.delta)}** {name} {before} → {now}: {prose(one_line(change.row.title))}"


def _losses(grade: Grade, room: int) -> Iterator[str]:
    """Each loss and each fault of ours by itself, then what was lost with another, then what is undecided."""
    rows = losses(grade)
    if not rows:
        yield "Every criterion earned all its points."
        return
    yield f"### {balance(rows)}"
    blocked = [row for row in rows if row.status is Status.BLOCKED]
    undecided = [row for row in rows if _is_undecided(row)]
    groups = [
        *_group("lost with what they need", blocked),
        *_group("not decided on this machine", undecided),
    ]
    alone = [row for row in rows if row.status is not Status.BLOCKED and not _is_undecided(row)]
    blocks, left = _within([_loss(row, grade) for row in alone], room - sum(map(_bytes, groups)))
    yield from blocks
    if left:
        yield f"{left_out(alone[-left:])}."
    yield from groups


def _is_undecided(row: CriterionResult) -> bool:
    return row.status is Status.UNVERIFIED and not points_lost(row)


def _group(title: str, rows: Sequence[CriterionResult]) -> Iterator[str]:
    """Criteria that share one story, a line each."""
    if not rows:
        return
    lines, left = _within(list(map(_member, rows)), GROUP_BYTES)
    if left:
        lines.append(f"- {left_out(rows[-left:])}")
    summary = f"<b>{_cost(rows)}</b> {counted(len(rows), 'criterion', 'criteria')} {title}"
    yield f"<details>\n<summary>{summary}</summary>"
    yield "\n".join(lines)
    yield "</details>"


def _member(row: CriterionResult) -> str:
    line = f"- **{_cost([row])}** {code(one_line(row.id))} {prose(one_line(row.title))}"
    return f"{line}: {code(one_line(told))}" if (told := reason(row)) else line


def _cost(rows: Sequence[CriterionResult]) -> str:
    """`-2` of what is lost, `?2` of what is open."""
    lost = add(map(points_lost, rows))
    return f"-{points(lost)}" if lost else f"?{points(add(map(points_open, rows)))}"


def _loss(row: CriterionResult, grade: Grade) -> str:
    """A criterion in one line that unfolds: its reasons, and the hint."""
    line = f"<b>{_cost([row])}</b> {_code_html(one_line(row.id))} {_prose_html(one_line(row.title))}"
    place = place_of(row, grade)
    if place is not None:
        where = path_of(place)[:300] + (f":{place.line}" if place.line else "")
        line += f" ({_code_html(where)})"
    blocks = [f"<details>\n<summary>{line} {row.status.value}</summary>"]
    if said := reasons(row, hint=False).strip():
        blocks.append(fenced(safe(said, longest=MAX_LOSS)))
    if row.hint and row.status in (Status.LOST, Status.PARTIAL):
        blocks.append(f"Hint: {prose(one_line(row.hint, longest=1000))}")
    return "\n\n".join([*blocks, "</details>"])


def _remarks(grade: Grade) -> Iterator[str]:
    """What no criterion covers, such as a link that was refused."""
    if not grade.remarks:
        return
    lines = [
        one_line(f"{remark.where}: {remark.message}" if remark.where else remark.message)
        for remark in grade.remarks[:MAX_REMARKS]
    ]
    if (left := len(grade.remarks) - MAX_REMARKS) > 0:
        lines.append(f"and {counted(left, 'more remark', 'more remarks')}")
    yield f"<details>\n<summary>{counted(len(grade.remarks), 'remark', 'remarks')}</summary>"
    yield fenced("\n".join(lines))
    yield "</details>"


def _within(blocks: Sequence[str], room: int) -> tuple[list[str], int]:
    """The first blocks, as many as there is room for in bytes, and how many are left."""
    for number, block in enumerate(blocks):
        room -= _bytes(block)
        if room < 0:
            return list(blocks[:number]), len(blocks) - number
    return list(blocks), 0


def _bytes(block: str) -> int:
    """With the empty line after it."""
    return len(block.encode(errors="replace")) + 2


def fenced(text: str) -> str:
    """The text as a block of code; a fence that is longer than any in it cannot be closed by it."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """A line as a span of code."""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text[:1] in ("`", " ", "") or text[-1:] in ("`", " ") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def prose(text: str) -> str:
    """A line in which nothing is markup but pairs of backticks."""
    return _written(text, code, lambda word: _PUNCTUATION.sub(r"\\\g<0>", word))


def _prose_html(text: str) -> str:
    """The same inside of an element of HTML."""
    return _written(text, _code_html, html.escape)


def _code_html(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _written(text: str, as_code: Callable[[str], str], as_text: Callable[[str], str]) -> str:
    def written_word(match: re.Match[str]) -> str:
        return as_code(match[0]) if _ACTIVE.search(match[0]) else as_text(match[0])

    whole = ""
    for number, piece in enumerate(_CODE.split(text)):
        written = as_code(piece) if number % 2 else _WORD.sub(written_word, piece)
        # Two codes side by side would be delimited by the ticks of both.
        whole += " " * (whole.endswith("`") and written.startswith("`")) + written
    return whole
