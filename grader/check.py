"""What a check is: a named function, with the parameters that a rubric may give it.

A check is a function `(context, *, parameters…) -> Outcome`. It decides one thing, carries no points and
keeps no state. The first line of its docstring says, for rubric authors, what passes.

A check that judges what a file says declares what reads it: `@check(…, reads=pipeline)`. The reader is a
function `(context, *, parameters…) -> fact | Finding | Outcome`, and the check is called with the fact:
`(context, fact, *, parameters…)`. A missing file, and a Finding or an Outcome instead of a fact, are answered
without the check.

What a rubric gives it is validated before any submission is looked at: keywords by their annotations, and
whatever stands in YAML under a name of its own (a scenario, a world) by the model that describes it.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from grader.results import Evidence, Outcome

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo


class Parameters(BaseModel):
    """A mapping in an exam's YAML: exactly these keys, with exactly these types."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _freeze_lists(cls, data: Any) -> Any:
        """YAML has lists where a frozen model has tuples."""
        return _frozen(data)

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields changed, which are not validated again."""
        return self.model_copy(update=fields)


class _Keywords(Parameters):
    """What a check takes. Its function says what each means: there is no source in which to look for that."""

    model_config = ConfigDict(use_attribute_docstrings=False)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return {key: _frozen(entry) for key, entry in value.items()}
    return value


class Named(Parameters):
    """Something declared once, under a name, and referred to by that name. Equal fields mean equality."""

    section: ClassVar[str]
    """The top-level key under which it is declared."""
    kind: ClassVar[str]
    """Which of its section's models it is."""

    name: str = Field(default="", exclude=True)
    """The name under which it is declared."""

    def __hash__(self) -> int:
        return hash((type(self), self.name))


class Scenario(Named):
    """Something that is run once and observed, and that several checks then judge."""

    section: ClassVar[str] = "scenarios"


class World(Named):
    """The state of servers and files that programs find; declared for the whole exam."""

    section: ClassVar[str] = "worlds"


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a string as a reference to something that the exam must define."""

    to: str
    """`deliverable` or `given file`."""
    needed: bool = True
    """Whether a criterion earns nothing if the submission lacks it."""


Deliverable = Annotated[str, Refers("deliverable")]
"""The id of a deliverable without which the check cannot pass."""
DeliverableIfAny = Annotated[str, Refers("deliverable", needed=False)]
"""The id of a deliverable that the check reads if there is one."""
GivenFile = Annotated[str, Refers("given file")]
"""The path of a file that the exam hands out."""
Seconds = Annotated[float, Field(gt=0)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
"""Alternative names, at least one."""
Port = Annotated[int, Field(ge=1, le=65535)]
ExitStatus = Annotated[int, Field(ge=0, le=255)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]


def _is_a_url_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"a URL path must begin with a slash: /{path}")
    return path


UrlPath = Annotated[str, AfterValidator(_is_a_url_path)]


class CheckFunction(Protocol):
    """A function that a rubric calls by name. Only callers and checks know the context's type."""

    __name__: str
    __doc__: str | None

    def __call__(self, context: Any, /, *args: Any, **parameters: Any) -> Outcome:
        """Decide one thing."""


class Reader(Protocol):
    """Finds what a check judges. Its keywords are parameters of the check as well."""

    __doc__: str | None

    def __call__(self, context: Any, /, *args: Any, **parameters: Any) -> Any:
        """Read it; a Finding says why it cannot be read, an Outcome what follows from that as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A use of a check, and a submission that passes it."""

    rubric: str
    """YAML: `check` and `with` as a criterion has them, and what a rubric declares for them."""
    files: Mapping[str, str]
    """Path -> text: the submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A registered check."""

    name: str
    function: CheckFunction
    reads: Reader | None
    """Reads what the function judges; every deliverable among its keywords is there when it is called."""
    evidence: Evidence
    tools: tuple[str, ...]
    """Programs (names in `grader.tools`) that it needs in order to decide, or to decide well."""
    falls_back: bool
    """Whether a static reading decides if a tool is missing or nothing may run."""
    needs_runtime: bool
    """Whether it runs candidate code."""
    parameters: type[Parameters]
    """One field for each keyword of the reader and of the function."""
    example: Example | None = None
    """For the reference, where the exam that comes with the grader has none."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


def check(
    name: str,
    *,
    reads: Reader | None = None,
    evidence: Evidence = Evidence.STATIC,
    tools: tuple[str, ...] = (),
    falls_back: bool = False,
    needs_runtime: bool | None = None,
    rule: Callable[[Any], None] | None = None,
    example: Example | None = None,
) -> Callable[[CheckFunction], Check]:
    """Turn a function into a check. Rubrics can call it once its module's `CHECKS` lists it.

    Args:
        reads: finds what the function judges.
        needs_runtime: whether it runs candidate code; else, whether its evidence is a run without tools.
        rule: receives all parameters and raises ValueError if they contradict one another.
        example: a use for the reference of checks.
    """

    def declare(function: CheckFunction) -> Check:
        return Check(
            name=name,
            function=function,
            reads=reads,
            evidence=evidence,
            tools=tools,
            falls_back=falls_back,
            needs_runtime=evidence is Evidence.RUNS and not tools if needs_runtime is None else needs_runtime,
            parameters=_parameters(name, [*filter(None, [reads]), function], rule),
            example=example,
        )

    return declare


def table(*modules: tuple[Check, ...]) -> dict[str, Check]:
    """All checks by name. Raises ValueError for a duplicate name."""
    checks: dict[str, Check] = {}
    for module in modules:
        for entry in module:
            if entry.name in checks:
                raise ValueError(f"two checks are named {entry.name}")
            checks[entry.name] = entry
    return checks


def _parameters(
    name: str, functions: Iterable[Callable[..., Any]], rule: Callable[[Any], None] | None
) -> type[Parameters]:
    fields: dict[str, Any] = {}
    for function in functions:
        keywords = keywords_of(function)
        hints = _hints(function, keywords)
        fields |= {
            each.name: (hints[each.name], ... if each.default is inspect.Parameter.empty else each.default)
            for each in keywords
        }
    if rule is None:
        return create_model(name, __base__=_Keywords, **fields)

    def hold(given: Any) -> Any:
        rule(given)
        return given

    validators: dict[str, Any] = {"rule": model_validator(mode="after")(hold)}
    return create_model(name, __base__=_Keywords, __validators__=validators, **fields)


def keywords_of(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """The keyword-only parameters of a check's function or reader."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY)


def _hints(function: Any, keywords: Iterable[inspect.Parameter]) -> dict[str, Any]:
    """Of the keywords alone: what else a function takes has types that need not exist when it runs."""
    annotated = types.SimpleNamespace(__annotations__={each.name: each.annotation for each in keywords})
    return typing.get_type_hints(annotated, function.__globals__, include_extras=True)


def named_models(model: type[Parameters]) -> Iterator[type[Named]]:
    """Every model of named things that a model refers to, directly or indirectly."""
    for field in model.model_fields.values():
        found = named_model(field.annotation)
        if found is not None:
            yield found
            yield from named_models(found)


def named_model(annotation: Any) -> type[Named] | None:
    """The model of the named thing that a field takes; None if it takes something else."""
    options = (annotation, *typing.get_args(annotation))
    return next(
        (option for option in options if isinstance(option, type) and issubclass(option, Named)), None
    )


def reference(about: FieldInfo) -> Refers | None:
    """The reference mark on a field, or on what its values are made of."""
    marks = (mark for mark in about.metadata if isinstance(mark, Refers))
    return next(marks, None) or _inner_reference(about.annotation)


def _inner_reference(annotation: Any) -> Refers | None:
    if typing.get_origin(annotation) is Annotated:
        marks = (mark for mark in annotation.__metadata__ if isinstance(mark, Refers))
        return next(marks, None) or _inner_reference(typing.get_args(annotation)[0])
    return next(filter(None, map(_inner_reference, typing.get_args(annotation))), None)


def author_fields(model: type[Parameters]) -> dict[str, FieldInfo]:
    """The keys that an author may write: a thing's name is no key within it."""
    fields = model.model_fields
    return {name: about for name, about in fields.items() if about.exclude is not True}


def require_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse an unknown name, and suggest the one that was probably meant.

    Raises:
        ValueError: it is not among the known ones.
    """
    if name not in known:
        raise ValueError(unknown(kind, name, known))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the one that was probably meant."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"unknown {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
