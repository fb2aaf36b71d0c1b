from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from grader.runtime.queue import Slots
from grader.runtime.sandbox.model import Ended, Run

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW = Run(argv=("x",), ended=Ended.WALL_LIMIT)
FINE = Run(argv=("x",), ended=Ended.EXITED, returncode=0)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_no_more_run_at_a_time_than_there_are_slots() -> None:
    slots, most, now, lock = Slots(2), 0, 0, threading.Lock()

    def attempt() -> Run:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return FINE

    threads = [in_thread(lambda: slots.run(attempt)) for _ in range(6)]
    for thread in threads:
        thread.join()
    assert most == 2


def attempts(slots: Slots, *outcomes: Run) -> tuple[Run, int]:
    left = list(outcomes)
    run = slots.run(lambda: left.pop(0))
    return run, len(outcomes) - len(left)


def test_a_run_that_had_the_machine_to_itself_gets_no_second_chance() -> None:
    assert attempts(Slots(2), SLOW, FINE) == (SLOW, 1)


@pytest.mark.parametrize(
    "ended", [Ended.CPU_LIMIT, Ended.MEMORY_LIMIT, Ended.EXITED, Ended.SIGNALLED, Ended.STOPPED]
)
def test_other_ends_do_not_depend_on_the_neighbours(ended: Ended) -> None:
    slots = Slots(2)
    with slots.shared():
        assert attempts(slots, Run(argv=("x",), ended=ended), FINE)[1] == 1


@pytest.mark.parametrize(("ended", "returncode"), [(Ended.SIGNALLED, -9), (Ended.EXITED, 137)])
def test_one_that_was_killed_runs_again_alone_and_then_counts(ended: Ended, returncode: int) -> None:
    killed = Run(argv=("x",), ended=ended, returncode=returncode)
    assert attempts(Slots(2), killed, FINE) == (FINE, 2)
    assert attempts(Slots(2), killed, killed, FINE) == (killed, 2)


@pytest.mark.parametrize(("ended", "returncode"), [(Ended.SIGNALLED, -15), (Ended.EXITED, 9)])
def test_one_that_ended_otherwise_does_not(ended: Ended, returncode: int) -> None:
    run = Run(argv=("x",), ended=ended, returncode=returncode)
    assert attempts(Slots(2), run, FINE) == (run, 1)


def test_a_run_that_a_busy_machine_made_too_slow_runs_again_alone() -> None:
    slots = Slots(3)
    seen: list[int] = []
    leave, left = threading.Event(), threading.Event()

    def neighbour() -> Run:
        leave.wait(5)
        left.set()
        return FINE

    def attempt() -> Run:
        seen.append(1)
        if len(seen) == 1:
            leave.set()
            return SLOW
        assert left.is_set()
        return FINE

    thread = in_thread(lambda: slots.run(neighbour))
    while not slots._taken:
        time.sleep(0.001)
    assert slots.run(attempt) is FINE
    assert len(seen) == 2
    thread.join()


def test_nothing_begins_beside_one_that_is_alone() -> None:
    slots, order = Slots(4), []

    def later() -> Run:
        order.append("later")
        return FINE

    with slots.alone():
        thread = in_thread(lambda: slots.run(later))
        time.sleep(0.02)
        order.append("alone")
    thread.join()
    assert order == ["alone", "later"]


def test_an_attempt_that_raises_gives_its_slot_back() -> None:
    slots = Slots(1)
    with pytest.raises(KeyError):
        slots.run(lambda: {}["nothing"])  # type: ignore[index]
    assert slots.run(lambda: FINE) is FINE


def test_who_comes_first_is_served_first() -> None:
    slots, order = Slots(1), list[int]()
    threads = []
    with slots.shared():
        for number in range(5):
            threads.append(in_thread(lambda number=number: slots.run(lambda: order.append(number) or FINE)))  # type: ignore[misc,func-returns-value]
            while len(slots._queue) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
