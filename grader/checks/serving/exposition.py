"""Prometheus exposition text, read with Prometheus' own parser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_ERROR = 80
"""Characters of an error to keep: the parser repeats what it could not read, which may be everything."""

_MAX_LINE = 10_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


def metric_names(text: str, content_type: str = "") -> tuple[str, ...] | str:
    """The names that have samples, or why the text is no exposition."""
    families = _families(text, content_type)
    if isinstance(families, str):
        return families
    return tuple(family.name for family in families if family.samples)


def samples(text: str, content_type: str = "") -> tuple[Sample, ...] | str:
    """All values, or why the text is no exposition."""
    families = _families(text, content_type)
    if isinstance(families, str):
        return families
    return tuple(Sample(each.name, each.labels, each.value) for family in families for each in family.samples)


def _families(text: str, content_type: str) -> list[Any] | str:
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics

    # Its parser copies what is left of a line for each of the line's labels.
    if any(len(line) > _MAX_LINE for line in text.splitlines()):
        return f"a line has more than {_MAX_LINE:,} characters"
    parse = (
        openmetrics.text_string_to_metric_families
        if "openmetrics" in content_type
        else parser.text_string_to_metric_families
    )
    try:
        return list(parse(text))
    except Exception as error:  # its parser has no errors of its own
        return " ".join(str(error).split())[:_MAX_ERROR] or type(error).__name__


def own(names: Sequence[str], foreign: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics about the application rather than its interpreter."""
    return tuple(name for name in names if not name.startswith(tuple(foreign)))
