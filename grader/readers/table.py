"""CSV tables: read, cleaned, shuffled, written."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter

Table = list[list[str]]
"""A header and rows, as text."""


def clean(table: Table, *, drop_duplicates: bool, drop_blanks: bool) -> Table:
    """The table without repeated rows and without rows that have blanks."""
    header, *rows = table
    if drop_duplicates:
        rows = [list(row) for row in dict.fromkeys(map(tuple, rows))]
    if drop_blanks:
        rows = [row for row in rows if all(cell.strip() for cell in row)]
    return [header, *rows]


def shuffled(table: Table, target: str, seed: str) -> Table:
    """The table with its labels dealt out anew: as many of each, and nothing to learn."""
    header, *rows = table
    column = header.index(target)
    labels = [row[column] for row in rows]
    random.Random(seed).shuffle(labels)  # noqa: S311
    pairs = zip(rows, labels, strict=True)
    return [header, *([*row[:column], label, *row[column + 1 :]] for row, label in pairs)]


def majority_share(table: Table, target: str) -> float:
    """How often guessing the commonest label is right."""
    header, *rows = table
    counts = Counter(row[header.index(target)] for row in rows)
    return max(counts.values()) / len(rows)


def read_table(data: bytes) -> Table:
    """A CSV file's header and rows."""
    return [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]


def write_table(table: Table) -> bytes:
    """The table as a CSV file."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue().encode()
