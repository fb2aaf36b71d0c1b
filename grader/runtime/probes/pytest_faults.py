"""Run a suite with pytest, and again while an application's answers are changed on their way to the tests.

Nothing of the candidate is edited, reloaded or run twice in one process. The suite is collected once; then
each run goes on in a forked copy, as fresh as the first. Where a copy could differ from the first (threads,
requests made while collecting, files left behind), only the first run is made: ask again, run by run.

Request: {args: [...], paths: [...], own: [...], method, path, idle_seconds,
          faults: {name: {answered: [status, ...], status, body?, drop?}}, choose?: [name or null, ...]}
  own: the suite's own files: an application that is defined there is none of the submission
  choose: make one run alone, in a process that is not copied, with one of these faults (null: none)
Answer: {runs: [{fault: name or null, forked, status, events: [event, ...]}, ...]}, in the order of the runs,
of which the first is one without a fault unless some were given to choose from; each event being one of
  {error: text} {start: test} {report: test, outcome, text} {end: status, used}
  {answer: status, own, changed}

This process never imports anything of the candidate's. The suite (`pytest_runs.py`) has its answers passed
by it, one by one, and learns from the reply alone whether they change. Which fault a run has, and in which
order they come, is drawn here, with runs among them that have none: a suite cannot know when it ought to
fail unless it looks at answers, as a test does.
"""

import contextlib
import os
import random
import select
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import parent  # type: ignore[import-not-found]  # (beside this file)

CONTROLS = 2
"""Runs without a fault, besides the first, among those that have one."""
MAX_EVENTS = 20_000
MAX_BYTES = 16 * 2**20
TICK = 1000
"""Milliseconds in which a suite that hangs is noticed."""
SAID = frozenset({"error", "start", "report", "end"})
"""What a suite may say of itself."""

Message = dict[str, Any]
Sockets = list[socket.socket]


class Run:
    """One run of the suite."""

    def __init__(self, fault: str | None, *, forked: bool) -> None:
        self.fault = fault
        self.forked = forked
        self.process = 0
        self.status: int | None = None
        """The exit status that the kernel tells; minus a signal's number."""
        self.events: list[Message] = []
        self._bytes = 0

    def add(self, event: Message) -> None:
        """One more event, as long as there is room."""
        self._bytes += len(str(event))
        if len(self.events) < MAX_EVENTS and self._bytes < MAX_BYTES:
            self.events.append(event)

    def told(self) -> Message:
        """As the answer has it."""
        return {
            "fault": self.fault,
            "forked": self.forked,
            "status": self.status,
            "events": self.events,
        }


class Broker:
    """Between the suite's answers and its tests."""

    def __init__(self, request: Message, collector: int, connection: socket.socket) -> None:
        self._request, self._collector, self._connection = request, collector, connection
        self._chance = random.SystemRandom()
        first = self._chance.choice(request["choose"]) if "choose" in request else None
        self.runs = [Run(first, forked=False)]
        """The last one is the one that goes on."""
        self.runs[0].process = collector
        self._plan: list[str | None] | None = None
        self._waiting: Sockets = []
        """Where the process that collected the tests waits to be told to copy itself."""
        self._promised: list[str | None] = []
        """What a copy that has not begun yet will be."""
        self._collected = False
        """Whether the process that collected the tests is gone."""
        self._alive = time.monotonic()
        self._poll = select.poll()

    def serve(self) -> list[Message]:
        """Until all has come to its end."""
        wake, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        self._poll.register(wake, select.POLLIN)
        self._poll.register(self._connection, select.POLLIN)
        while not self._over:
            self._poll.poll(TICK)
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 2**12)
            # In this order: what a process said before its end is there once its end is known.
            ended = list(reap())
            self._listen()
            for process, status in ended:
                self._end(process, os.waitstatus_to_exitcode(status))
            self._continue()
            if time.monotonic() - self._alive > self._request["idle_seconds"]:
                break
        parent.end_leftovers()
        self._listen()
        return [run.told() for run in self.runs]

    @property
    def _over(self) -> bool:
        return self._collected and self.runs[-1].status is not None

    def _listen(self) -> None:
        """All that was said so far."""
        for _ in range(MAX_EVENTS):
            try:
                told, sender, replies = parent.receive(self._connection)
            except BlockingIOError:
                return
            except OSError:
                told = None
            if told is None:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._connection)
                return
            self._alive = time.monotonic()
            self._take(told, sender, replies)

    def _take(self, told: Message, sender: int, replies: Sockets) -> None:
        run = self.runs[-1]
        match told:
            case {"answer": int(status), "own": bool(own)}:
                fault = self._request["faults"].get(run.fault)
                changed = fault is not None and not own and status in fault["answered"]
                run.add({"answer": status, "own": own, "changed": changed})
                parent.reply(replies, {"fault": fault if changed else None})
            case {"next": True} if sender == self._collector and "choose" not in self._request:
                parent.reply(self._waiting, {"go": False})
                self._waiting = replies
            case {"begin": True} if self._promised:
                self._begin(self._promised.pop(), sender)
                parent.reply(replies, {})
            case _:
                if not SAID.isdisjoint(told):
                    run.add(told)
                for each in replies:
                    each.close()

    def _begin(self, fault: str | None, process: int) -> None:
        """A copy is there."""
        if self.runs[0].process == self._collector:  # which only collected, then
            self.runs[0].forked = True
        else:
            self.runs.append(Run(fault, forked=True))
        self.runs[-1].process = process

    def _end(self, process: int, status: int) -> None:
        """A process is gone: the collecting one, a copy of it, or what a suite left behind."""
        for run in self.runs:
            if run.process == process and run.status is None:
                run.status = status
        if process == self._collector:
            self._collected = True
        elif process == self.runs[-1].process:
            parent.end_leftovers(self._collector)

    def _continue(self) -> None:
        """Promise the next copy, once the last one is over."""
        run = self.runs[-1]
        if not self._waiting or self._promised or (run.process != self._collector and run.status is None):
            return
        waiting, self._waiting = self._waiting, []
        first = run.process == self._collector
        if not first and self._plan is None:
            self._plan = self._planned(run)
        if not first and not self._plan:
            parent.reply(waiting, {"go": False})
            return
        self._promised.append(None if first or not self._plan else self._plan.pop())
        parent.reply(waiting, {"go": True, "brief": not first})

    def _planned(self, clean: Run) -> list[str | None]:
        """The runs after the first, in an order that nobody knows: only faults that change something."""
        if not any("end" in event for event in clean.events):
            return []
        answered = {event["answer"] for event in clean.events if "answer" in event and not event["own"]}
        faults = self._request["faults"]
        plan: list[str | None] = [
            name for name, fault in faults.items() if not answered.isdisjoint(fault["answered"])
        ]
        plan += [None] * (CONTROLS if plan else 0)
        self._chance.shuffle(plan)
        return plan


def reap() -> Iterator[tuple[int, int]]:
    """Every process that has ended, and its status."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not process:
            return
        yield process, status


def main() -> None:
    """Watch over the suite, which runs in children of this process, and tell what came of it."""
    request, answer = parent.begin()
    collector, connection = parent.start("pytest_runs", request, answer)
    answer.write({"runs": Broker(request, collector, connection).serve()})


if __name__ == "__main__":
    main()
