from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from grader.cohort.sources.deadlines import Deadline, Selection, select
from grader.cohort.sources.model import Found, Person
from grader.errors import UsageError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANN, BOB = Person(key="ann"), Person(key="bob")


def made(
    *people: Person, hour: int | None, tag: str = "", late: bool | None = None, unreadable: str = ""
) -> Found:
    at = None if hour is None else NOON + timedelta(hours=hour)
    return Found(
        people=people, source=f"{tag}{hour}", tag=tag, submitted_at=at, late=late, unreadable=unreadable
    )


def test_late_is_by_the_latest_deadline_of_a_group() -> None:
    deadline = Deadline(at=NOON, extensions={"bob": NOON + timedelta(hours=3)})
    for people, hour, late in (
        ((ANN,), 0, False),
        ((ANN,), 1, True),
        ((BOB,), 1, False),
        ((ANN, BOB), 3, False),
        ((ANN, BOB), 4, True),
        ((ANN,), None, None),
    ):
        assert deadline.judged(made(*people, hour=hour)).late is late
    assert Deadline(extensions={"bob": NOON}).judged(made(ANN, hour=1)).late is None
    assert Deadline(extensions={"bob": NOON}).judged(made(ANN, BOB, hour=1)).late is None
    assert Deadline(at=NOON).judged(made(ANN, hour=5, late=False)).late is False


@pytest.mark.parametrize(
    ("found", "which", "expected"),
    [
        ([made(ANN, hour=-2), made(ANN, hour=-1), made(ANN, hour=1, late=True)], "latest", [1]),
        ([made(ANN, hour=1, late=True), made(ANN, hour=2, late=True)], "latest", [1]),
        ([made(ANN, hour=None, tag="a"), made(ANN, hour=None, tag="b")], "latest", [1]),
        ([made(ANN, hour=1), made(ANN, hour=2, unreadable="broken")], "latest", [0]),
        ([made(ANN, hour=2, unreadable="broken")], "latest", [0]),
        ([made(ANN, hour=1), made(ANN, hour=2), made(BOB, hour=1)], "latest", [1, 2]),
        ([made(ANN, hour=1), made(ANN, hour=2), made(BOB, hour=1)], "best", [0, 1, 2]),
        ([made(ANN, hour=1, tag="v1"), made(ANN, hour=2, tag="v2")], "v1", [0]),
        ([], "latest", []),
        ([], "v1", []),
    ],
)
def test_which_counts(found: list[Found], which: str, expected: list[int]) -> None:
    assert select(found, which) == Selection(found=tuple(found[index] for index in expected))


def test_who_has_nothing_by_that_tag() -> None:
    mine = made(ANN, hour=1, tag="v1")
    assert select([mine, made(BOB, hour=1, tag="v2")], "v1") == Selection(found=(mine,), without=(BOB,))
    with pytest.raises(UsageError, match=r"no submission is called 'v3': .*tags are v1"):
        select([mine], "v3")


def test_a_group_whose_member_went_on_alone() -> None:
    both, alone = made(ANN, BOB, hour=1), made(ANN, hour=2)
    assert select([both, alone]) == Selection(found=(made(BOB, hour=1), alone))
