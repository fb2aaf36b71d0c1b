"""What grades share: the tracking server's process, warm interpreters, and how many runs go on at a time.

One grade has a shared runtime of its own; who grades many submissions keeps one for all of them. Nothing of a
submission stays in it: stores, cells and seeds belong to a `SubmissionRuntime`.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from grader.errors import ToolMissing, UsageError
from grader.runtime.cache import Cache
from grader.runtime.cell import PROBES, environment_of
from grader.runtime.queue import Queued, Slots
from grader.runtime.sandbox.open import open_sandbox
from grader.runtime.services.mlflow import MlflowHost
from grader.runtime.services.s3 import ObjectStore, open_store
from grader.runtime.temporary import scratch_directory
from grader.runtime.warm import Preload, Warm, open_warm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from grader.runtime.environment.build import Environment
    from grader.runtime.helpers.jail import Wall
    from grader.runtime.sandbox.protocol import Sandbox

ISOLATIONS = ("bubblewrap", "docker", "none")
_MAX_IDLE = 1
"""Warm interpreters that are kept though no grade uses them; each holds some 130 MB."""
_CELLS = "cells"


@dataclass(slots=True)
class _Kept:
    """A sandbox, and how many grades use it."""

    sandbox: Sandbox
    warm: Warm | None
    users: int = 0


class SharedRuntime:
    """A context manager that leaves nothing behind. Safe to use from several threads."""

    def __init__(
        self,
        *,
        isolation: str = "bubblewrap",
        hidden: tuple[Path, ...] = (),
        cache: Cache | None = None,
        slots: Slots | None = None,
    ) -> None:
        """Nothing starts before it is asked for.

        Args:
            hidden: directories that no program may see, even where they lie in a shared one.
        """
        self.isolation = isolation
        self.cache = cache or Cache()
        self.slots = slots or Slots()
        self._hidden = hidden
        self._numbers = itertools.count()
        self._lock = Lock()
        self._sandboxes: dict[object, _Kept] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> SharedRuntime:
        self.cache.open()
        with contextlib.ExitStack() as stack:
            self._scratch = stack.enter_context(scratch_directory())
            # Opened at once: a machine that cannot isolate should say so before any work is done.
            self._first: Sandbox | None = choose_sandbox(self.isolation, self._scratch, self._hidden)
            self.bwrap = stack.enter_context(_wall(self.isolation, self._scratch / "helpers"))
            self.host = stack.enter_context(MlflowHost(self._scratch / "mlflow", self.cache, self.bwrap))
            stack.callback(self.cache.release)
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def objects(self) -> Iterator[ObjectStore]:
        """An S3 endpoint without buckets, as long as the block lasts; only in the thread that it began in."""
        with open_store(self._scratch / f"s3-{next(self._numbers)}", self.bwrap) as store:
            yield store

    def directory(self) -> Path:
        """A new place for a cell; who asked for it removes it.

        Programs in the cell can read its path, such as in /proc/self/mountinfo: it says nothing of the
        scenario that it is for, nor of how many there were before.
        """
        directory = self._scratch / _CELLS / secrets.token_hex(6)
        directory.mkdir(parents=True)
        return directory

    @contextlib.contextmanager
    def sandbox(
        self,
        environment: Environment,
        variables: Mapping[str, str],
        *,
        modules: Sequence[str] = (),
        programs: Sequence[str] = (),
    ) -> Iterator[Sandbox]:
        """Where a submission's programs run, and what will be warm for them in a moment.

        Args:
            variables: what most runs are told, whosesoever they are.
            modules: imported ahead, where they are there.
            programs: modules besides the submission's own that may be run with `-m`.
        """
        preload = Preload(
            python=environment.python,
            env=environment_of(environment.python, variables),
            readable=environment.readable,
            shown=(PROBES,),
            modules=modules,
            programs=programs,
        )
        key = (
            *(environment.key, environment.python, tuple(sorted(variables.items()))),
            *(tuple(modules), tuple(programs)),
        )
        with self._lock:
            kept = self._sandboxes.pop(key, None) or self._opened()
            self._sandboxes[key] = kept  # last in the order of use
            kept.users += 1
        if kept.warm is not None:
            kept.warm.prepare(preload)
        try:
            yield kept.sandbox
        finally:
            with self._lock:
                kept.users -= 1
                spare = self._take_spare()
            for each in spare:
                each.sandbox.close()

    def _opened(self) -> _Kept:
        inner, self._first = self._first, None
        sandbox = inner or choose_sandbox(self.isolation, self._scratch, self._hidden)
        warm = open_warm(sandbox, self._scratch / _CELLS)
        return _Kept(Queued(warm or sandbox, self.slots, warm.wait_for if warm else None), warm)

    def _take_spare(self) -> list[_Kept]:
        """The idle ones used longest ago, but for those worth keeping."""
        idle = [key for key, kept in self._sandboxes.items() if not kept.users]
        return [self._sandboxes.pop(key) for key in idle[: max(0, len(idle) - _MAX_IDLE)]]

    def _close(self) -> None:
        with self._lock:
            kept, self._sandboxes = list(self._sandboxes.values()), {}
            first, self._first = self._first, None
        for each in kept:
            each.sandbox.close()
        if first is not None:
            first.close()


def choose_sandbox(isolation: str, scratch: Path, hidden: tuple[Path, ...] = ()) -> Sandbox:
    """The sandbox of that name.

    Raises:
        UsageError: there is none, or this machine cannot isolate in that way.
    """
    if isolation not in ISOLATIONS:
        raise UsageError(f"no isolation is named {isolation!r}: there are {', '.join(ISOLATIONS)}")
    try:
        return open_sandbox(isolation, scratch=scratch, hidden=hidden)
    except ToolMissing as missing:
        raise UsageError(f"{isolation} does not isolate on this machine: {missing}") from missing


@contextlib.contextmanager
def _wall(isolation: str, scratch: Path) -> Iterator[Wall | None]:
    """What walls off the grader's own servers and the building of wheels; `scratch` is made for it."""
    if isolation == "docker":
        from grader.runtime.helpers.container import contained

        with contained(scratch) as wall:
            yield wall
    else:
        from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap

        yield None if isolation == "none" else find_bubblewrap()
