"""Comparing a table of predictions with the rows that were to be predicted, whatever their order."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from grader.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ROWS = 200_000
_MIN_KAPPA = 0.1
"""Cohen's kappa above which an agreement is no chance: with 20,000 rows it strays by 0.02."""
_BLANK = {"", "nan", "none", "null", "na", "<na>", "nat"}
_DELIMITERS = (",", ";", "\t", "|")
_TIMES = (
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d_%H%M%S",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%d %H:%M:%S %Z",
    "%Y-%m-%dT%H:%M:%S %Z",
    "%H:%M:%S.%f",
    "%H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%c",
)

Key = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Output:
    """A table written by a script."""

    path: str
    header: tuple[str, ...]
    rows: list[list[str]] = field(repr=False)
    repeated_headers: int = 0
    """How many lines between the rows repeat the header."""
    csv: bool = True
    """Whether it is CSV, and not JSON."""
    named: bool = True
    """Whether it has a header; if not, its columns are numbered."""

    def column(self, name: str) -> list[str] | None:
        """The cells of a column; None if there is no such column."""
        if name not in self.header:
            return None
        return self._columns[self.header.index(name)]

    @cached_property
    def _columns(self) -> list[list[str]]:
        return [[row[n] if n < len(row) else "" for row in self.rows] for n in range(len(self.header))]


def parse(path: str, data: bytes) -> Output | None:
    """Parse a file as a table; None if it is not one."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    first = text.partition("\n")[0]
    if "\0" in text[:10_000] or not first.strip():
        return None
    if first.lstrip()[:1] in ("{", "["):
        return _json_table(path, text)
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        lines = [row for row, _ in zip(_reader(text, delimiter), range(MAX_ROWS), strict=False) if row]
    except csv.Error:
        return None
    if all(_is_data(cell) for cell in lines[0]):
        numbered = tuple(f"column {n}" for n in range(1, len(lines[0]) + 1))
        return Output(path=path, header=numbered, rows=lines, named=False)
    header, *rows = lines
    kept = [row for row in rows if row != header]
    return Output(path=path, header=tuple(header), rows=kept, repeated_headers=len(rows) - len(kept))


def _json_table(path: str, text: str) -> Output | None:
    """Records in a list or one a line, or columns: what was predicted is there, if not as it was asked."""
    try:
        records = parse_json(text)
    except ValueError:
        records = [_loaded(line) for line in text.splitlines()[:MAX_ROWS] if line.strip()]
    if isinstance(records, dict) and all(isinstance(column, dict) for column in records.values()):
        columns = [list(column.values()) for column in records.values()]
        records = [dict(zip(records, cells, strict=True)) for cells in zip(*columns, strict=False)]
    if not isinstance(records, list) or not records or not all(isinstance(row, dict) for row in records):
        return None
    header = tuple(records[0])
    rows = [["" if row.get(name) is None else str(row[name]) for name in header] for row in records]
    return Output(path=path, header=header, rows=rows[:MAX_ROWS], csv=False)


def _loaded(line: str) -> Any:
    try:
        return parse_json(line)
    except ValueError:
        return None


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How an output's rows compare with the input's."""

    missing: int
    extra: int
    agreement: Mapping[str, float]
    """Label of a model -> the share of rows (blanks aside) that have its prediction."""
    values: int = 0
    """The number of distinct predictions."""
    empty: int = 0
    """Rows without a prediction."""
    informed: bool = False
    """Whether some model agrees with the predictions better than by chance."""


def compare(
    output: Output,
    predictions: Sequence[str] | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    predicted: Mapping[str, Sequence[Any]],
) -> Comparison:
    """Match rows by the input's columns if the output kept them all, else by position."""
    found = _keys(output, columns)
    given = [tuple(map(value, row)) for row in rows]
    if found is None:
        found = given[: len(output.rows)] + [()] * (len(output.rows) - len(given))
    there, wanted = Counter(found), Counter(given)
    cells = [value(cell) for cell in predictions or ()]
    expected = {label: dict(zip(given, map(value, said), strict=True)) for label, said in predicted.items()}
    agreement = {label: _agreement(found, cells, said) for label, said in expected.items()}
    return Comparison(
        missing=sum((wanted - there).values()),
        extra=sum((there - wanted).values()),
        agreement=agreement,
        informed=any(_kappa(found, cells, said) > _MIN_KAPPA for said in expected.values()),
        values=len(set(cells) - {None}),
        empty=cells.count(None),
    )


def _keys(output: Output, columns: Sequence[str]) -> list[Key] | None:
    cells = [output.column(name) for name in columns]
    if any(column is None for column in cells):
        return None
    return [tuple(map(value, row)) for row in zip(*(column or () for column in cells), strict=True)]


def _agreement(found: Sequence[Key], cells: Sequence[Any], expected: Mapping[Key, Any]) -> float:
    pairs = _pairs(found, cells, expected)
    return sum(cell == right for cell, right in pairs) / len(pairs) if pairs else 0.0


def _kappa(found: Sequence[Key], cells: Sequence[Any], expected: Mapping[Key, Any]) -> float:
    """Cohen's kappa: the share of the agreement that is beyond what both would reach by chance."""
    pairs = _pairs(found, cells, expected)
    if not pairs:
        return 0.0
    own, right = Counter(cell for cell, _ in pairs), Counter(said for _, said in pairs)
    chance = sum(count * right[label] for label, count in own.items()) / len(pairs) ** 2
    agreed = sum(cell == said for cell, said in pairs) / len(pairs)
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def _pairs(found: Sequence[Key], cells: Sequence[Any], expected: Mapping[Key, Any]) -> list[tuple[Any, Any]]:
    """Each row's prediction and a model's, rows with blanks aside: a script may fill them as it likes."""
    return [
        (cell, expected[key])
        for key, cell in zip(found, cells, strict=False)
        if key in expected and None not in key
    ]


def value(cell: Any) -> Any:
    """The value of a cell: a number if it looks like one, None if it is blank."""
    text = str(cell).strip()
    if text.lower() in _BLANK:
        return None
    try:
        number = float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.lower(), text)
    # A script may compute with less precision than the file has.
    return round(number, 3) if math.isfinite(number) else None


def _is_data(cell: str) -> bool:
    """A number, a time or a blank, which no column is called."""
    return not isinstance(value(cell), str) or is_time(cell)


def is_time(cell: str) -> bool:
    """Whether a cell is a point in time, an epoch or a duration."""
    text = cell.strip()
    if text.lower() in _BLANK:
        return False
    try:
        number = float(text)
    except ValueError:
        return _is_date(text) or _is_duration(text)
    return math.isfinite(number) and number >= 0


def _is_date(text: str) -> bool:
    # `fromisoformat` knows microseconds only, pandas writes nanoseconds.
    for form in (text, text.removesuffix(" UTC"), text[:26]):
        try:
            datetime.fromisoformat(form)
        except ValueError:
            continue
        return True
    for pattern in _TIMES:
        try:
            datetime.strptime(text, pattern)
        except ValueError:
            continue
        return True
    return False


def _is_duration(text: str) -> bool:
    """`0 days 00:00:01.5`, `0.01s`, `12 ms`."""
    words = text.split()
    if len(words) == 3 and words[1].startswith("day"):
        return is_time(words[2])
    number = text.rstrip("smn ").strip()
    return number != text and number.replace(".", "", 1).isdigit()
