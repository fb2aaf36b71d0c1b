"""What an exam says to its checks: the models that they declare, or complaints that point at lines.

Scenarios stand in the rubric whose criteria read them, worlds in exam.yaml. What is declared only once need
not be named: a check that reads a scenario of a kind gets the only one of that kind, and one that reads a
deliverable gets the only one of its task.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from grader.check import Named, Parameters, author_fields, named_model, named_models, reference, unknown
from grader.exam.diagnostics import Complaint, Sheet
from grader.exam.rubric_rules import all_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from grader.check import Check

Place = tuple[Any, ...]
MAX_SHOWN = 60
"""Characters of a wrong value that a complaint repeats."""


@dataclass(slots=True)
class Readings:
    """All that was read from an exam's files; complaints where something was wrong."""

    parameters: dict[tuple[str, Place], Parameters] = field(default_factory=dict)
    """By task, and by the place in its rubric of the criterion or part that the check decides."""
    complaints: list[Complaint] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What may be referred to from one file."""

    named: Mapping[str, Mapping[str, Named | None]]
    """By section and name; None is one that is itself wrong."""
    own: Sequence[str]
    """Ids of the task's deliverables."""
    deliverables: Sequence[str] | None
    """Those of the whole exam; None where not all of them are known."""
    given: Sequence[str]


def read_parameters(
    exam: Sheet, rubrics: Mapping[str, Sheet], checks: Mapping[str, Check], *, whole: bool
) -> Readings:
    """Validate the worlds, the scenarios and the parameters of every check.

    Args:
        whole: all rubrics are here, so that a name that none of them has does not exist.
    """
    readings = Readings()
    kinds = named_kinds(checks)
    given = tuple(exam.data.get("data", {}))
    everywhere = tuple(name for sheet in rubrics.values() for name in sheet.data.get("deliverables", {}))
    ids = everywhere if whole else None
    nothing = _Known(named={}, own=(), deliverables=ids, given=given)
    worlds = _declared(exam, "worlds", kinds, nothing, readings)
    for task, sheet in rubrics.items():
        own = tuple(sheet.data.get("deliverables", {}))
        known = _Known(named={"worlds": worlds}, own=own, deliverables=ids, given=given)
        scenarios = _declared(sheet, "scenarios", kinds, known, readings)
        known = _Known(
            named={"worlds": worlds, "scenarios": scenarios}, own=own, deliverables=ids, given=given
        )
        for place, part in all_parts(sheet):
            check = checks.get(part.get("check", ""))
            if check is None:  # complained of elsewhere
                continue
            data = part.get("with", {})
            read = _read(sheet, (*place, "with"), check.parameters, check.name, data, known, readings)
            if read is not None:
                readings.parameters[task, place] = read
    return readings


def named_kinds(checks: Mapping[str, Check]) -> dict[str, dict[str, type[Named]]]:
    """Section and kind -> the model of such a thing, of all that any check reads."""
    found: dict[str, dict[str, type[Named]]] = {"worlds": {}, "scenarios": {}}
    for check in checks.values():
        for model in named_models(check.parameters):
            if found[model.section].setdefault(model.kind, model) is not model:
                raise ValueError(f"two models are of the kind {model.kind}")
    return found


def needed_deliverables(model: type[Parameters], values: Mapping[str, Any]) -> Iterator[str]:
    """Ids of deliverables without which nothing is earned, in the values of some of a model's fields."""
    for name, value in values.items():
        mark = reference(model.model_fields[name])
        if isinstance(value, Named):
            yield from needed_deliverables(type(value), dict(value))
        elif mark is not None and mark.to == "deliverable" and mark.needed:
            yield from (text for _, text in _texts(value))


def _declared(
    sheet: Sheet,
    section: str,
    kinds: Mapping[str, Mapping[str, type[Named]]],
    known: _Known,
    readings: Readings,
) -> dict[str, Named | None]:
    found: dict[str, Named | None] = {}
    for name, data in sheet.data.get(section, {}).items():
        place, found[name] = (section, name), None
        model = kinds[section].get(data["kind"])
        if model is None:
            said = unknown(f"kind of {section[:-1]}", data["kind"], kinds[section])
            readings.complaints.append(sheet.complain(said, *place, "kind"))
            continue
        if "name" in data:
            readings.complaints.append(
                sheet.complain(f"its name is {name!r} already: delete this key", *place, "name")
            )
            continue
        fields = {key: value for key, value in data.items() if key != "kind"}
        read = _read(sheet, place, model, f"the {section[:-1]} {name}", fields, known, readings)
        if isinstance(read, Named):
            found[name] = read.changed(name=name)
    return found


def _read(
    sheet: Sheet,
    place: Place,
    model: type[Parameters],
    what: str,
    data: Mapping[str, Any],
    known: _Known,
    readings: Readings,
) -> Parameters | None:
    """One mapping as a model; None where something is wrong with it, or with what it refers to."""
    complaints = list[Complaint]()
    data, unresolved = dict(data), set[str]()
    for name, about in model.model_fields.items():
        wanted = named_model(about.annotation)
        if wanted is None:
            mark = reference(about)
            if mark is not None and mark.to == "deliverable" and about.is_required() and len(known.own) == 1:
                data.setdefault(name, known.own[0])
        elif name in data or about.is_required():
            found = _resolve(sheet, place, what, name, wanted, data.get(name), known)
            if isinstance(found, Named):
                data[name] = found
                continue
            data.pop(name, None)
            unresolved.add(name)
            complaints += [found] if found is not None else []
    read = None
    try:
        read = model.model_validate(data)
    except ValidationError as error:
        complaints += [
            _complaint(sheet, place, model, what, data, entry)
            for entry in error.errors(include_url=False)
            if not (len(entry["loc"]) == 1 and entry["loc"][0] in unresolved)
        ]
    else:
        complaints += _dangling(sheet, place, read, known)
    readings.complaints += complaints
    return None if complaints or unresolved else read


def _resolve(
    sheet: Sheet, place: Place, what: str, name: str, wanted: type[Named], given: Any, known: _Known
) -> Named | Complaint | None:
    """The named thing, or the only one of its kind where none is named; None where that is itself wrong."""
    there = known.named.get(wanted.section, {})
    word = wanted.section[:-1]
    fitting = [key for key, value in there.items() if value is None or isinstance(value, wanted)]
    if given is None:
        if len(fitting) == 1:
            return there[fitting[0]]
        some = f"one of {', '.join(fitting)}" if fitting else f"no {word} of kind {wanted.kind} is declared"
        return sheet.complain(f"{what} needs {name!r}: {some}", *place)
    if not isinstance(given, str):
        return sheet.complain(f"expected the name of a {word}, not {_shown(given)}", *place, name)
    if given not in there:
        return sheet.complain(unknown(word, given, there), *place, name)
    found = there[given]
    if given not in fitting and found is not None:
        said = f"the {word} {given!r} is of kind {found.kind}; {what} reads one of kind {wanted.kind}"
        return sheet.complain(said, *place, name)
    return found


# --- what is wrong --------------------------------------------------------------------------------


def _complaint(
    sheet: Sheet, place: Place, model: type[Parameters], what: str, data: Any, error: ErrorDetails
) -> Complaint:
    """What validation refuses, at the line where it stands."""
    steps = _place_in(data, error["loc"])
    word = "key" if issubclass(model, Named) else "parameter"
    match error["type"]:
        case "missing":
            owner = f"{what} needs the {word}" if len(error["loc"]) == 1 else "it needs the key"
            return sheet.complain(f"{owner} {error['loc'][-1]!r}", *place, *steps[:-1])
        case "extra_forbidden":
            inner = _model_at(model, error["loc"][:-1])
            kind = f"{word} of {what}" if len(error["loc"]) == 1 else "key"
            return sheet.complain(unknown(kind, str(error["loc"][-1]), author_fields(inner)), *place, *steps)
        case "too_short":
            return sheet.complain("expected at least one", *place, *steps)
        case "value_error":
            return sheet.complain(str(error["ctx"]["error"]), *place, *steps)
        case _:
            wanted = error["msg"].replace("Input should be ", "").replace("a valid i", "an i")
            wanted = wanted.replace("a valid ", "a ")
            return sheet.complain(f"expected {wanted}, not {_shown(error['input'])}", *place, *steps)


def _place_in(data: Any, loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """Those steps of an error that lead into the data: a union has others, which name its options."""
    steps: list[str | int] = []
    here = data
    for step in loc:
        if (isinstance(here, dict) and step in here) or (
            isinstance(here, list | tuple) and type(step) is int
        ):
            here = here[step]  # type: ignore[index]  # of a list by a number, of a dict by its key
            steps.append(step)
    return tuple(steps if steps[-1:] == [*loc[-1:]] else [*steps, *loc[-1:]])


def _model_at(model: type[Parameters], loc: Sequence[str | int]) -> type[Parameters]:
    """The model inside a model to which a place leads."""
    found = model
    for step in loc:
        about = found.model_fields.get(str(step))
        inner = None if about is None else _model_in(about.annotation)
        found = inner or found
    return found


def _model_in(annotation: Any) -> type[Parameters] | None:
    if isinstance(annotation, type) and issubclass(annotation, Parameters):
        return annotation
    return next(filter(None, map(_model_in, getattr(annotation, "__args__", ()))), None)


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


# --- names of other things ------------------------------------------------------------------------


def _dangling(sheet: Sheet, place: Place, read: Parameters, known: _Known) -> Iterator[Complaint]:
    """Names of deliverables and given files that the exam does not have."""
    for name, about in type(read).model_fields.items():
        mark = reference(about)
        if mark is None:
            continue
        there = known.deliverables if mark.to == "deliverable" else known.given
        for inner, text in _texts(getattr(read, name)):
            if text and there is not None and text not in there:  # an optional one may be left out
                yield sheet.complain(unknown(mark.to, text, there), *place, name, *inner)


def _texts(value: Any) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, tuple):
        for index, entry in enumerate(value):
            yield from (((index, *inner), text) for inner, text in _texts(entry))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from (((key, *inner), text) for inner, text in _texts(entry))
