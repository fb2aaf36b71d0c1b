"""The reference of checks for exam authors, generated from the code."""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from grader.check import Check, Named, Parameters, author_fields, named_model, reference
from grader.exam.parameters import named_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from grader.exam.model import Exam

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key that an author may write."""

    name: str
    type: str
    """In words: `a list of text`."""
    required: bool
    default: Any
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One check."""

    name: str
    passes: str
    """What earns its points."""
    evidence: str
    falls_back: bool
    """Whether reading decides where nothing may run or a tool is missing."""
    tools: tuple[str, ...]
    reads: tuple[str, ...]
    """Parameters that name deliverables."""
    scenario: str
    """The kind of scenario that it judges; empty where it judges none."""
    parameters: tuple[Field, ...]
    example: str
    """YAML, from the exam that comes with the grader or else the check's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One kind of scenario or world."""

    section: str
    kind: str
    meaning: str
    fields: tuple[Field, ...]


def check_references(checks: Mapping[str, Check], exam: Exam) -> tuple[Reference, ...]:
    """All checks in order of their names; examples are from the exam."""
    uses = {
        part.check: part.parameters
        for task in exam.tasks
        for criterion in task.criteria
        for part in reversed(criterion.parts)
    }
    return tuple(_reference(checks[name], uses.get(name)) for name in sorted(checks))


def declarations(checks: Mapping[str, Check]) -> tuple[Declaration, ...]:
    """All kinds of scenarios, then all kinds of worlds."""
    kinds = named_kinds(checks)
    return tuple(
        Declaration(
            section=section,
            kind=kind,
            meaning=_paragraph(inspect.getdoc(model) or ""),
            fields=tuple(_fields(model, {})),
        )
        for section in ("scenarios", "worlds")
        for kind, model in sorted(kinds[section].items())
    )


def _reference(check: Check, use: Mapping[str, Any] | None) -> Reference:
    model = check.parameters
    named = [found for about in model.model_fields.values() if (found := named_model(about.annotation))]
    return Reference(
        name=check.name,
        passes=check.summary,
        evidence=str(check.evidence),
        falls_back=check.falls_back,
        tools=check.tools,
        reads=tuple(name for name, about in model.model_fields.items() if _refers_to(about) == "deliverable"),
        scenario=named[0].kind if named else "",
        parameters=tuple(_fields(model, _arguments(check))),
        example=_example(check, use),
    )


def _fields(model: type[Parameters], meanings: Mapping[str, str]) -> Iterator[Field]:
    for name, about in author_fields(model).items():
        default = None if about.default is PydanticUndefined else about.default
        if about.default_factory is not None:
            default = {}
        yield Field(
            name=name,
            type=type_in_words(about),
            required=about.is_required(),
            default=default.model_dump() if isinstance(default, Parameters) else default,
            meaning=_sentence(meanings.get(name, "") or about.description or _usual(about)),
        )


def _usual(about: FieldInfo) -> str:
    named = named_model(about.annotation)
    if named is not None:
        return f"The {named.section[:-1]}; optional if it is the only one of its kind."
    mark = _refers_to(about)
    return "The file to read; optional if the task has only one." if mark == "deliverable" else ""


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def _arguments(check: Check) -> dict[str, str]:
    """What the docstrings of reader and function say of their keywords."""
    return {
        found[1]: found[2]
        for each in (check.reads, check.function)
        for found in _ARGUMENT.finditer((inspect.getdoc(each) or "").partition("Args:\n")[2])
    }


def _paragraph(doc: str) -> str:
    return " ".join(doc.split())


def _refers_to(about: FieldInfo) -> str:
    mark = reference(about)
    return "" if mark is None else mark.to


# --- types in words -------------------------------------------------------------------------------


def type_in_words(about: FieldInfo) -> str:
    """The type of a field, in words for authors."""
    bounds = [text for mark in about.metadata for text in _bounds(mark)]
    mark = _refers_to(about)
    words = _words(about.annotation)
    if mark and words == "text":
        words = {"deliverable": "the id of a deliverable", "given file": "the path of a given file"}[mark]
    return ", ".join([words, *bounds])


def _bounds(mark: Any) -> Iterator[str]:
    said = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    yield from (f"{word} {getattr(mark, key):g}" for key, word in said.items() if hasattr(mark, key))
    if getattr(mark, "min_length", None):
        yield f"at least {mark.min_length}"


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return _words(next(option for option in arguments if option is not type(None)))
    if origin is tuple:
        return f"a list of {_plural(_words(arguments[0]))}"
    if origin is dict:
        return f"a mapping to {_plural(_words(arguments[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, Named):
        return f"the name of a {annotation.section[:-1]} of kind `{annotation.kind}`"
    if isinstance(annotation, type) and issubclass(annotation, Parameters):
        return "{" + ", ".join(_key(name, about) for name, about in annotation.model_fields.items()) + "}"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(
        annotation, "anything"
    )


def _key(name: str, about: FieldInfo) -> str:
    return name if about.is_required() else f"{name}?"


def _plural(words: str) -> str:
    return words.removeprefix("a ").replace("list of", "lists of", 1) if words.startswith("a ") else words


# --- an example -----------------------------------------------------------------------------------


def _example(check: Check, use: Mapping[str, Any] | None) -> str:
    """As a rubric has it, less what need not be written there."""
    if use is None and check.example is not None:
        return inspect.cleandoc(check.example.rubric) + "\n"
    shown: dict[str, Any] = {"check": check.name}
    given = {
        name: _plain(value)
        for name, value in (use or {}).items()
        if value != check.parameters.model_fields[name].default
    }
    return yaml.safe_dump(
        shown | ({"with": given} if given else {}), sort_keys=False, default_flow_style=None, width=100
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Named):
        return value.name
    if isinstance(value, Parameters):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return {key: _plain(entry) for key, entry in value.items()} if isinstance(value, dict) else value


# --- for editors ----------------------------------------------------------------------------------


def editor_schema(base: dict[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """The rubric's JSON Schema with the parameters of every check and the fields of every scenario."""
    criteria = base["properties"]["criteria"]["items"]
    judged = {
        "allOf": [_when("check", name, {"with": _schema(checks[name].parameters)}) for name in sorted(checks)]
    }
    definitions = {**base["$defs"], "judged": judged}
    scenarios = named_kinds(checks)["scenarios"]
    named = base["$defs"]["named"]
    definitions["named"] = {
        **named,
        "additionalProperties": {
            **named["additionalProperties"],
            "allOf": [_kind(kind, model) for kind, model in sorted(scenarios.items())],
        },
    }
    part = criteria["properties"]["parts"]["items"]
    parts = {**criteria["properties"]["parts"], "items": {**part, "$ref": "#/$defs/judged"}}
    criterion = {
        **criteria,
        "$ref": "#/$defs/judged",
        "properties": {**criteria["properties"], "parts": parts},
    }
    properties = {**base["properties"], "criteria": {**base["properties"]["criteria"], "items": criterion}}
    return {**base, "properties": properties, "$defs": definitions}


def _when(key: str, value: str, then: dict[str, Any]) -> dict[str, Any]:
    condition = {"properties": {key: {"const": value}}, "required": [key]}
    return {"if": condition, "then": {"properties": then}}


def _kind(kind: str, model: type[Named]) -> dict[str, Any]:
    schema = _schema(model)
    then = {**schema, "properties": {"kind": {"const": kind}, **schema["properties"]}}
    return {"if": {"properties": {"kind": {"const": kind}}}, "then": then}


def _schema(model: type[Parameters]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for name, about in author_fields(model).items():
        named = named_model(about.annotation)
        if named is not None:
            properties[name] = {"type": "string", "description": _usual(about)}
            continue
        annotation: Any = Annotated[about.annotation, *about.metadata] if about.metadata else about.annotation
        schema = TypeAdapter(annotation).json_schema()
        properties[name] = _inlined(schema, schema.get("$defs", {}))
        if about.description:
            properties[name]["description"] = about.description
        if about.is_required() and _refers_to(about) != "deliverable":
            required.append(name)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Without titles, which say nothing, and with every definition in its place."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {
        key: _inlined(value, definitions)
        for key, value in schema.items()
        if key != "$defs" and not (key == "title" and isinstance(value, str))
    }


# --- forms ----------------------------------------------------------------------------------------


def as_json(references_: tuple[Reference, ...], declared: tuple[Declaration, ...]) -> dict[str, Any]:
    """The whole reference as JSON."""
    return {
        "checks": [asdict(each) for each in references_],
        "declarations": [asdict(each) for each in declared],
    }


def as_markdown(references_: tuple[Reference, ...], declared: tuple[Declaration, ...]) -> str:
    """The whole reference as a Markdown page."""
    lines = [
        "# Checks",
        "",
        "The checks that a rubric may call. Generated by `grader rubric checks --format markdown`.",
        "",
        "A criterion names a check and gives it parameters under `with`. Where a task has only one",
        "deliverable, or a rubric only one scenario of a kind, it need not be named.",
        "",
    ]
    for each in references_:
        lines += _check_section(each)
    for kind in declared:
        lines += [f"## {kind.section[:-1]} `{kind.kind}`", "", kind.meaning, "", *_table(kind.fields)]
    return "\n".join(lines).rstrip() + "\n"


def _check_section(each: Reference) -> list[str]:
    how = each.evidence + ("; read statically if nothing may run" if each.falls_back else "")
    facts = [f"evidence: {how}"]
    facts += [f"tools: {', '.join(each.tools)}"] if each.tools else []
    facts += [f"judges a scenario `{each.scenario}`"] if each.scenario else []
    if each.reads:
        facts.append(f"reads the deliverable in {' and '.join(f'`{name}`' for name in each.reads)}")
    return [
        f"## `{each.name}`",
        "",
        each.passes,
        "",
        *(f"- {fact}" for fact in facts),
        "",
        *_table(each.parameters),
        "```yaml",
        each.example.rstrip(),
        "```",
        "",
    ]


def _table(fields: tuple[Field, ...]) -> list[str]:
    if not fields:
        return []
    rows = [f"| `{each.name}` | {each.type} | {_default(each)} | {each.meaning} |" for each in fields]
    return ["| key | takes | default | meaning |", "|---|---|---|---|", *rows, ""]


def _default(each: Field) -> str:
    if each.required:
        return ""
    shown = list(each.default) if isinstance(each.default, tuple) else each.default
    return "none" if shown in (None, "", [], {}) else f"`{shown}`"
