"""Judge a query for the best runs from its source: experiment, filter, order and limit.

A reading decides only what is certain; anything that only running could tell is left open.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, check
from grader.checks.query.calls import Query, queries
from grader.documents import Problem, SourceFile
from grader.readers.python.nodes import known
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from grader.context import Context
    from grader.readers.python.module import Call, Module

_READ = Finding(message="the query was read, not run")
_CLAUSE = r"^\s*`?metrics?\.[`\"']?{metric}[`\"']?\s*(<=|>=|!=|==?|<|>)\s*['\"]?([0-9][0-9.eE+-]*)['\"]?\s*$"
_SLICERS = frozenset({"head", "nlargest", "islice"})


@check("query.experiment")
def experiment(context: Context, *, file: Deliverable, experiment: str) -> Outcome:
    """The query searches this experiment and no other."""

    def answer(query: Query) -> bool | None:
        if not known(query.names) or not isinstance(query.names, list):
            return None
        return set(map(str, query.names)) == {experiment}

    wrong, expected = f"the query is not limited to {experiment}", f"only runs of the experiment {experiment}"
    return _decided(context, file, answer, wrong, expected, lambda query: query.names)


@check("query.filter")
def filtered(context: Context, *, file: Deliverable, metric: str, above: float) -> Outcome:
    """The query keeps runs whose metric is strictly above a value."""

    def answer(query: Query) -> bool | None:
        if query.filter is not None and not isinstance(query.filter, str):
            return None
        clauses = list(_clauses(query.filter or "", metric))
        return _strictly(clauses, above) if clauses else _filtered_in_python(query, metric, above)

    expected = f"{metric} > {above:g}"
    wrong = f"the query does not filter by {expected}"
    return _decided(context, file, answer, wrong, expected, lambda query: query.filter)


@check("query.order")
def ordered(context: Context, *, file: Deliverable, metric: str) -> Outcome:
    """The query sorts by a metric, the highest first."""

    def answer(query: Query) -> bool | None:
        if isinstance(query.order, list) and query.order and known(query.order):
            first = str(query.order[0]).split()
            right = _names(first[0] if first else "", metric) and [w.upper() for w in first[1:]] == ["DESC"]
            return right or _sorted_in_python(query, metric, otherwise=False)
        if query.order:
            return None
        return _sorted_in_python(query, metric, otherwise=False)

    wrong, expected = f"the query does not sort by {metric}, highest first", f"{metric}, descending"
    return _decided(context, file, answer, wrong, expected, lambda query: query.order)


@check("query.top")
def top(context: Context, *, file: Deliverable, count: int, metric: str, above: float) -> Outcome:
    """The query takes exactly this many runs, after filtering and sorting."""

    def answer(query: Query) -> bool | None:
        limit = query.limit
        if any(cut == count for cut in _cuts(query.sources)):
            return True if limit is None or (isinstance(limit, int) and limit >= count) else None
        if isinstance(limit, int) and limit < count:
            return False
        if limit == count:
            listed = isinstance(query.order, list) and bool(query.order)
            by_server = listed and bool(list(_clauses(str(query.filter or ""), metric)))
            return True if by_server else None
        given = limit is None or isinstance(limit, int)
        return False if given and not _mentions(query.sources, count) else None

    expected = f"the first {count} with {metric} > {above:g}"
    wrong = f"the query does not take exactly {count} runs after filtering and sorting"
    return _decided(context, file, answer, wrong, expected, lambda query: query.limit)


def _decided(
    context: Context,
    file: str,
    answer: Callable[[Query], bool | None],
    wrong: str,
    expected: str,
    value: Callable[[Query], Any],
) -> Outcome:
    """The outcome for the query that answers best, among all that the submission holds."""
    found = [query for each in _files(context, file) for query in _queries(context, each)]
    source = context.submission.deliverable(file)
    if source is None:
        return failed(Finding(message="there is no query for the best runs", expected=expected))
    if source.path.suffix == ".py" and isinstance(source.python, Problem):
        return failed(source.python.finding(), evidence=Evidence.STATIC)
    if not found:
        return unverified("no search for runs was recognized in the query, which was not run")
    best = max(found, key=lambda query: {True: 2, None: 1, False: 0}[answer(query)])
    decided = answer(best)
    if decided is None:
        return unverified("what the query does cannot be determined from its source, and it was not run")
    if decided:
        return passed(_READ, evidence=Evidence.STATIC)
    shown = value(best)
    finding = Finding(message=wrong, expected=expected, actual=str(shown or "")[:300], where=best.where)
    return failed(finding, _READ, evidence=Evidence.STATIC)


def _files(context: Context, file: str) -> Iterator[SourceFile]:
    submission = context.submission
    main = submission.deliverable(file)
    paths = submission.alternatives.get(file, ())
    taken = {path for name, path in submission.deliverables.items() if name != file}
    taken |= {main.path} if main is not None else set()
    others = (submission.file(path) for path in paths[:10] if path not in taken)
    yield from (each for each in (main, *others) if each is not None)


def _queries(context: Context, file: SourceFile) -> tuple[Query, ...]:
    return context.memo.once(("queries", file.name), lambda: queries(context.submission, file))


def _clauses(condition: str, metric: str) -> Iterator[tuple[str, float]]:
    """(operator, number) of each condition on the metric in `a > 1 AND b < 2`."""
    pattern = re.compile(_CLAUSE.format(metric=re.escape(metric)), re.IGNORECASE)
    for clause in re.split(r"\s+and\s+", condition[:2000], flags=re.IGNORECASE):
        if match := pattern.match(clause):
            try:
                yield match[1], float(match[2])
            except ValueError:
                continue


def _strictly(clauses: Sequence[tuple[str, float]], above: float) -> bool:
    return any(sign == ">" and abs(value - above) < 1e-9 for sign, value in clauses)


def _names(text: str, metric: str) -> bool:
    return re.fullmatch(rf"metrics?\.[`\"']?{re.escape(metric)}[`\"']?", text, re.IGNORECASE) is not None


def _filtered_in_python(query: Query, metric: str, above: float) -> bool | None:
    """Whether a comparison in the code around the query filters; None where something might."""
    signs = [sign for module in query.sources for sign in _comparisons(module, above)]
    for module in query.sources:
        for call in module.calls():
            if call.name.endswith(".query") and isinstance(text := call.value("expr", 0), str):
                signs += [sign for sign, value in _clauses(text, metric) if abs(value - above) < 1e-9]
    if ">" in signs:
        return True
    if ">=" in signs:
        return False
    return None if _compares(query.sources) or not query.sources else False


def _comparisons(module: Module, above: float) -> Iterator[str]:
    """How something is compared with the number, which is put on the right."""
    signs = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<="}
    flipped = {ast.Lt: ">", ast.LtE: ">=", ast.Gt: "<", ast.GtE: "<="}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            kind = type(node.ops[0])
            for side, table in ((node.comparators[0], signs), (node.left, flipped)):
                value = module.constant(side)
                if isinstance(value, int | float) and abs(value - above) < 1e-9:
                    yield table.get(kind, "")


def _compares(sources: Sequence[Module]) -> bool:
    orders = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
    return any(
        (isinstance(node, ast.Compare) and isinstance(node.ops[0], orders))
        or (isinstance(node, ast.Attribute) and node.attr in ("query", "gt", "ge", "loc", "filter"))
        for module in sources
        for node in ast.walk(module.tree)
    )


def _sorted_in_python(query: Query, metric: str, *, otherwise: bool) -> bool | None:
    """Whether the code around the query sorts; None where it sorts in a way that only running would tell."""
    answers = [_sorts(call, metric) for module in query.sources for call in module.calls()]
    real = [answer for answer in answers if answer != "no"]
    if not real:
        return otherwise
    return True if True in real else None


def _sorts(call: Call, metric: str) -> bool | str | None:
    name = call.name.rpartition(".")[2]
    if name == "sort_values":
        by = call.value("by", 0)
        named = [str(each) for each in (by if isinstance(by, list) else [by])][:1]
        falling = call.value("ascending") in (False, [False], 0)
        return falling and any(metric in each for each in named)
    if name == "nlargest":
        return True
    if call.name == "sorted" or name == "sort":
        key = call.argument("key")
        falling = call.value("reverse") is True
        negative = any(isinstance(node, ast.USub) for node in ast.walk(key)) if key is not None else False
        return True if falling != negative else None
    return "no"


def _cuts(sources: Sequence[Module]) -> Iterator[Any]:
    """How many elements are taken where the code takes the first ones."""
    for module in sources:
        for node in ast.walk(module.tree):
            match node:
                case ast.Slice(lower=lower, upper=ast.expr() as upper, step=None):
                    if lower is None or module.constant(lower) == 0:
                        yield module.constant(upper)
        for call in module.calls():
            if call.name.rpartition(".")[2] in _SLICERS:
                yield from (module.constant(each) for each in call.node.args)
                yield from (module.constant(each.value) for each in call.node.keywords)


def _mentions(sources: Sequence[Module], number: int) -> bool:
    """Whether a number, or something not known, might still cut the result."""
    return not sources or any(
        isinstance(node, ast.Constant) and node.value == number
        for module in sources
        for node in ast.walk(module.tree)
    )


CHECKS = (experiment, filtered, ordered, top)
