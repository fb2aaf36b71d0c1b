"""What is graded and how it is decided, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from grader.check import Named, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.check import Check
    from grader.exam.model import Criterion, Deliverable, Exam, Part, Task


def render(exam: Exam, tasks: Sequence[Task], checks: Mapping[str, Check]) -> RenderableType:
    """Tasks with their criteria, points, checks and hints."""
    return Group(*(block for task in tasks for block in _task(exam, task, checks)))


def _task(exam: Exam, task: Task, checks: Mapping[str, Check]) -> Iterator[RenderableType]:
    section = next((section.title for section in exam.sections if task in section.tasks), "")
    yield Text.assemble(
        (f"{task.id} {task.title}", "bold"), f"  {points(task.points)}", (f"  {section}", "dim")
    )
    for deliverable in task.deliverables:
        yield _indent(Text.assemble((f"{deliverable.id}: ", "dim"), _place(deliverable)), 2)
    for criterion in task.criteria:
        yield Text("")
        yield from _criterion(criterion, checks)
    yield Text("")


def _place(deliverable: Deliverable) -> str:
    named = [name for name in (deliverable.path, ", ".join(deliverable.accept)) if name]
    found = [f"a file that uses {' or '.join(deliverable.calls)}"] if deliverable.calls else []
    return ", else ".join(named + found)


def _criterion(criterion: Criterion, checks: Mapping[str, Check]) -> Iterator[RenderableType]:
    yield _indent(
        Text.assemble(
            (criterion.id, "bold"), f"  {criterion.title}", (f"  {points(criterion.points)}", "green")
        ),
        2,
    )
    for part in criterion.parts:
        if part.id:
            yield _indent(Text.assemble(f"- {part.title}", (f"  {points(part.points)}", "green")), 4)
        yield _indent(_decided(part, checks), 6 if part.id else 4)
    if criterion.needs:
        yield _indent(Text(f"needs {', '.join(criterion.needs)}", "dim"), 4)
    yield _indent(Text.assemble(("hint: ", "yellow"), criterion.hint), 4)


def _decided(part: Part, checks: Mapping[str, Check]) -> Text:
    check = checks[part.check]
    fields = check.parameters.model_fields
    given = ", ".join(
        f"{name}={_shown(value)}" for name, value in part.parameters.items() if value != fields[name].default
    )
    needs = f"; needs {', '.join(part.needs)}" if part.needs else ""
    tools = f" by {', '.join(check.tools)}" if check.tools else ""
    return Text(f"{check.evidence}{tools}: {check.summary} [{part.check}({given})]{needs}", "dim")


def _shown(value: Any) -> str:
    return value.name if isinstance(value, Named) else repr(_as_written(value))


def _as_written(value: Any) -> Any:
    """A value as an author wrote it: without the defaults of what stands in it."""
    match value:
        case Named():
            return value.name
        case Parameters():
            fields = type(value).model_fields
            return {
                name: _as_written(getattr(value, name)) for name in fields if name in value.model_fields_set
            }
        case list() | tuple():
            return [_as_written(each) for each in value]
        case dict():
            return {key: _as_written(each) for key, each in value.items()}
    return value


def _indent(text: Text, width: int) -> Padding:
    return Padding(text, (0, 0, 0, width))


def points(value: float) -> str:
    """`1 point`, `1.5 points`."""
    return f"{value:g} point" + ("" if value == 1 else "s")
