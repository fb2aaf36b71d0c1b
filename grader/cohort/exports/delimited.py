"""A table of a platform's, in which single cells are written anew and every other byte stays what it was."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 2**26
"""Of a file; one with 100,000 people has a fifth of that."""
SEPARATORS = ",;\t"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NEWLINE = re.compile(r"\r\n|\n|\r")
_QUOTED = r'"[^"]*(?:""[^"]*)*"'
_QUOTED_BY_PHP = r'"[^"\\]*(?:(?:\\.|"")[^"\\]*)*"'
"""PHP's `fputcsv` does not double a quote that has a backslash before it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and where it is in the text."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Record:
    """A row; a cell may have several lines."""

    cells: tuple[Cell, ...]
    line: int
    """Where it begins."""

    def __getitem__(self, column: int) -> str:
        return self.cells[column].value


@dataclass(frozen=True, slots=True)
class Table:
    """A file taken apart. All records have as many cells as the header."""

    name: str
    mark: bytes
    encoding: str
    text: str
    separator: str
    header: Record
    records: tuple[Record, ...]

    @property
    def columns(self) -> list[str]:
        """The header's cells, without blanks around them."""
        return [cell.value.strip() for cell in self.header.cells]

    def written(self, changes: Mapping[Cell, str]) -> bytes:
        """The whole file with new values in some cells, which stay in quotes where they were."""
        pieces = []
        done = 0
        for cell in sorted(changes, key=lambda each: each.start):
            pieces += [self.text[done : cell.start], self._quoted(changes[cell], cell)]
            done = cell.end
        return self.mark + "".join([*pieces, self.text[done:]]).encode(self.encoding)

    def _quoted(self, value: str, cell: Cell) -> str:
        if self.text[cell.start : cell.end].startswith('"') or self.separator in value:
            return f'"{value}"'
        return value


def read_table(path: Path) -> Table:
    """Take a file apart; see `parse_table`.

    Raises:
        UsageError: also if there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return parse_table(data, str(path))


def parse_table(data: bytes, name: str) -> Table:
    """Take a file apart.

    Args:
        name: what complaints call it.

    Raises:
        UsageError: it is no such table, or rows of it have too many or too few cells.
    """
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    mark, encoding, text = _decoded(data, name)
    start, separator = _first_line(text)
    if not text[start:].strip():
        raise UsageError(f"{name} is empty")
    complaint = ""
    for quoted in (_QUOTED, _QUOTED_BY_PHP):
        cut = _cutter(separator or _separator(text, start, quoted), quoted)
        records, uneven = _records(text, start, cut)
        if uneven is None:
            return Table(name, mark, encoding, text, cut.separator, records[0], tuple(records[1:]))
        told = f"has {len(uneven.cells)} cells and the header {len(records[0].cells)}"
        if not uneven.cells:
            told = "has a quote that does not end where a cell does"
        complaint = complaint or f"{name}:{uneven.line} {told}: download the file again, and save no changes"
    raise UsageError(complaint)


def _decoded(data: bytes, name: str) -> tuple[bytes, str, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return mark, encoding, data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise UsageError(f"{name} is not text in {encoding.upper()} (byte {error.start})") from error
    for encoding in ("utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return b"", encoding, text
    raise UsageError(f"{name} is no table in text: it must be CSV, as the platform lets you download it")


def _first_line(text: str) -> tuple[int, str]:
    """Where the table begins, and the separator if a line before it names one, as Excel has it."""
    match = re.match(r"sep=([,;\t])(?:\r\n|\n|\r)", text)
    return (match.end(), match[1]) if match else (0, "")


@dataclass(frozen=True, slots=True)
class _Cutter:
    separator: str
    cell: re.Pattern[str]


def _cutter(separator: str, quoted: str) -> _Cutter:
    blank, plain = rf"[^\S\r\n{separator}]*", rf'(?!")[^{separator}\r\n]*'
    return _Cutter(
        separator, re.compile(rf"(?:({quoted}){blank}|({plain}))({separator}|\r\n|\n|\r|\Z)", re.DOTALL)
    )


def _separator(text: str, start: int, quoted: str) -> str:
    """What parts the header into the most cells."""
    return max(SEPARATORS, key=lambda each: len(_record(text, start, _cutter(each, quoted))[0]))


def _records(text: str, start: int, cut: _Cutter) -> tuple[list[Record], Record | None]:
    """All records, and the first that has more or fewer cells than the header: nothing is read behind it."""
    found: list[Record] = []
    line = 1 + len(_NEWLINE.findall(text[:start]))
    while start < len(text):
        cells, end = _record(text, start, cut)
        record = Record(tuple(cells), line)
        if len(cells) != 1 or cells[0].value.strip():
            found.append(record)
            if len(cells) != len(found[0].cells) or not cells:
                return found, record
        line += len(_NEWLINE.findall(text[start:end]))
        start = end
    return found, None


def _record(text: str, start: int, cut: _Cutter) -> tuple[list[Cell], int]:
    """The cells of a record, none where a quote does not end as it should; and where the next one begins."""
    cells = []
    while match := cut.cell.match(text, start):
        value = match[1][1:-1].replace('""', '"') if match[1] is not None else match[2]
        cells.append(Cell(value, start, match.start(3)))
        start = match.end()
        if match[3] != cut.separator:
            return cells, start
    return [], start


def shown(text: str) -> str:
    """A cell as a complaint may show it."""
    return one_line(text, longest=60)
