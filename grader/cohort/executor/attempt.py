"""What a worker of a cluster runs: attempts, by agents of its own that it keeps from one to the next.

A worker runs tasks in threads, where no signal can be set and a sandbox would end with its thread. So each
attempt is made by an agent, a process that ends with the worker, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from grader.cohort.executor.local import Pool
from grader.cohort.executor.messages import Failed, Lost, from_line, to_line
from grader.cohort.executor.parcel import Parcel, unpack
from grader.errors import GraderFault, UsageError
from grader.runtime.temporary import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.cohort.executor.messages import Done, Grade, Hello, Look, Seen

TICK = 0.5

_lock = threading.Lock()
_kept: dict[str, list[Pool]] = {}
"""Of each batch the agents, one to a pool, that are at nothing."""
_at_work: dict[str, list[Pool]] = {}
_ended: set[str] = set()


def prepare(batch: str, hello: bytes, command: Sequence[str] = ()) -> dict[str, str]:
    """Have an agent ready.

    Returns:
        What it says of this machine.

    Raises:
        UsageError, GraderFault: this machine cannot grade, and why.
    """
    with _borrowed(batch, hello, command) as pool:
        _make_ready(pool)
        return pool.facts


def attempt(
    batch: str,
    hello: bytes,
    request: bytes,
    name: str,
    content: bytes,
    command: Sequence[str] = (),
) -> tuple[bytes, str]:
    """Grade a submission once.

    Args:
        name: of the parcel, and its content; without, the source is read where it is.

    Returns:
        The answer as a line; or none, and how the agent died.
    """
    asked = from_line(request)
    try:
        with _borrowed(batch, hello, command) as pool, scratch_directory() as scratch:
            if name:
                asked = replace(asked, source=unpack(Parcel(name=name, content=content), scratch))
            elif not Path(asked.source).exists():
                return to_line(
                    Failed(
                        reason=f"{asked.source} is too large to be sent, and not to be seen on this worker:"
                        " put the cohort and the gradebook into a folder that all workers share"
                    )
                ), ""
            answer = _answer(pool, asked)
    except (GraderFault, UsageError) as error:
        return to_line(Failed(reason=str(error))), ""
    return (b"", answer) if isinstance(answer, str) else (to_line(answer), "")


def end(batch: str) -> None:
    """End the agents of a batch that is over, and what they are at; within moments, while others go on."""
    with _lock:
        _ended.add(batch)
        pools = _kept.pop(batch, [])
        at_work = [agent for pool in _at_work.get(batch, []) for agent in pool.agents]
    for agent in at_work:
        agent.ask_to_end()
    for pool in pools:
        threading.Thread(target=pool.__exit__, name="end of an agent", daemon=True).start()


def _answer(pool: Pool, request: Look | Grade) -> Seen | Done | Failed | str:
    _make_ready(pool)
    pool.idle()[0].hand(request, request)
    while True:
        for _, _, answer in pool.wait(TICK):
            if not isinstance(answer, Lost):
                return answer


def _make_ready(pool: Pool) -> None:
    while not pool.idle():
        pool.fill()
        pool.wait(TICK)


@contextlib.contextmanager
def _borrowed(batch: str, hello: bytes, command: Sequence[str]) -> Iterator[Pool]:
    with _lock:
        if batch in _ended:
            raise UsageError("the batch is over")
        kept = _kept.setdefault(batch, [])
        pool = kept.pop() if kept else Pool(_hello(hello), 1, command=command)
        _at_work.setdefault(batch, []).append(pool)
    keep = False
    try:
        yield pool
        keep = True
    finally:
        with _lock:
            _at_work[batch].remove(pool)
            keep = keep and batch not in _ended
            if keep:
                _kept.setdefault(batch, []).append(pool)
        if not keep:
            pool.__exit__()


def _hello(line: bytes) -> Hello:
    """What an agent is told here: all graders of a machine share what lets a run be alone on it."""
    shared = Path(tempfile.gettempdir()) / f"neighbours-of-graders-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    if shared.is_symlink() or shared.stat().st_uid != os.getuid():
        raise UsageError(f"{shared} is somebody else's: remove it")
    hello: Hello = from_line(line)
    return replace(hello, neighbours=str(shared))
