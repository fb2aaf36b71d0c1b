"""Complaints about an exam's own files, with file and line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from grader.documents import YamlDocument


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Complaint:
    """One thing wrong at one place."""

    file: str
    line: int = 0
    """0: the whole file."""
    path: str = ""
    """`criteria[2].parts[0].with.package`"""
    message: str
    warning: bool = False
    """Whether it is only a matter of style, so that the exam can be used."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        kind = "warning: " if self.warning else ""
        return ": ".join(filter(None, (where, self.path, kind + self.message)))


@dataclass(frozen=True, slots=True)
class Sheet:
    """One parsed file of an exam."""

    file: str
    document: YamlDocument

    @property
    def data(self) -> Any:
        """What it holds: a mapping, once it has passed its schema."""
        return self.document.data

    def complain(self, message: str, *place: Hashable, warning: bool = False) -> Complaint:
        """A complaint about the value at `place`."""
        return Complaint(
            file=self.file,
            line=self.document.line(*place) or 0,
            path=spell(place),
            message=message,
            warning=warning,
        )


def spell(place: Iterable[Hashable]) -> str:
    """`("criteria", 2, "with")` as `criteria[2].with`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else str(step)
    return text
