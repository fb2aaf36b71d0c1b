"""Change one parameter in its file and leave everything else as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from grader.documents import Problem, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Place = tuple[str, ...]
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One piece of a file, and its replacement."""

    start: int
    end: int
    old: str
    new: str
    places: tuple[Place, ...]
    """Keys that lead to the value, one from each nesting: several where an alias repeats it."""

    @property
    def name(self) -> str:
        """`train.n_estimators`"""
        return ".".join(self.places[0])


def change(text: str, name: str, prefer: Callable[[Place], bool]) -> Change | None:
    """The next higher number for a key of that name; the first that is preferred, or else the first.

    None where no such key has a number.
    """
    documents = parse_yaml(text, name)
    if isinstance(documents, Problem) or len(documents) != 1:
        return None
    roots = yaml.compose_all(text, Loader=yaml.SafeLoader)
    scalars = [each for root in roots for each in _scalars(root, ())]
    found = [each for each in scalars if each[0][-1] == name and _next(each[1].value)]
    _, node = next((each for each in found if prefer(each[0])), found[0] if found else ((), None))
    # A node begins with its anchor, tag or quote, where it has one.
    start = -1 if node is None else text.rfind(node.value, node.start_mark.index, node.end_mark.index)
    if node is None or start < 0:
        return None
    return Change(
        start=start,
        end=start + len(node.value),
        old=node.value,
        new=_next(node.value),
        places=tuple(place for place, other in found if other is node),
    )


def _scalars(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, yaml.ScalarNode]]:
    """Every scalar by the keys that lead to it; merges and aliases written out (reading bounded them)."""
    if isinstance(node, yaml.ScalarNode) and place:
        yield place, node
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _scalars(item, (*place, str(index)))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    yield from _scalars(part, place)
            elif isinstance(key, yaml.ScalarNode):
                yield from _scalars(value, (*place, str(key.value)))


def _next(value: str) -> str:
    """The next number; empty if the value is not a number."""
    for base in (10, 0):  # `0x64` besides
        try:
            return str(int(value, base) + 1)
        except ValueError:
            continue
    try:
        return repr(float(value) + 1)
    except ValueError:
        return ""
