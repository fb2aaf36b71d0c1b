"""What a check receives: facts about one submission, and the means to find out more."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from grader.check import Deliverable
from grader.errors import GraderFault, NothingRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from grader.documents import SourceFile
    from grader.exam.model import Exam
    from grader.results import CallRecord
    from grader.runtime.submission_runtime import SubmissionRuntime
    from grader.submission.model import Submission
    from grader.tools import Tools

T = TypeVar("T")


class Memo:
    """Caches costly observations, so that criteria that need the same one share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[Hashable, Future[Any]] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of the first `make()` for `key`. Other callers wait for it, and share its exception."""
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
        if mine:
            try:
                future.set_result(_retried(make))
            except BaseException as error:
                future.set_exception(error)
        result: T = future.result()
        return result


def _retried(make: Callable[[], T]) -> T:
    """Retry once after a fault of the grader's, which may be temporary."""
    try:
        return make()
    except GraderFault:
        return make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that a check may use."""

    submission: Submission
    exam: Exam
    tools: Tools
    seed: int = 0
    """The seed for random draws. Secret: candidates must not see it."""
    runtime: SubmissionRuntime | None = None
    """Runs candidate code; None with `--static`."""
    runs: bool = False
    """Whether candidate code may run at all, for checks that run it without the runtime."""
    memo: Memo = field(default_factory=Memo)
    calls: dict[str, CallRecord] = field(default_factory=dict)
    """Deliverable id -> how it was called."""

    def record_call(self, deliverable: str, record: CallRecord) -> None:
        """Note how a deliverable was called, for the report."""
        self.calls[deliverable] = record

    def deliverable(self, name: str) -> SourceFile:
        """The file that answers a deliverable, for a check that declares that it reads it.

        Raises:
            GraderFault: there is none.
        """
        source = self.submission.deliverable(name)
        if source is None:
            raise GraderFault(f"a check reads {name}, which is missing")
        return source

    def given(self, path: str) -> bytes:
        """The content of a file that the exam hands out, as this submission was given it.

        Raises:
            GraderFault: the exam hands out no such file.
        """
        source = self.submission.given.get(path) or self.exam.data.get(path)
        if source is None:
            raise GraderFault(f"the exam gives no {path}")
        return source.read_bytes()

    def require_runtime(self) -> SubmissionRuntime:
        """The runtime, for a check that cannot decide without one.

        Raises:
            NothingRuns: this grade runs nothing.
        """
        if self.runtime is None:
            raise NothingRuns
        return self.runtime


def source_file(context: Context, *, file: Deliverable) -> SourceFile:
    """The reader of checks that need no more than that the file is there."""
    return context.deliverable(file)
