"""What the expressions of a workflow can refer to, at one place of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.expressions import UNKNOWN, as_text, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.checks.workflow.events import Event


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions can refer to at a place."""

    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    matrix: Mapping[str, Any] = field(default_factory=dict)
    event: Event | None = None
    """What started the workflow; None where nobody asks."""

    def __call__(self, path: tuple[str, ...]) -> Any:
        """A context's value when the event has started the workflow."""
        match tuple(part.lower() for part in path[:1]) + path[1:]:
            case ("github", *names) if self.event is not None:
                return self.event.context.get(".".join(names).lower(), UNKNOWN)
            case ("env", name):
                return self.environment.get(name, UNKNOWN)
            case ("inputs", name):
                return self.inputs.get(name, UNKNOWN)
            case ("matrix", name):
                return self.matrix.get(name, UNKNOWN)
        return UNKNOWN

    def text(self, value: Any) -> str:
        """A scalar with its expressions filled in."""
        return substitute(as_text(value), self) if isinstance(value, str | int | float | bool) else ""

    def texts(self, values: Any) -> dict[str, str]:
        """A mapping of scalars, likewise."""
        pairs = values.items() if isinstance(values, dict) else ()
        return {str(key): self.text(value) for key, value in pairs}

    def entered(
        self, *, env: Any = None, inputs: Mapping[str, Any] | None = None, matrix: Any = None
    ) -> Scope:
        """The scope of something inside, with its own variables."""
        return Scope(
            environment={**self.environment, **self.texts(env)},
            inputs=self.inputs if inputs is None else inputs,
            matrix=_matrix(matrix) or self.matrix,
            event=self.event,
        )


def _matrix(strategy: Any) -> dict[str, Any]:
    match strategy:
        case {"matrix": dict(axes)}:
            found = {str(key): values for key, values in axes.items() if isinstance(values, list)}
            for entry in axes["include"] if isinstance(axes.get("include"), list) else []:
                for key, value in entry.items() if isinstance(entry, dict) else ():
                    found.setdefault(str(key), []).append(value)
            return {
                key: [v for v in values if isinstance(v, str | int | float)] for key, values in found.items()
            }
    return {}
