"""What of a submission has to be graded again, and what is taken over from its earlier results.

A task's rows are taken over from the newest result in which the same things decided it. Where nothing is left
to be graded, a result is made of earlier ones alone.

What the grader failed at is graded again each time. What a machine could not decide is, when it is asked for,
once this machine has a tool more, and under another key, for which all is looked at anew; not, though, where
nothing may run: reading will not decide it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from grader.cohort.executor.messages import Grade as GradeRequest
from grader.cohort.gradebook.results import Graded, commit, document_of
from grader.cohort.regrade.fingerprints import WORDS, difference
from grader.errors import GraderFault
from grader.report.document import document
from grader.report.read import grade_of
from grader.report.safe import counted
from grader.results import SectionResult
from grader.score import total
from grader.session import pass_mark, select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from grader.cohort.executor.messages import Done
    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.queue import Job
    from grader.cohort.regrade.fingerprints import Fingerprints
    from grader.exam.model import Exam, Task
    from grader.results import Grade, TaskResult

UNDECIDED = "it could not be decided before"
NEW = "it was not graded before"
REVERTED = "earlier results"
"""The worker of a result for which nothing was graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one job comes to."""

    tasks: tuple[str, ...] = ()
    """To be graded."""
    reused: Mapping[str, int] = field(default_factory=dict)
    """Task -> the result that has its rows."""
    replaces: int = 0
    """The job's own result, which the new one takes the place of."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Task -> why it is graded again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """A result that counts, or counted under another key."""

    id: int
    job: int
    tasks: Mapping[str, str]
    undecided: Mapping[str, frozenset[str]]
    """Task -> the open statuses of its criteria."""


class Regrade:
    """Finds out what the jobs of a batch come to, and makes their results."""

    def __init__(
        self,
        book: Gradebook,
        exam: Exam,
        prints: Fingerprints,
        *,
        again: bool = False,
        runs: bool = True,
        tools: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            again: grade again whatever is undecided.
            runs: whether anything is run at all.
            tools: the names of those that this machine has.
        """
        self._book = book
        self._exam = exam
        self._prints = prints
        self._again = again
        self._runs = runs
        self._tools = tools
        self._here: frozenset[str] | None = None
        self.works: dict[int, Work] = {}
        self.carried = 0
        """Jobs for whose result nothing has to be graded."""

    def settle(self, jobs: Iterable[int]) -> None:
        """Queue the jobs that have something to be graded, and keep the results of the others.

        Within a transaction, once all of the cohort's jobs are in the gradebook.
        """
        for job in jobs:
            work = self._work(job)
            if work is None:
                continue
            if work.tasks:
                self.works[job] = work
                self._book.database.execute(
                    "UPDATE job SET state = 'waiting', deaths = 0 WHERE id = ? AND state = 'done'", (job,)
                )
            else:
                commit(self._book, job, self._graded(work, None), REVERTED)
                self.carried += 1

    def request(self, job: Job) -> GradeRequest:
        """What an agent is asked to do for a job."""
        work = self.works.get(job.id)
        whole = work is None or not work.reused
        return GradeRequest(source=job.source, tasks=() if whole or work is None else work.tasks)

    def complete(self, job: Job, done: Done) -> Graded:
        """From what an agent graded to what is kept.

        Raises:
            GraderFault: it was graded by another exam than this one.
        """
        if (graded_by := done.document["exam"].get("digest")) != self._exam.digest:
            raise GraderFault(
                f"the exam changed while submissions were graded (it was {self._exam.digest[:12]}, it is "
                f"{str(graded_by)[:12]}): run it again"
            )
        work = self.works.get(job.id, Work())
        if not work.reused:
            return Graded(document=done.document, tasks=self._prints.tasks, replaces=work.replaces)
        return self._graded(work, done.document)

    def announced(self) -> list[str]:
        """Which tasks are graded again, for how many submissions and why; a line for each reason."""
        pairs = Counter(pair for work in self.works.values() for pair in work.reasons.items())
        lines: dict[tuple[str, int], list[str]] = {}
        for task in self._prints.tasks:
            for (name, reason), count in pairs.items():
                if name == task:
                    lines.setdefault((reason, count), []).append(task)
        told = [
            f"{self._named(tasks)} again for {counted(count, 'submission', 'submissions')}: {reason}"
            for (reason, count), tasks in sorted(lines.items(), key=lambda entry: -entry[0][1])
        ]
        if self.carried:
            submissions = counted(self.carried, "submission", "submissions")
            told.append(f"nothing again for {submissions}: earlier results answer every task")
        return told

    def _named(self, tasks: Sequence[str]) -> str:
        return "every task" if len(tasks) == len(self._prints.tasks) > 1 else ", ".join(tasks)

    # --- what is to be done -----------------------------------------------------------------------

    def _work(self, job: int) -> Work | None:
        """What a job comes to; None where it has its result, or has to be graded for the first time."""
        row = self._book.rows("SELECT submission, options, state FROM job WHERE id = ?", job)[0]
        earlier = self._earlier(row["submission"], row["options"])
        if not earlier:
            return None
        own = next((each for each in earlier if each.job == job), None)
        newest = self._book.rows(
            "SELECT max(result.id) FROM result JOIN job ON job.id = result.job"
            " WHERE job.submission = ? AND result.void = ''",
            row["submission"],
        )[0][0]
        reused = {
            task: found
            for task, fingerprint in self._prints.tasks.items()
            if (found := self._found(task, fingerprint, earlier, job))
        }
        todo = self._prints.tasks.keys() - reused.keys()
        todo |= {need for task in todo for need in self._prints.needs[task]}
        if own is not None and own.id == newest and not todo:
            if row["state"] == "waiting":  # it was to be tried again, and need not be any more
                self._book.database.execute("UPDATE job SET state = 'done' WHERE id = ?", (job,))
            return None
        return Work(
            tasks=tuple(task for task in self._prints.tasks if task in todo),
            reused={task: result for task, result in reused.items() if task not in todo},
            replaces=own.id if own is not None else 0,
            reasons={task: self._reason(task, earlier) for task in sorted(todo)},
        )

    def _earlier(self, submission: str, options: str) -> list[_Earlier]:
        rows = self._book.rows(
            "SELECT result.id, result.job, result.tasks FROM result JOIN job ON job.id = result.job"
            " WHERE job.submission = ? AND job.options = ? AND result.void = '' ORDER BY result.id DESC",
            *(submission, options),
        )
        return [
            _Earlier(
                id=row["id"],
                job=row["job"],
                tasks=json.loads(row["tasks"]),
                undecided=self._undecided(row["id"]),
            )
            for row in rows
        ]

    def _undecided(self, result: int) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for task, status in self._book.rows(
            "SELECT DISTINCT task, status FROM criterion WHERE result = ?"
            " AND status IN ('unverified', 'error')",
            result,
        ):
            found[task] = found.get(task, frozenset()) | {status}
        return found

    def _found(self, task: str, fingerprint: str, earlier: Sequence[_Earlier], job: int) -> int:
        """The newest result from which a task can be taken over; 0 where there is none."""
        for each in earlier:
            if each.tasks.get(task) == fingerprint and not self._tried_again(task, each, job):
                return each.id
        return 0

    def _tried_again(self, task: str, earlier: _Earlier, job: int) -> bool:
        """Whether what was left undecided should be graded again."""
        statuses = earlier.undecided.get(task)
        if not statuses:
            return False
        if self._again or "error" in statuses or (self._runs and earlier.job != job):
            return True
        if self._here is None:
            self._here = frozenset(self._tools())
        return bool(self._here - document_of(self._book, earlier.id)["tools"].keys())

    def _reason(self, task: str, earlier: Sequence[_Earlier]) -> str:
        before = next((each for each in earlier if task in each.tasks), None)
        if before is None:
            return NEW
        differs = difference(before.tasks[task], self._prints.tasks[task])
        return "; ".join(WORDS.get(name, name) for name in differs) or UNDECIDED

    # --- results ----------------------------------------------------------------------------------

    def _graded(self, work: Work, fresh: Mapping[str, Any] | None) -> Graded:
        """A whole result out of what was graded now and before."""
        earlier = {
            result: grade_of(document_of(self._book, result)) for result in sorted(set(work.reused.values()))
        }
        now = grade_of(dict(fresh)) if fresh is not None else None
        grade = joined(self._exam, now, earlier, work.reused)
        return Graded(
            document=document(grade), tasks=self._prints.tasks, reused=work.reused, replaces=work.replaces
        )


def joined(exam: Exam, fresh: Grade | None, earlier: Mapping[int, Grade], reused: Mapping[str, int]) -> Grade:
    """The grade of a whole exam of which some tasks were graded now, and the others before.

    Args:
        fresh: None where nothing was graded.
        earlier: by result, in their order.
        reused: task -> the result that has it.
    """
    tasks = {task.id: task for task in fresh.tasks} if fresh is not None else {}
    specs = {task.id: task for task in exam.tasks}
    for name, result in reused.items():
        found = next(task for task in earlier[result].tasks if task.id == name)
        tasks[name] = retold(found, specs[name])
    grades = [*earlier.values(), *filter(None, [fresh])]
    frame = grades[-1]
    sections = tuple(
        SectionResult(
            id=section.id,
            title=section.title,
            bonus=section.bonus,
            tasks=tuple(tasks[task.id] for task in section.tasks if task.id in tasks),
        )
        for section in exam.sections
    )
    grade = replace(
        frame,
        exam={"id": exam.id, "title": exam.title, "version": exam.version, "digest": exam.digest},
        criteria_of_exam=sum(len(task.criteria) for task in exam.tasks),
        score=total(sections, pass_mark=pass_mark(exam, select(exam, (), ()), None)),
        sections=sections,
        environment=next((each.environment for each in reversed(grades) if each.environment), {}),
        remarks=tuple(dict.fromkeys(remark for each in reversed(grades) for remark in each.remarks)),
        calls=dict(sorted({name: call for each in grades for name, call in each.calls.items()}.items())),
        seconds=fresh.seconds if fresh is not None else 0.0,
    )
    places = {where: found for each in grades for where, found in each.places.items()}
    wanted = {finding.where for finding in grade.findings}
    return replace(grade, places={where: found for where, found in places.items() if where in wanted})


def retold(result: TaskResult, task: Task) -> TaskResult:
    """A task's earlier result with the titles and hints that the exam has now."""
    specs = {row.id: row for row in task.criteria}
    titles = {(row.id, part.id): part.title for row in task.criteria for part in row.parts}
    return replace(
        result,
        title=task.title,
        criteria=tuple(
            replace(
                row,
                title=specs[row.id].title,
                hint=specs[row.id].hint,
                parts=tuple(replace(part, title=titles[row.id, part.id]) for part in row.parts),
            )
            for row in result.criteria
        ),
    )
