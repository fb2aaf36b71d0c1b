"""Whether the exam was fair: what the marks of the cohort say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.anonymous import number_of
from grader.cohort.statistics.model import Level
from grader.cohort.statistics.report import say_flag
from grader.cohort.statistics.sheets import messages_of
from grader.web import plots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.statistics.model import ExamStatistics, Flag, Interval, Item, Statistics
    from grader.web.state import Cohort


def read(
    book: Gradebook, cohort: Cohort, found: Statistics | None, link: Callable[[str], str]
) -> dict[str, Any]:
    """What the template shows.

    Args:
        found: None while it is computed.
        link: where a criterion's page is.
    """
    if found is None:
        return {"found": None}
    flagged = [item for item in (*found.tasks, *found.criteria) if item.flags]
    wanted = {flag.fingerprint for item in flagged for flag in item.flags if flag.fingerprint}
    messages = {each: cohort.names.text(text) for each, text in messages_of(book, wanted).items()}
    seconds = [
        float(row["seconds"])
        for row in book.rows("SELECT result.seconds FROM chosen JOIN result ON result.id = chosen.result")
    ]
    titles = cohort.titles
    counts_only = found.level is Level.COUNTS
    return {
        "found": found,
        "counts_only": counts_only,
        "figures": _figures(found.exam),
        "totals": plots.totals(found.exam),
        "task_bars": plots.task_bars(found.tasks, titles),
        "map_of_tasks": None if counts_only else plots.item_map(found.tasks, titles),
        "map_of_criteria": None if counts_only else plots.item_map(found.criteria, titles, link=link),
        "seconds_of_tasks": plots.seconds_of_tasks(found.tasks, titles),
        "seconds": plots.seconds_of_candidates(seconds),
        "flagged": [(item, [_flag(flag, cohort, messages) for flag in item.flags]) for item in flagged],
        "criteria": _by_task(found, cohort),
    }


def _figures(exam: ExamStatistics) -> list[tuple[str, str, str]]:
    """Name, value and interval or meaning of each number about the whole exam."""
    figures = [("candidates", f"{exam.candidates:,}", f"{exam.complete:,} decided in full")]
    if exam.mean is None:
        return figures

    def percent(value: float | None) -> str:
        return "" if value is None else f"{value:.0%}"

    def points(value: float | None) -> str:
        return "" if value is None else f"{value / 20:.1f}"

    figures += [
        ("mean", points(exam.mean), _interval(exam.mean_interval, points)),
        ("median", points(exam.median), ""),
        ("deviation", points(exam.deviation), ""),
        ("skewness", "" if exam.skewness is None else f"{exam.skewness:.2f}", ""),
        ("passed", percent(exam.pass_rate), _interval(exam.pass_rate_interval, percent)),
        (
            "alpha",
            "" if exam.alpha is None else f"{exam.alpha:.2f}",
            _interval(exam.alpha_interval, "{:.2f}".format),
        ),
        ("standard error", points(exam.standard_error), "of measurement"),
    ]
    return [figure for figure in figures if figure[1]]


def _interval(interval: Interval | None, shown: Callable[[float], str]) -> str:
    return "" if interval is None else f"{shown(interval.low)} to {shown(interval.high)}"


def _flag(flag: Flag, cohort: Cohort, messages: Mapping[str, str]) -> dict[str, Any]:
    numbers = {f"{each:06}" for name in flag.candidates if (each := number_of(name)) is not None}
    return {
        "text": say_flag(flag),
        "fingerprint": flag.fingerprint,
        "message": messages.get(flag.fingerprint, ""),
        "people": [person for number, person in cohort.by_number.items() if number in numbers],
    }


def _by_task(found: Statistics, cohort: Cohort) -> list[tuple[Item, list[Item]]]:
    """In the exam's order, which is not the order in which marks are read."""
    order = {name: place for place, name in enumerate(cohort.titles)}

    def place(item: Item) -> int:
        return order.get(item.id, len(order))

    tasks = sorted(found.tasks, key=place)
    return [
        (task, sorted((each for each in found.criteria if each.task == task.id), key=place)) for task in tasks
    ]
