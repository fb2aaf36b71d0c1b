"""Agents on the workers of a cluster, as the dispatcher sees them.

The cluster only runs attempts: what is waiting, running or done is known to the gradebook alone. So no more
is handed out than runs at once: what a scheduler queues on a worker that dies is taken for its murderer. Each
attempt has a key of its own, stays on the worker that it was handed to, and is forgotten once it answered.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from grader.cohort.executor import attempt
from grader.cohort.executor.local import MAX_SECONDS
from grader.cohort.executor.messages import Doing, Done, Failed, Lost, Seen, from_line, to_line
from grader.cohort.executor.parcel import pack
from grader.errors import GraderFault, UsageError
from grader.report.safe import few, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from grader.cohort.executor.messages import Grade, Hello, Look
    from grader.cohort.executor.pool import Outcome

REFRESH = 1.0
"""Seconds between two looks at which workers there are."""
MAX_EMPTY = 120.0
"""Seconds without any worker of use, or without the scheduler, after which a batch ends."""
MAX_ATTEMPT = MAX_SECONDS + 300
"""Seconds without an answer after which a slot is given up; an agent is given up by its worker before."""
MAX_TOLD = 4
"""Workers that are of no use which a complaint names."""
SAME_AS_HERE = ("grader", "exam", "isolation")
SAME_EVERYWHERE = ("python", "kernel")
"""Of what workers say of themselves, what must be alike, unless a user wants it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A worker that has joined a cluster."""

    host: str
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a task ended."""

    key: str
    result: Any = None
    error: BaseException | None = None
    lost: bool = False
    """Nobody knows: the scheduler forgot it."""


class Cluster(Protocol):
    """What runs functions on workers. Its faults are `OSError`."""

    def members(self) -> Mapping[str, Member]:
        """Address -> worker, for those that are there now.

        Raises:
            OSError: the scheduler is out of reach.
        """

    def submit(
        self,
        key: str,
        address: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        ended: Callable[[Ended], None],
    ) -> None:
        """Run a function on a worker, there or nowhere; `ended` is called once, by any thread."""

    def forget(self, key: str) -> None:
        """Nobody waits for that any more."""

    def tell(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """Run a function that takes no time on every worker, as far as these can be reached."""


@dataclass(slots=True, eq=False)
class Slot:
    """One of a worker's."""

    name: str
    address: str
    pool: ClusterPool
    ready: bool = False
    work: object = None
    doing: Doing = field(default_factory=Doing)
    since: float = field(default_factory=time.monotonic)
    key: str = ""

    def hand(self, work: object, request: Look | Grade) -> None:
        """Give it something to do; `work` comes back with the answer."""
        self.work, self.since = work, self.pool.clock()
        self.pool.send(self, request)


@dataclass(slots=True, kw_only=True)
class _Worker:
    member: Member
    slots: list[Slot]
    refused: str = ""


class ClusterPool:
    """All slots of a cluster's workers, those that join late among them. A context manager."""

    def __init__(
        self,
        cluster: Cluster,
        hello: Hello,
        here: Mapping[str, str],
        *,
        mixed: bool = False,
        command: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        take: Callable[[float], Ended] | None = None,
    ) -> None:
        """Nothing is asked of the cluster yet.

        Args:
            here: what workers must say of themselves, by the names of an agent's facts.
            mixed: workers that differ are of use all the same.
            command: what an agent is; another one for tests of what happens around it.
            clock: seconds; in a simulation, its own.
            take: waits for what ended, as `queue.get` does with a timeout.
        """
        self.clock = clock
        self._cluster = cluster
        self._hello = to_line(hello)
        self._here = dict(here)
        self._mixed = mixed
        self._command = tuple(command)
        self._batch = secrets.token_hex(8)
        self._events: SimpleQueue[Ended] = SimpleQueue()
        self._take = take or self._from_events
        self._workers: dict[str, _Worker] = {}
        self._tasks: dict[str, Slot | str] = {}
        """Key -> the slot of an attempt, or the address of a worker that gets ready."""
        self._outcomes: list[tuple[Slot, object, Outcome]] = []
        self._numbers = 0
        self._looked = -REFRESH
        self._useful = clock()
        self._everywhere: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        """Worker -> what it says of itself."""

    def __enter__(self) -> ClusterPool:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self._tasks:
            self._cluster.forget(key)
        self._tasks.clear()
        self._cluster.tell(attempt.end, (self._batch,))

    @property
    def agents(self) -> list[Slot]:
        """All slots, ready or not."""
        return [slot for worker in self._workers.values() for slot in worker.slots]

    @property
    def refused(self) -> list[str]:
        """Workers that are of no use, and why."""
        return [f"{each.member.host}: {each.refused}" for each in self._workers.values() if each.refused]

    def fill(self, wanted: int | None = None) -> None:  # noqa: ARG002  (a worker that is there costs nothing)
        """Let workers that have joined get ready, and miss those that have gone."""
        now = self.clock()
        if now - self._looked < REFRESH:
            return
        self._looked = now
        try:
            members = self._cluster.members()
        except OSError:
            for address in list(self._workers):
                self._gone(address, Lost(reason="the cluster's scheduler is out of reach"))
            return
        for address in [each for each in self._workers if each not in members]:
            self._gone(address, f"its worker on {self._workers[address].member.host} has gone")
        for address, member in members.items():
            if address not in self._workers:
                self._joined(address, member)
        for slot in [each for each in self.busy() if now - each.since > MAX_ATTEMPT]:
            self._give_up(slot, f"no answer after {MAX_ATTEMPT:.0f} s")
        if any(slot.ready for slot in self.agents):
            self._useful = now

    def idle(self) -> list[Slot]:
        """Those that can be handed something; one of each worker first."""
        found = [
            (number, slot)
            for worker in self._workers.values()
            for number, slot in enumerate(worker.slots)
            if slot.ready and slot.work is None
        ]
        return [slot for _, slot in sorted(found, key=lambda each: each[0])]

    def busy(self) -> list[Slot]:
        """Those that are at something."""
        return [slot for slot in self.agents if slot.work is not None]

    def wait(self, seconds: float) -> list[tuple[Slot, object, Outcome]]:
        """What was answered meanwhile.

        Raises:
            UsageError: no worker is of use, and why.
            GraderFault: workers were, and have gone for good.
        """
        self.fill()
        timeout = 0.0 if self._outcomes else seconds
        while True:
            try:
                self._ended(self._take(timeout))
            except Empty:
                break
            timeout = 0.0
        found, self._outcomes = self._outcomes, []
        if not found and not self.busy():
            self._complain()
        return found

    def send(self, slot: Slot, request: Look | Grade) -> None:
        """Hand a slot its work."""
        slot.key = self._key("attempt")
        self._tasks[slot.key] = slot
        try:
            parcel = pack(request.source)
        except UsageError as error:
            self._events.put(Ended(key=slot.key, result=(to_line(Failed(reason=str(error))), "")))
            return
        arguments = (self._batch, self._hello, to_line(request), parcel.name, parcel.content, self._command)
        self._submit(slot.key, slot.address, attempt.attempt, arguments)

    def _from_events(self, seconds: float) -> Ended:
        return self._events.get(timeout=seconds)

    def _submit(self, key: str, address: str, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        try:
            self._cluster.submit(key, address, function, arguments, self._events.put)
        except OSError as error:
            self._events.put(Ended(key=key, error=error, lost=True))

    def _key(self, what: str) -> str:
        self._numbers += 1
        return f"{what}-{self._batch}-{self._numbers}"

    def _joined(self, address: str, member: Member) -> None:
        name = one_line(member.host, longest=60)
        slots = [
            Slot(name=f"{name}-{number + 1}", address=address, pool=self, since=self.clock())
            for number in range(member.slots)
        ]
        self._workers[address] = _Worker(member=member, slots=slots)
        key = self._key("prepare")
        self._tasks[key] = address
        self._submit(key, address, attempt.prepare, (self._batch, self._hello, self._command))

    def _gone(self, address: str, outcome: Outcome) -> None:
        for slot in self._workers.pop(address).slots:
            self._outcome(slot, outcome)
        for key in [key for key, what in self._tasks.items() if what == address]:
            self._forget(key)

    def _give_up(self, slot: Slot, why: str) -> None:
        """A slot whose thread may be at its work for ever is of no use any more."""
        self._workers[slot.address].slots.remove(slot)
        self._outcome(slot, why)

    def _outcome(self, slot: Slot, outcome: Outcome) -> None:
        self._forget(slot.key)
        work, slot.work, slot.key = slot.work, None, ""
        if work is not None:
            self._outcomes.append((slot, work, outcome))

    def _forget(self, key: str) -> None:
        if self._tasks.pop(key, None) is not None:
            self._cluster.forget(key)

    def _ended(self, event: Ended) -> None:
        task = self._tasks.get(event.key)
        if isinstance(task, Slot):
            self._outcome(task, _outcome_of(event))
        elif task is not None:
            self._forget(event.key)
            self._prepared(task, event)

    def _prepared(self, address: str, event: Ended) -> None:
        worker = self._workers[address]
        if event.lost:
            del self._workers[address]  # it is met anew, if it is there still
        elif event.error is not None:
            worker.refused = one_line(str(event.error) or type(event.error).__name__, longest=300)
        elif not isinstance(event.result, dict):
            worker.refused = "it does not say what it is"
        else:
            facts = {str(name): one_line(str(fact), longest=100) for name, fact in event.result.items()}
            worker.refused = "" if self._mixed else self._difference(facts)
            self.facts[address] = facts
        if worker.refused:
            worker.slots.clear()
        for slot in worker.slots:
            slot.ready = True
        self._useful = self.clock() if worker.slots else self._useful

    def _difference(self, facts: Mapping[str, str]) -> str:
        """Why results of a worker would not be like others."""
        for name in SAME_AS_HERE:
            if name in self._here and facts.get(name) != self._here[name]:
                return f"its {name} is {facts.get(name, 'unknown')}, and {self._here[name]} here"
        for name in SAME_EVERYWHERE:
            first = self._everywhere.setdefault(name, facts.get(name, "unknown"))
            if facts.get(name, "unknown") != first:
                return f"its {name} is {facts.get(name, 'unknown')}, and {first} on others (--allow-mixed)"
        return ""

    def _complain(self) -> None:
        """End a batch that nobody is going to grade."""
        workers = self._workers.values()
        if workers and all(worker.refused for worker in workers):
            raise UsageError(f"no worker of the cluster can grade: {few(self.refused, MAX_TOLD)}")
        if self.clock() - self._useful > MAX_EMPTY:
            if self.facts:
                raise GraderFault(
                    f"the cluster has had no worker for {MAX_EMPTY:.0f} s: start some and run it again,"
                    " what is graded is kept"
                )
            raise UsageError(f"no worker got ready within {MAX_EMPTY:.0f} s: start some, or wait for them")


def _outcome_of(event: Ended) -> Outcome:
    if event.lost:
        return Lost(reason="the cluster's scheduler lost it")
    if event.error is not None:
        return one_line(str(event.error) or type(event.error).__name__, longest=300)
    try:
        line, died = event.result
        if died:
            return one_line(str(died), longest=300)
        answer = from_line(line)
    except (TypeError, ValueError) as error:
        return f"its worker said what is no answer: {error}"
    if isinstance(answer, Seen | Done | Failed):
        return answer
    return "its worker said what is no answer"
