"""Exams of nothing but deliverables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grader.exam.model import Deliverable, Exam, Section, Task
from tests.builders import EXAM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def exam_of(*deliverables: Deliverable, data: Mapping[str, Path] | None = None) -> Exam:
    """An exam with one task that asks for these."""
    task = Task(id="1.1", title="Task", deliverables=deliverables, criteria=())
    return replace(EXAM, sections=(Section(id="1", title="Section", tasks=(task,)),), data=data or {})
