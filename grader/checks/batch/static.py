"""How a batch script reads its input, judged from its source: in chunks of how many rows."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, check
from grader.documents import Problem
from grader.readers.python.module import Call, Module, modules
from grader.readers.python.nodes import UNKNOWN
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.context import Context

_KEYWORDS = ("chunksize", "batch_size", "chunk_size")
_TAKERS = frozenset(
    {"get_chunk", "fetchmany", "next_batches", "iter_batches", "to_batches", "islice", "take"}
)
"""Methods and functions whose first number is a count of rows."""
_WHOLE = frozenset(
    {"read_csv", "read_table", "read_parquet", "read_feather", "read_json", "loadtxt", "genfromtxt"}
)
_READ = Finding(message="the script was read, not run")


@check("batch.chunks")
def chunks(context: Context, *, file: Deliverable, rows: int) -> Outcome:
    """The script reads its input in chunks of a fixed number of rows."""
    source = context.submission.deliverable(file)
    if source is None:
        return failed(Finding(message="the batch scoring script is missing"))
    if isinstance(source.python, Problem):
        return failed(source.python.finding(), evidence=Evidence.STATIC)
    sources = modules(context.submission, source)
    sizes = list(_sizes(sources))
    if any(_is(size, rows) for _, size in sizes):
        return passed(_READ, evidence=Evidence.STATIC)
    expected = f"{rows:,} rows at a time"
    if any(size is UNKNOWN for _, size in sizes):
        return unverified("the chunk size cannot be determined from the source")
    if sizes:
        where, size = sizes[0]
        finding = Finding(
            message="the chunks have the wrong size", expected=expected, actual=str(size), where=where
        )
        return failed(finding, _READ, evidence=Evidence.STATIC)
    whole = next(_whole(sources), None)
    if whole is None:
        return unverified("how the script reads its input cannot be determined from the source")
    finding = Finding(message="the input is read in one go", expected=expected, where=whole)
    return failed(finding, _READ, evidence=Evidence.STATIC)


def _is(size: Any, rows: int) -> bool:
    return isinstance(size, int | float) and not isinstance(size, bool) and size == rows


def _sizes(sources: Sequence[Module]) -> Iterator[tuple[str, Any]]:
    """Yield each place that states a number of rows to read, with the number."""
    for module in sources:
        for call in module.calls():
            for size in _call_sizes(call):
                yield module.where(call.node), size
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Compare) and len(node.ops) == 1:
                for counted, number in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
                    if isinstance(counted, ast.Call) and module.name(counted.func) == "len":
                        size = module.constant(number)
                        if (
                            isinstance(size, int) and size > 1
                        ):  # rows that are gathered until there are so many
                            yield module.where(node), size


def _call_sizes(call: Call) -> Iterator[Any]:
    name = call.name.rpartition(".")[2]
    if name == "add_argument" or name.endswith("Option") or name in ("option", "field"):
        return
    if name in _TAKERS:
        position = 1 if name == "islice" else 0
        given = call.node.args[position : position + 1]
        yield from (call.module.constant(each) for each in given)
    if name in _TAKERS or name in _WHOLE or name.startswith(("read_", "scan_", "partial", "open_")):
        yield from (size for each in _KEYWORDS if (size := call.value(each)) is not None)
    for limit, skipped in (("nrows", "skiprows"), ("n_rows", "skip_rows"), ("max_rows", "skiprows")):
        if call.argument(skipped) is not None and (size := call.value(limit)) is not None:
            yield size


def _whole(sources: Sequence[Module]) -> Iterator[str]:
    for module in sources:
        for call in module.calls():
            if call.name.rpartition(".")[2] in _WHOLE and call.value("iterator") is not True:
                yield module.where(call.node)


CHECKS = (chunks,)
