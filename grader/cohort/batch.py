"""A batch: what is in the gradebook's queue is handed to agents, and what they answer is kept."""

from __future__ import annotations

import shutil
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.cohort.executor.local import MAX_SECONDS
from grader.cohort.executor.messages import Done, Failed, Grade, Look, Lost, Seen
from grader.cohort.gradebook import queue
from grader.cohort.gradebook.results import Graded, commit
from grader.errors import GraderFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from grader.cohort.canaries import Canary
    from grader.cohort.executor.pool import Outcome, Pool, Slot
    from grader.cohort.gradebook.queue import Job
    from grader.cohort.gradebook.store import Gradebook

BETWEEN_CANARIES = 25
"""Jobs after which a canary is graded among the candidates'."""
MAX_CANARY_ATTEMPTS = 3
"""An agent may die of something else than of what it grades."""
TICK = 0.5
"""Seconds between two looks at clocks."""
LEASE = MAX_SECONDS + 60
MIN_FREE = 256 * 2**20
"""Bytes on the disk of the gradebook below which nothing more is begun."""


@dataclass(slots=True)
class Tally:
    """How far a batch is. Counts add up: `total` is `done + open + died + waiting`, and what runs."""

    total: int = 0
    done: int = 0
    """Graded, and complete."""
    open: int = 0
    """Graded, but for criteria that could not be decided."""
    died: int = 0
    """Given up."""
    again: int = 0
    """Attempts that came to nothing and are made once more."""
    busy: float = 0.0
    """Slot-seconds in which something was graded."""
    canaries: int = 0
    singing: str = ""
    """What a canary showed to be wrong."""
    voided: int = 0

    @property
    def left(self) -> int:
        """Jobs that are not decided yet."""
        return self.total - self.done - self.open - self.died


@dataclass(slots=True)
class _CanaryWork:
    canary: Canary
    attempts: int = 0


@dataclass(slots=True)
class Batch:
    """One run of `grader batch` over jobs that wait."""

    book: Gradebook
    pool: Pool
    who: str
    """Who runs it, for the audit trail."""
    canaries: Sequence[Canary] = ()
    tally: Tally = field(default_factory=Tally)
    stopping: bool = False
    """Set it to begin nothing more; what runs is finished."""
    interrupted: bool = False
    """Set it with `stopping` where a user wanted it."""
    watch: Callable[[Batch], None] = lambda _: None
    """Called about twice a second."""
    request: Callable[[Job], Grade] = lambda job: Grade(source=job.source)
    """What an agent is asked to do for a job."""
    complete: Callable[[Job, Done], Graded] = lambda _, done: Graded(document=done.document)
    """From what an agent graded to what is kept."""
    _todo: deque[Job] = field(default_factory=deque)
    _checks: deque[_CanaryWork] = field(default_factory=deque)
    _trusted: bool = False
    _fresh: list[int] = field(default_factory=list)
    """Jobs graded since the canaries were last right."""
    _since: int = 0
    _full: str = ""
    """Why nothing more can be begun."""
    began: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> int:
        """Candidates' submissions that are being graded right now."""
        return sum(isinstance(agent.work, queue.Job) for agent in self.pool.busy())

    @staticmethod
    def name_of(work: object, names: Mapping[str, str]) -> str:
        """Whose work an agent is at.

        Args:
            names: digest of a submission -> whose it is.
        """
        match work:
            case queue.Job():
                return names.get(work.submission, work.source)
            case _CanaryWork():
                return f"canary: {work.canary.name}"
            case str():
                return work
        return ""

    def look(self, sources: Iterable[str]) -> dict[str, Seen]:
        """Have each source read; what cannot be looked at for a reason of ours is left out."""
        left = deque(dict.fromkeys(sources))
        found: dict[str, Seen] = {}
        failures: dict[str, int] = {}
        while (left or self.pool.busy()) and not (self.stopping and not self.pool.busy()):
            self.pool.fill(len(left) + len(self.pool.busy()))
            for agent in self.pool.idle():
                if left and not self.stopping:
                    source = left.popleft()
                    agent.hand(source, Look(source=source))
            for _, work, answer in self.pool.wait(TICK):
                source = str(work)
                match answer:
                    case Seen():
                        found[source] = answer
                    case _:
                        failures[source] = failures.get(source, 0) + 1
                        if failures[source] < queue.MAX_DEATHS:
                            left.append(source)
                        else:
                            found[source] = Seen(
                                unreadable=f"the grader fails at it: {_said(answer)}", retry=True
                            )
            self.watch(self)
        return found

    def grade(self, jobs: Sequence[Job]) -> Tally:
        """Grade the jobs, each at most once, until all are decided, a canary sings or `stopping` is set.

        Raises:
            UsageError: agents cannot work on this machine.
            GraderFault: the disk is full, or no agent starts.
        """
        self._todo = deque(jobs)
        self._checks = deque(_CanaryWork(canary) for canary in self.canaries) if jobs else deque()
        self._trusted = not self._checks
        self.tally.total = len(jobs)
        self.began = time.monotonic()
        while self._goes_on():
            if not self.stopping:
                self.pool.fill(len(self._todo) + len(self._checks) + len(self.pool.busy()))
            answers = self.pool.wait(0 if self.pool.idle() and not self.pool.busy() else TICK)
            # What came and what is handed out go to the disk together, before anybody begins.
            with self.book.transaction():
                for agent, work, answer in answers:
                    self._take(agent, work, answer)
                handing = [] if self.stopping else list(self._hand_out())
            for agent, work, request in handing:
                agent.hand(work, request)
            self.watch(self)
        if self._full:
            raise GraderFault(self._full)
        return self.tally

    def _goes_on(self) -> bool:
        if self.pool.busy():
            return True
        return bool(self._todo or self._checks) and not self.stopping

    def _take(self, agent: Slot, work: object, answer: Outcome) -> None:
        self.tally.busy += time.monotonic() - agent.since
        match work:
            case _CanaryWork():
                self._canary(agent, work, answer)
            case queue.Job():
                self._answered(agent, work, answer)

    def _hand_out(self) -> Iterator[tuple[Slot, object, Grade]]:
        """What each idle agent gets to do, leased already; within a transaction."""
        busy: list[object] = [agent.work for agent in self.pool.busy()]
        for agent in self.pool.idle():
            if any(isinstance(work, queue.Job) and work.alone for work in busy):
                return
            if self._checks:
                check = self._checks.popleft()
                busy.append(check)
                yield agent, check, Grade(source=check.canary.source)
            elif self._todo and self._may_begin():
                if self._todo[0].alone and busy:
                    return
                job = self._todo.popleft()
                busy.append(job)
                queue.lease(self.book, job.id, agent.name, LEASE)
                yield agent, job, self.request(job)

    def _may_begin(self) -> bool:
        """Nothing of a candidate's before the canaries were right."""
        if not self._trusted:
            return False
        if (free := shutil.disk_usage(self.book.path.absolute().parent).free) < MIN_FREE:
            self.stopping = True
            self._full = (
                f"only {free // 2**20} MiB are free beside {self.book.path}: make room and run it again"
            )
        return not self._full

    def _answered(self, agent: Slot, job: Job, answer: Outcome) -> None:
        if self.tally.singing:
            # Whatever came of it: this machine cannot be trusted.
            queue.give_back(self.book, job.id, "a canary was graded wrongly meanwhile")
            return
        if isinstance(answer, Done):
            graded = self.complete(job, answer)
            commit(self.book, job.id, graded, agent.name)
            self._count(graded.document)
            self._fresh.append(job.id)
            self._since += 1
            if self.canaries and self._since >= BETWEEN_CANARIES and self._todo:
                self._since = 0
                self._checks.append(_CanaryWork(self.canaries[self.tally.canaries % len(self.canaries)]))
            return
        state = queue.give_back(self.book, job.id, _said(answer), death=not isinstance(answer, Lost))
        self.book.record("attempt failed", who=agent.name, job=job.id, reason=_said(answer), state=state)
        if state == "died":
            self.tally.died += 1
            return
        self.tally.again += 1
        again = queue.waiting(self.book, {job.id})
        self._todo.extend(again)  # last: what goes wrong should not keep the others waiting

    def _count(self, document: Mapping[str, object]) -> None:
        score = document["score"]
        if isinstance(score, dict) and score["complete"]:
            self.tally.done += 1
        else:
            self.tally.open += 1

    def _canary(self, agent: Slot, work: _CanaryWork, answer: Outcome) -> None:
        self.tally.canaries += 1
        if isinstance(answer, Done):
            complaint = work.canary.sings(answer.document)
        elif isinstance(answer, Lost) or work.attempts + 1 < MAX_CANARY_ATTEMPTS:
            work.attempts += not isinstance(answer, Lost)
            self._checks.append(work)
            return
        else:
            complaint = _said(answer)
        self.book.record("canary", who=agent.name, canary=work.canary.name, complaint=complaint)
        if complaint:
            self._void(work.canary.name, complaint)
            self.tally.singing = self.tally.singing or f"{work.canary.name}: {complaint}"
            self.stopping = True
            self._checks.clear()
        elif not self._checks and not any(isinstance(each.work, _CanaryWork) for each in self.pool.busy()):
            self._trusted = not self.tally.singing
            self._fresh.clear()

    def _void(self, name: str, complaint: str) -> None:
        """Let what this machine graded since it was last right count no more; within a transaction."""
        reason = f"the canary {name} was graded wrongly: {complaint}"
        for job in self._fresh:
            for row in self.book.rows("SELECT id FROM result WHERE job = ? AND void = ''", job):
                queue.make_void(self.book, row["id"], reason, who=self.who)
                self.tally.voided += 1
        self._fresh.clear()


def _said(answer: Outcome) -> str:
    match answer:
        case Seen():
            return answer.unreadable
        case Failed() | Lost():
            return answer.reason
        case str():
            return f"the agent died: {answer}"
    return ""
