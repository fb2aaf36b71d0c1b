"""Submissions whose grade is known: what they come to shows whether a machine grades rightly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import highest, rows_of
from grader.corpus.cases import build, load_cases
from grader.errors import RubricError
from grader.report.safe import points

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.exam.model import Exam


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One of them."""

    name: str
    source: str
    loses: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> points; all others are earned."""

    def sings(self, document: Mapping[str, Any]) -> str:
        """Why its grade shows that something is wrong; empty where nothing is.

        What this machine cannot decide (`unverified`) is not wrong.
        """
        wrong: list[str] = []
        for _, row in rows_of(document):
            lost = round(row["points"] - highest(row), 4)
            must = self.loses.get(row["id"], 0.0)
            if row["status"] == "error":
                wrong.append(f"{row['id']} could not be decided")
            elif row["status"] != "unverified" and lost != must:
                lose = f"{points(lost)} of {points(row['points'])}"
                wrong.append(f"{row['id']} lost {lose}, and must lose {points(must)}")
        return "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")


def canaries_of(exam: Exam, scratch: Path) -> tuple[Canary, ...]:
    """The exam's reference solution, and a case of its corpus that must lose something, where it has them.

    Args:
        scratch: where the case is written to.

    Raises:
        RubricError: there is no such case.
    """
    found: list[Canary] = []
    if exam.reference is not None:
        found.append(Canary(name="reference solution", source=str(exam.reference.resolve())))
    if exam.corpus.canary:
        cases = [case for case in load_cases(exam, exam.corpus.canary) if case.name == exam.corpus.canary]
        if not cases or not cases[0].loses:
            raise RubricError(
                f"{exam.directory}/exam.yaml: corpus.canary: no case {exam.corpus.canary!r} loses anything"
            )
        folder = scratch / "canary"
        build(cases[0], folder)
        found.append(Canary(name=cases[0].name, source=str(folder), loses=cases[0].loses))
    return tuple(found)
