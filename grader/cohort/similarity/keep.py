"""Pairs as a gradebook keeps them: with the lines that are alike, to be seen side by side later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.store import now
from grader.cohort.similarity.report import SAID
from grader.cohort.similarity.tokens import max_bytes, text_of
from grader.files import open_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.similarity.model import Lines, Pair, Similarity, Work

SETTING = "similar"
MAX_PAIRS = 100
MAX_BLOCKS = 8
MAX_LINES = 40
"""Of a block, that are shown."""
MAX_LINE = 300
MAX_REASONS = 20


def keep(
    book: Gradebook, found: Similarity, works: Sequence[Work], whose: Mapping[str, Sequence[int]], *, who: str
) -> None:
    """Keep the pairs in a gradebook, in place of those before; within a transaction.

    Args:
        works: all that were compared.
        whose: name of a work -> its candidates; of an earlier cohort there are none.
    """
    folders = {work.name: work for work in works}
    pairs = [_pair(pair, folders, whose) for pair in found.pairs[:MAX_PAIRS]]
    more = len(found.pairs) - len(pairs) + found.more_pairs
    data = {
        "at": now(),
        "works": found.works,
        "files": found.files,
        "pairs": pairs,
        "more": more,
        "skipped": len(found.skipped),
    }
    book.set(SETTING, json.dumps(data, ensure_ascii=False))
    book.record("compared", who=who, works=found.works, pairs=len(pairs) + more)


def kept(book: Gradebook) -> dict[str, Any]:
    """What was kept last; empty if nothing ever was."""
    found: dict[str, Any] = json.loads(book.setting(SETTING, "{}"))
    return found


def _pair(pair: Pair, works: Mapping[str, Work], whose: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {
        "left": list(whose.get(pair.left, ())),
        "right": list(whose.get(pair.right, ())),
        "names": [pair.left, pair.right],
        "score": pair.score,
        "whole": pair.whole,
        "reasons": [
            {"what": SAID[each.trace], "value": each.value[:MAX_LINE], "left": each.left, "right": each.right}
            for each in pair.reasons[:MAX_REASONS]
        ],
        "blocks": [
            {"left": _lines(block.left, works[pair.left]), "right": _lines(block.right, works[pair.right])}
            for block in pair.blocks[:MAX_BLOCKS]
        ],
        "more_blocks": max(0, len(pair.blocks) - MAX_BLOCKS) + pair.more_blocks,
    }


def _lines(lines: Lines, work: Work) -> dict[str, Any]:
    data = open_tree(work.folder).read(lines.path, max_bytes(lines.path))
    try:
        text = text_of(lines.path, data or b"").split("\n")
    except ValueError:
        text = []
    shown = text[lines.first - 1 : lines.last][:MAX_LINES]
    return {
        "path": lines.path,
        "first": lines.first,
        "last": lines.last,
        "lines": [line[:MAX_LINE] for line in shown],
    }
