"""What the page shows of a grade, in which order and how much of it; no markup."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.report.losses import losses, points_lost, points_open
from grader.results import Status
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from grader.results import CallRecord, CriterionResult, Finding, Grade, Place, SectionResult

MAX_CARDS = 200
"""Losses, and likewise groups of what is undecided, that are told at length."""
MAX_ROWS = 400
"""Rows of a table or a list."""
MAX_FINDINGS = 8
"""Findings of one criterion."""
MAX_PLACES = 3
"""Pieces of files that are shown for one finding."""
_ANCHOR = re.compile(r"[\w.-]{1,80}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding, and the pieces of files in which to look."""

    finding: Finding
    places: tuple[Place, ...]
    more_places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A criterion with what else was lost for the same reason, or that waits for the same thing."""

    row: CriterionResult
    findings: tuple[FindingView, ...]
    more_findings: int
    same: tuple[CriterionResult, ...]
    """Others of which just the same was found."""
    blocked: tuple[CriterionResult, ...]
    """Others that were not judged, because this one was lost."""

    @property
    def rows(self) -> tuple[CriterionResult, ...]:
        """All criteria that it tells of."""
        return (self.row, *self.same, *self.blocked)

    @property
    def shown(self) -> tuple[CriterionResult, ...]:
        """Those of them for which there is room."""
        return (self.row, *self.same[: MAX_ROWS - 1], *self.blocked[:MAX_ROWS])

    @property
    def lost(self) -> float:
        """The points that all of them lost."""
        return add(map(points_lost, self.rows))

    @property
    def open(self) -> float:
        """The points of all of them that are undecided."""
        return add(map(points_open, self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A section's points; widths are percentages of the widest bar."""

    section: SectionResult | None
    """None for the total."""
    earned: float
    open: float
    possible: float
    scale: float
    """The points of 100 %."""

    @property
    def earned_width(self) -> str:
        """Of the part that is earned."""
        return self.percent(self.earned)

    @property
    def open_width(self) -> str:
        """Of the part that is undecided."""
        return self.percent(self.open)

    @property
    def width(self) -> str:
        """Of the whole bar."""
        return self.percent(self.possible)

    def percent(self, points: float) -> str:
        """Where a number of points is on the bar, between `0%` and `100%`."""
        share = points / self.scale if self.scale > 0 else 0.0
        return f"{100 * min(max(share, 0.0), 1.0):.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """Which file was taken for something that the exam asks for, and how it was called."""

    name: str
    tasks: tuple[str, ...]
    path: str
    """Empty where none was found."""
    call: CallRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page that has to be put together first."""

    total: Bar
    sections: tuple[Bar, ...]
    lost: tuple[Card, ...]
    """What cost points, the dearest first."""
    undecided: tuple[Card, ...]
    """What only this machine or the grader stands in the way of, likewise."""
    deliverables: tuple[Deliverable, ...]
    anchors: dict[str, str]
    """Criterion id -> the anchor at which it is told, for those that a card tells of."""
    counts: Counter[Status]


def view(grade: Grade) -> View:
    """The parts of the page."""
    rows = losses(grade)
    lost_cards = _lost_cards([row for row in rows if _has_lost(row)], grade)
    undecided_cards = _undecided_cards([row for row in rows if not _has_lost(row)], grade)
    widest = max((_possible(section) for section in grade.sections), default=0.0)
    return View(
        total=Bar(
            section=None,
            earned=grade.score.earned,
            open=round(grade.score.highest - grade.score.earned, 6),
            possible=grade.score.possible,
            scale=max(grade.score.possible, grade.score.pass_mark),
        ),
        sections=tuple(_section_bar(section, widest) for section in grade.sections),
        lost=lost_cards,
        undecided=undecided_cards,
        deliverables=tuple(_deliverables(grade)),
        anchors=_anchors((*lost_cards[:MAX_CARDS], *undecided_cards[:MAX_CARDS]), grade),
        counts=Counter(row.status for row in grade.criteria),
    )


def _has_lost(row: CriterionResult) -> bool:
    return points_lost(row) > 0 or not row.status.open


def _possible(section: SectionResult) -> float:
    return add(row.points for task in section.tasks for row in task.criteria)


def _section_bar(section: SectionResult, widest: float) -> Bar:
    rows = [row for task in section.tasks for row in task.criteria]
    return Bar(
        section=section,
        earned=add(row.earned for row in rows),
        open=add(map(points_open, rows)),
        possible=_possible(section),
        scale=widest,
    )


def _lost_cards(rows: Sequence[CriterionResult], grade: Grade) -> tuple[Card, ...]:
    """A card for each reason; what was lost along with it is added to its price."""
    by_id = {row.id: row for row in rows}
    leads: dict[object, list[CriterionResult]] = {}
    waiting: dict[object, list[CriterionResult]] = {}
    keys: dict[str, object] = {}
    for row in _in_order(rows, grade):
        if row.status is Status.BLOCKED and root_of(row, by_id) is not row:
            continue
        key = keys[row.id] = _reason_key(row)
        leads.setdefault(key, []).append(row)
    for row in _in_order(rows, grade):
        root = root_of(row, by_id)
        if row.status is Status.BLOCKED and root is not row:
            waiting.setdefault(keys.get(root.id), []).append(row)
    cards = [_card(lead, grade, waiting.get(key, ())) for key, lead in leads.items()]
    return tuple(sorted(cards, key=lambda card: -card.lost))


def _reason_key(row: CriterionResult) -> object:
    """Equal for criteria that one card tells of."""
    if row.status is Status.BLOCKED:
        return row.blocked_by
    if row.status is Status.LOST and row.findings:
        return row.findings
    return (row.id,)


def _undecided_cards(rows: Sequence[CriterionResult], grade: Grade) -> tuple[Card, ...]:
    """A card for each reason, and apart what the machine lacks and where the grader failed."""
    by_id = {row.id: row for row in rows}
    groups: dict[object, list[CriterionResult]] = {}
    for row in _in_order(rows, grade):
        root = root_of(row, by_id)
        groups.setdefault((row.status, _reason(root) or root.id), []).append(row)
    for group in groups.values():
        # The one at which it began has the reason among its findings, and tells it for all.
        group.sort(key=lambda row: root_of(row, by_id) is not row)
    cards = [_card(group, grade) for group in groups.values()]
    return tuple(sorted(cards, key=lambda card: -card.open))


def root_of(row: CriterionResult, rows: dict[str, CriterionResult]) -> CriterionResult:
    """The criterion at which it began, for one that only waits for others; itself where none is known."""
    seen = {row.id}
    root = row
    while (above := rows.get(root.blocked_by.partition("/")[0])) is not None:
        if above.id in seen:
            return row  # a circle, in a document that is not ours
        seen.add(above.id)
        root = above
    return root


def _reason(row: CriterionResult) -> Finding | None:
    return next((finding for part in row.parts if part.status.open for finding in part.findings), None)


def _in_order(rows: Sequence[CriterionResult], grade: Grade) -> list[CriterionResult]:
    """The exam's order: of equal reasons the first criterion tells."""
    chosen = {id(row) for row in rows}
    return [row for row in grade.criteria if id(row) in chosen]


def _card(rows: Sequence[CriterionResult], grade: Grade, blocked: Sequence[CriterionResult] = ()) -> Card:
    row, *same = rows
    shown = row.findings[:MAX_FINDINGS]
    return Card(
        row=row,
        findings=tuple(_finding_views(shown, grade)),
        more_findings=len(row.findings) - len(shown),
        same=tuple(same),
        blocked=tuple(blocked),
    )


def _finding_views(findings: Iterable[Finding], grade: Grade) -> list[FindingView]:
    """Each piece of a file once, at the first finding that speaks of it."""
    seen: set[Place] = set()
    views = []
    for finding in findings:
        places = [place for place in grade.places.get(finding.where, ()) if place.lines and place not in seen]
        shown = places[:MAX_PLACES]
        seen.update(shown)
        views.append(FindingView(finding=finding, places=tuple(shown), more_places=len(places) - len(shown)))
    return views


def _anchors(cards: Iterable[Card], grade: Grade) -> dict[str, str]:
    """Ids come out of a file that anybody may have written: what is no word, or not unique, gets none."""
    times = Counter(row.id for row in grade.criteria)
    return {
        row.id: f"c-{row.id}"
        for card in cards
        for row in card.shown
        if times[row.id] == 1 and _ANCHOR.fullmatch(row.id)
    }


def _deliverables(grade: Grade) -> list[Deliverable]:
    tasks: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for task in grade.tasks:
        for name, path in task.files.items():
            tasks.setdefault(name, []).append(task.id)
            paths[name] = paths.get(name) or path
    for name, call in grade.calls.items():
        paths.setdefault(name, call.path)
    return [
        Deliverable(name=name, tasks=tuple(tasks.get(name, ())), path=path, call=grade.calls.get(name))
        for name, path in paths.items()
    ]
