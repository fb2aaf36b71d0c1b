"""The table of checks: a name for each function, and the parameters that a rubric may give it.

A check is a function `(context, *, parameters…) -> Outcome`. It decides one thing, carries no points and
keeps no state. The first line of its docstring says, for rubric authors, what passes.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any, Protocol

from grader.results import Evidence, Outcome

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.context import Context


class CheckFunction(Protocol):
    """What a rubric calls by name."""

    __name__: str
    __doc__: str | None

    def __call__(self, context: Context, /, *args: Any, **parameters: Any) -> Outcome:
        """Decide one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A keyword that a check takes."""

    name: str
    type: Any
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A registered check."""

    name: str
    function: CheckFunction
    evidence: Evidence
    tools: tuple[str, ...]
    """Programs (names in `grader.tools`) without which it cannot decide, or decides less well."""
    falls_back: bool
    """Whether a static reading decides where a tool is missing or nothing may run."""
    needs_lab: bool
    """Whether it runs candidate code."""
    parameters: Mapping[str, Parameter]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


def check(
    name: str,
    *,
    evidence: Evidence = Evidence.STATIC,
    tools: tuple[str, ...] = (),
    falls_back: bool = False,
    needs_lab: bool | None = None,
) -> Callable[[CheckFunction], Check]:
    """Make a function a check. It is callable by rubrics once its module's `CHECKS` lists it.

    Args:
        needs_lab: whether it runs candidate code; by default, whether its evidence is a run without tools.
    """

    def declare(function: CheckFunction) -> Check:
        return Check(
            name=name,
            function=function,
            evidence=evidence,
            tools=tools,
            falls_back=falls_back,
            needs_lab=evidence is Evidence.RUNS and not tools if needs_lab is None else needs_lab,
            parameters=_parameters(function),
        )

    return declare


def table(*modules: tuple[Check, ...]) -> dict[str, Check]:
    """One dict of all checks; a name that stands twice is refused."""
    checks: dict[str, Check] = {}
    for module in modules:
        for entry in module:
            if entry.name in checks:
                raise ValueError(f"two checks are named {entry.name}")
            checks[entry.name] = entry
    return checks


def _parameters(function: CheckFunction) -> dict[str, Parameter]:
    hints = typing.get_type_hints(function, localns={"Context": object})
    return {
        parameter.name: Parameter(
            name=parameter.name,
            type=hints[parameter.name],
            required=parameter.default is inspect.Parameter.empty,
        )
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
