"""Reading submissions: bounded in files, bytes, tokens, fingerprints and seconds, in processes of their own.

Lexers are regular expressions, and some need endless time for some texts. So each file has its seconds, which
a timer of the process ends: `re` looks at signals while it searches.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from grader.cohort.similarity.fingerprints import all_hashes, winnow
from grader.cohort.similarity.model import Skipped, Trace, Work
from grader.cohort.similarity.tokens import Language, is_generated, language_of, max_bytes, text_of, tokens
from grader.cohort.similarity.traces import MAX_TRACES, email, login, traces_in, traces_in_path
from grader.files import Budget, open_tree
from grader.submission.copy_tree import JUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    import numpy as np
    from numpy.typing import NDArray

    from grader.files import Entry, Tree

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int32]

MAX_ENTRIES = 20_000
MAX_FILES = 400
"""Files of one submission that are compared."""
MAX_TRACE_BYTES = 5 * 2**20
"""Of a file in which traces are looked for, whatever it is."""
MAX_TOTAL_BYTES = 40 * 2**20
MAX_FINGERPRINTS = 20_000
MAX_SECONDS = 2.0
"""Of the processor, for one file."""
MAX_SUBMISSION_SECONDS = 20.0
MIN_SAME_BYTES = 200
"""Smaller files are the same by chance."""
MAX_SKIPPED = 20
"""Files of one submission that are named."""
CHUNK = 8
"""Submissions that a process is handed at once."""
GIT_FILES = (".git/logs/HEAD", ".git/config")
_DATA = (".csv", ".parquet", ".tsv")
_LOCK = "dvc.lock"
"""The one generated file that tells of somebody's own work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is compared of one submission."""

    name: str
    paths: tuple[str, ...]
    """Files that have fingerprints, or are too short for one."""
    hashes: Hashes
    files: Numbers
    """Of each hash the place of its file in `paths`."""
    first: Numbers
    last: Numbers
    traces: dict[tuple[Trace, str], str]
    """Trace -> the first file in which it is; empty where it is known of the candidate."""
    skipped: tuple[Skipped, ...] = ()


class _TimeUpError(Exception):
    """A file has had its seconds."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TimeUpError in this thread, which must be the process's first, after so many seconds.

    Seconds of the processor: a file is not too much because a machine is busy.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _TimeUpError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read(work: Work) -> Reading:
    """Read one submission, in the process's first thread. What cannot be read is skipped, and said."""
    return _Reader(work).read()


class _Reader:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.tree = open_tree(work.folder)
        self.paths: list[str] = []
        self.prints: list[tuple[Hashes, Numbers, Numbers]] = []
        self.traces: dict[tuple[Trace, str], str] = {}
        self.skipped: list[Skipped] = []
        self.bytes = 0
        self.count = 0

    def read(self) -> Reading:
        budget = Budget(entries=MAX_ENTRIES)
        ends = time.process_time() + MAX_SUBMISSION_SECONDS
        for entry in self.tree.walk(budget=budget, skip=JUNK):
            if time.process_time() > ends:
                self._skip("", f"it took more than {MAX_SUBMISSION_SECONDS:.0f} s; the rest was not read")
                break
            if self.bytes > MAX_TOTAL_BYTES:
                self._skip("", f"it has more than {MAX_TOTAL_BYTES // 2**20} MiB; the rest was not read")
                break
            try:
                with _time_limit(MAX_SECONDS):
                    self._file(entry)
            except _TimeUpError:
                self._skip(entry.path, f"reading it took more than {MAX_SECONDS:.0f} s")
        if budget.exceeded:
            self._skip("", "it has too many files or folders; some were not looked at")
        self._git()
        for address in self.work.emails:
            self._trace(Trace.EMAIL, email(address), "")
        for account in self.work.logins:
            self._trace(Trace.HOME, login(account), "")
        return self._reading()

    def _reading(self) -> Reading:
        import numpy as np

        numbers = [np.full(len(hashes), place) for place, (hashes, _, _) in enumerate(self.prints)]
        return Reading(
            name=self.work.name,
            paths=tuple(self.paths),
            hashes=np.concatenate([np.empty(0, np.uint64), *(each[0] for each in self.prints)]),
            files=np.concatenate([np.empty(0, np.int32), *numbers]).astype(np.int32),
            first=np.concatenate([np.empty(0, np.int32), *(each[1] for each in self.prints)]),
            last=np.concatenate([np.empty(0, np.int32), *(each[2] for each in self.prints)]),
            traces=self.traces,
            skipped=tuple(self.skipped),
        )

    def _skip(self, path: str, reason: str) -> None:
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(Skipped(name=self.work.name, path=path, reason=reason))

    def _file(self, entry: Entry) -> None:
        for trace, value in traces_in_path(entry.path):
            self._trace(trace, value, entry.path)
        language = language_of(entry.path)
        content = self.tree.read(entry.path, MAX_TRACE_BYTES)
        if content is None:
            if language is not None:
                self._skip(entry.path, f"it has more than {MAX_TRACE_BYTES // 2**20} MiB")
            return
        self.bytes += len(content)
        if language is not None:
            self._compare(entry.path, content, language)
        if entry.path.lower().endswith(_DATA) or (
            is_generated(entry.path) and not entry.path.endswith(_LOCK)
        ):
            return
        for trace, value in traces_in(entry.path, content):
            self._trace(trace, value, entry.path)
        if len(content) >= MIN_SAME_BYTES and not is_generated(entry.path):
            self._trace(Trace.FILE, hashlib.sha256(content).hexdigest(), entry.path)

    def _compare(self, path: str, content: bytes, language: Language) -> None:
        if len(content) > max_bytes(path):
            self._skip(path, f"it has more than {max_bytes(path):,} bytes")
            return
        if len(self.paths) >= MAX_FILES:
            self._skip("", f"it has more than {MAX_FILES} files that could be compared")
            return
        try:
            found = winnow(tokens(text_of(path, content), language), language.kind, language.alias)
        except (ValueError, RecursionError, MemoryError) as error:
            self._skip(path, str(error) or type(error).__name__)
            return
        left = MAX_FINGERPRINTS - self.count
        if len(found.hashes) > left:
            self._skip(path, f"the submission has more than {MAX_FINGERPRINTS:,} fingerprints")
        self.count += min(left, len(found.hashes))
        self.paths.append(path)
        self.prints.append((found.hashes[:left], found.first[:left], found.last[:left]))

    def _git(self) -> None:
        """Who made the commits: what the repository says of its own, if there is one."""
        for path in GIT_FILES:
            content = self.tree.read(path, MAX_TRACE_BYTES)
            for trace, value in traces_in(path, content or b""):
                if trace is Trace.EMAIL:
                    self._trace(trace, value, path)

    def _trace(self, trace: Trace, value: str, path: str) -> None:
        if value and len(self.traces) < MAX_TRACES:
            self.traces.setdefault((trace, value), path)


# --- given files ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What every candidate has: nothing of it counts."""

    hashes: frozenset[int]
    traces: frozenset[tuple[Trace, str]]


def read_given(paths: Sequence[Path]) -> Given:
    """Every hash, not only those of fingerprints, of files and folders that come with the exam."""
    hashes: set[int] = set()
    traces: set[tuple[Trace, str]] = set()
    for path in paths:
        for tree, name in _files(path):
            content = tree.read(name, MAX_TRACE_BYTES)
            if content is None:
                continue
            traces.add((Trace.FILE, hashlib.sha256(content).hexdigest()))
            traces.add((Trace.OUTPUT, hashlib.md5(content, usedforsecurity=False).hexdigest()))
            traces.update(traces_in(name, content))
            language = language_of(name)
            if language is not None:
                with contextlib.suppress(ValueError):
                    found = tokens(text_of(name, content), language)
                    hashes.update(all_hashes(found, language.kind, language.alias).tolist())
    return Given(frozenset(hashes), frozenset(traces))


def _files(path: Path) -> Iterator[tuple[Tree, str]]:
    folder = open_tree(path)
    if folder.is_folder(""):
        for entry in folder.walk(budget=Budget(entries=MAX_ENTRIES), skip=JUNK):
            yield folder, entry.path
    else:
        yield open_tree(path.parent), path.name


# --- many -------------------------------------------------------------------------------------------


def read_all(works: Sequence[Work], jobs: int) -> list[Reading]:
    """Read submissions, in order.

    Args:
        jobs: processes. With one, and from the process's first thread, it is done in this process.
    """
    if jobs <= 1 and threading.current_thread() is threading.main_thread():
        return [read(work) for work in works]
    chunks = [works[start : start + CHUNK] for start in range(0, len(works), CHUNK)]
    # Never forked: a caller's threads may hold locks that a copy would wait for.
    with ProcessPoolExecutor(max(1, jobs), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_read_several, chunk) for chunk in chunks]
        found = [_result(future) for future in futures]
    return [
        reading
        for chunk, readings in zip(chunks, found, strict=True)
        for reading in (readings if readings is not None else map(_read_alone, chunk))
    ]


def _read_several(works: Sequence[Work]) -> list[Reading]:
    return [read(work) for work in works]


def _result(future: Future[list[Reading]]) -> list[Reading] | None:
    """None where the process has died, perhaps of another's submission."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _read_alone(work: Work) -> Reading:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = _result(pool.submit(_read_several, [work]))
    if found is not None:
        return found[0]
    import numpy as np

    nothing = np.empty(0, np.int32)
    skipped = Skipped(name=work.name, path="", reason="the process that read it died")
    return Reading(
        name=work.name,
        paths=(),
        hashes=np.empty(0, np.uint64),
        files=nothing,
        first=nothing,
        last=nothing,
        traces={},
        skipped=(skipped,),
    )
