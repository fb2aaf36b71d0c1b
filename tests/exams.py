"""Exams of nothing but deliverables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from grader.exam import Deliverable, Exam, Section, Task
from tests.builders import EXAM


def exam_of(*deliverables: Deliverable, data: Mapping[str, Path] | None = None) -> Exam:
    """An exam with one task that asks for these."""
    task = Task(id="1.1", title="Task", deliverables=deliverables, criteria=())
    return replace(EXAM, sections=(Section(id="1", title="Section", tasks=(task,)),), data=data or {})
