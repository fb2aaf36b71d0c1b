"""One slot of an executor: a process that keeps a shared runtime open and grades what it is handed.

It ends with its dispatcher: standard input is its lifeline. What it prints by the way goes to standard error.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

from grader import __version__
from grader.checks import ALL
from grader.cohort.executor.messages import (
    MAX_LINE,
    Answer,
    Doing,
    Done,
    Failed,
    Grade,
    Hello,
    Look,
    Ready,
    Refused,
    Seen,
    from_line,
    to_line,
)
from grader.error_handler import end_now, interrupt
from grader.errors import GraderFault, UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.report.safe import one_line
from grader.runtime.queue import Neighbours, Slots
from grader.runtime.temporary import scratch_directory
from grader.session import Options, score_submission, shared_runtime_for
from grader.submission.collect import collect
from grader.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.exam.model import Exam
    from grader.results import PartResult
    from grader.runtime.shared_runtime import SharedRuntime

SIGN_OF_LIFE = 2.0
"""Seconds between two."""
PATIENCE = 20.0
"""Seconds in which an agent without dispatcher may tidy up."""


def main() -> None:
    """Serve a dispatcher until it ends."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, interrupt)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may write between the lines
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), name="lifeline", daemon=True).start()
    try:
        Agent(requests, out).serve()
    except KeyboardInterrupt:
        end_now(0)


def _listen(stream: BinaryIO, requests: SimpleQueue[bytes]) -> None:
    while line := stream.readline(MAX_LINE):
        requests.put(line)
    # Whatever goes on is for nobody any more; what hangs even then is ended hard, and its sandboxes with it.
    hard = threading.Timer(PATIENCE, os._exit, (1,))
    hard.daemon = True
    hard.start()
    os.kill(os.getpid(), signal.SIGTERM)


class Agent:
    """Answers requests, one after the other."""

    def __init__(self, requests: SimpleQueue[bytes], out: BinaryIO) -> None:
        """Read from a queue of lines and write lines."""
        self._requests = requests
        self._out = out
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer until the process is interrupted."""
        hello = from_line(self._requests.get())
        with ExitStack() as stack:
            try:
                grader = stack.enter_context(_opened(hello))
            except UsageError as error:
                self.send(Refused(reason=str(error)))
                return
            except GraderFault as fault:
                self.send(Refused(reason=f"the grader failed: {fault}"))
                return
            self.send(Ready(facts=grader.facts))
            while True:
                self.send(self._answer(grader, from_line(self._requests.get())))

    def send(self, message: Answer) -> None:
        """Write one line."""
        with self._writing:
            self._out.write(to_line(message))
            self._out.flush()

    def _answer(self, grader: Grader, request: Look | Grade) -> Answer:
        work = _Work()
        with self._signs_of_life(work):
            try:
                if isinstance(request, Look):
                    return grader.look(request.source)
                return grader.grade(request, work)
            except GraderFault as fault:
                return Failed(reason=one_line(str(fault)))
            except Exception as surprise:  # a bug of ours: the next submission need not have it
                return Failed(reason=one_line(f"{type(surprise).__name__}: {surprise}"))

    @contextmanager
    def _signs_of_life(self, work: _Work) -> Iterator[None]:
        over = threading.Event()

        def tell() -> None:
            while not over.wait(SIGN_OF_LIFE):
                self.send(work.doing())

        thread = threading.Thread(target=tell, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class _Work:
    """What a grade is at."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self._lock = threading.Lock()
        self._running: dict[str, None] = {}
        self._decided = 0

    def observe(self, name: str, result: PartResult | None) -> None:
        """A part has started, or is decided."""
        with self._lock:
            if result is None:
                self._running[name] = None
            else:
                self._running.pop(name, None)
                self._decided += 1

    def doing(self) -> Doing:
        """What to say of it now."""
        with self._lock:
            running = next(reversed(self._running), "")
            decided = self._decided
        what = next(iter(self.timeline.steps), running)
        return Doing(
            what=one_line(what, longest=60), decided=decided, expected=sum(self.timeline.expected.values())
        )


class Grader:
    """An exam and what runs it, kept for many submissions."""

    def __init__(self, exam: Exam, options: Options, shared: SharedRuntime | None) -> None:
        """Keep what is shared by all grades."""
        self._exam = exam
        self._options = options
        self._shared = shared

    @property
    def facts(self) -> dict[str, str]:
        """What results depend on besides submissions and options."""
        return {
            "host": platform.node(),
            "grader": __version__,
            "exam": self._exam.digest,
            "python": platform.python_version(),
            "kernel": platform.release(),
            "isolation": self._options.isolation,
        }

    def look(self, source: str) -> Seen:
        """Read a submission as a grade would."""
        try:
            with scratch_directory() as scratch:
                return Seen(digest=collect(source, exam=self._exam, into=scratch / "submission").digest)
        except UsageError as error:
            return Seen(unreadable=one_line(str(error)))

    def grade(self, request: Grade, work: _Work) -> Answer:
        """Grade one submission."""
        try:
            grade = score_submission(
                request.source,
                replace(self._options, tasks=tuple(request.tasks)),
                work.observe,
                exam=self._exam,
                shared=self._shared,
                timeline=work.timeline,
            )
        except UsageError as error:
            return Seen(unreadable=one_line(str(error)))
        return Done(document=document(grade))


@contextmanager
def _opened(hello: Hello) -> Iterator[Grader]:
    directory = Path(hello.exam) if hello.exam else None
    options = Options(exam=directory, seed=hello.seed, isolation=hello.isolation)
    exam = load_exam(directory or RUBRICS, ALL)
    neighbours = Neighbours(Path(hello.neighbours)) if hello.neighbours else None
    slots = Slots(hello.slots, neighbours=neighbours)
    with shared_runtime_for(exam, exam.tasks, options, slots=slots) as shared:
        yield Grader(exam, options, shared)


if __name__ == "__main__":
    main()
