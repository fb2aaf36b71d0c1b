"""Agents on this machine: started, listened to, replaced when they die, ended with all they started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from grader.cohort.executor.messages import (
    MAX_LINE,
    Doing,
    Done,
    Failed,
    Ready,
    Refused,
    Seen,
    from_line,
    to_line,
)
from grader.errors import GraderFault, UsageError
from grader.runtime.temporary import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.cohort.executor.messages import Answer, Grade, Hello, Look
    from grader.cohort.executor.pool import Outcome

MEMORY_OF_SLOT = 1.5 * 2**30
"""Bytes."""
COMMAND = (sys.executable, "-P", "-m", "grader.cohort.executor.agent")
"""`-P`: the folder in which the command was given may be full of candidates' modules."""
MAX_JOBS = 50
"""Of one agent, before another takes its place."""
MAX_SILENCE = 120.0
"""Seconds without a sign of life after which an agent is taken for dead."""
MAX_SECONDS = 3600.0
"""Of one job; the limits of all its runs together are below it."""
PATIENCE = 25.0
"""Seconds in which an agent may end by itself."""
WAIT = 0.02
"""Seconds between two looks at whether an agent has ended."""
MAX_LOG = 4000
"""Bytes of what an agent said last, kept where it dies."""


def slots_of_machine(jobs: int = 0) -> int:
    """How many submissions are graded at a time.

    Args:
        jobs: as many as the user wants; 0: as many as this machine has cores and memory for.
    """
    if jobs:
        return jobs
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), int(memory // MEMORY_OF_SLOT)))


class Agent:
    """The dispatcher's end of one agent."""

    def __init__(self, name: str, hello: Hello, command: Sequence[str] = COMMAND) -> None:
        """Start it; it says when it is ready."""
        self.name = name
        self.ready = False
        self.work: object = None
        """What it was handed, until it has answered."""
        self.doing = Doing()
        self.done = 0
        self.since = self._heard = time.monotonic()
        self._buffer = bytearray()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the agent)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C in the terminal is the dispatcher's business
        )
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._send(hello)

    @property
    def idle(self) -> bool:
        """Whether it can be handed something."""
        return self.ready and self.work is None

    @property
    def descriptor(self) -> int:
        """What becomes readable when it says something or ends."""
        return self._output.fileno()

    def hand(self, work: object, request: Look | Grade) -> None:
        """Give it something to do.

        Args:
            work: comes back with the answer.
        """
        self.work, self.doing = work, Doing()
        self.since = self._heard = time.monotonic()
        self._send(request)

    def _send(self, message: Hello | Look | Grade) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, as its other pipe will tell
            self._input.write(to_line(message))
            self._input.flush()

    def read(self) -> Iterator[Answer]:
        """What it said since.

        Raises:
            EOFError: it has ended, or says what no agent says.
        """
        data = os.read(self.descriptor, 2**20)
        if not data:
            raise EOFError("it ended")
        self._heard = time.monotonic()
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        if len(rest) > MAX_LINE:
            raise EOFError("it said more than an answer may have")
        for line in lines:
            try:
                yield from_line(bytes(line))
            except ValueError as error:
                raise EOFError(f"it said what is no answer: {error}") from None

    @property
    def complaint(self) -> str:
        """Why it has to be given up, if it has to."""
        if self.work is None and self.ready:
            return ""
        now = time.monotonic()
        if now - self._heard > MAX_SILENCE:
            return f"no sign of life for {MAX_SILENCE:.0f} s"
        if now - self.since > MAX_SECONDS:
            return f"not ready after {MAX_SECONDS:.0f} s"
        return ""

    def ask_to_end(self) -> None:
        """Cut the lifeline."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()

    def end(self, *, patience: float = PATIENCE) -> str:
        """End it in any case.

        Returns:
            How it ended and what it said last, in one line.
        """
        self.ask_to_end()
        deadline = time.monotonic() + patience
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(WAIT)
        # Before it is reaped: until then nobody else can have its number.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._output.close()
        said = self._last_words()
        self._log.close()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"{how}: {said}" if said else how

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _last_words(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - MAX_LOG))
        lines = self._log.read(MAX_LOG).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Pool:
    """As many agents as there are slots. A context manager; for one thread."""

    def __init__(self, hello: Hello, slots: int, *, command: Sequence[str] = ()) -> None:
        """Nothing starts yet.

        Args:
            command: what an agent is; another one for tests of what happens around it.
        """
        self._hello = hello
        self._slots = slots
        self._command = command or COMMAND
        self._numbers = 0
        self.agents: list[Agent] = []
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0
        self.facts: dict[str, str] = {}
        """What the agents say of this machine."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_agents()
        self._selector.close()
        sweep(Path(tempfile.gettempdir()))

    def end_agents(self) -> None:
        """End all there are, together."""
        for agent in self.agents:
            agent.ask_to_end()
        deadline = time.monotonic() + PATIENCE
        while self.agents:
            self._drop(self.agents[0], patience=max(0.1, deadline - time.monotonic()))

    def fill(self, wanted: int | None = None) -> None:
        """Start agents until there is one for each slot, or as many as are wanted."""
        while len(self.agents) < min(self._slots, self._slots if wanted is None else wanted):
            self._numbers += 1
            agent = Agent(f"local-{self._numbers}", self._hello, self._command)
            self.agents.append(agent)
            self._selector.register(agent.descriptor, selectors.EVENT_READ, agent)

    def idle(self) -> list[Agent]:
        """Agents that can be handed something; those that had enough are replaced first."""
        for agent in list(self.agents):
            if agent.idle and agent.done >= MAX_JOBS:
                self._drop(agent)
        return [agent for agent in self.agents if agent.idle]

    def busy(self) -> list[Agent]:
        """Agents that are at something."""
        return [agent for agent in self.agents if agent.work is not None]

    def wait(self, seconds: float) -> list[tuple[Agent, object, Outcome]]:
        """What was answered meanwhile.

        Returns:
            Agent, what it had been handed, and the answer; a text where it died instead: how.

        Raises:
            UsageError: agents cannot work here, and why.
        """
        found: list[tuple[Agent, object, Outcome]] = []
        for key, _ in self._selector.select(seconds):
            agent: Agent = key.data
            try:
                for message in agent.read():
                    match message:
                        case Ready():
                            agent.ready, self.facts, self._failed_starts = True, message.facts, 0
                        case Refused():
                            raise UsageError(message.reason)
                        case Doing():
                            agent.doing = message
                        case Seen() | Done() | Failed():
                            work, agent.work = agent.work, None
                            agent.done += 1
                            found.append((agent, work, message))
            except EOFError as error:
                found += self._died(agent, str(error))
        for agent in list(self.agents):
            if complaint := agent.complaint:
                found += self._died(agent, complaint)
        return found

    def _died(self, agent: Agent, why: str) -> list[tuple[Agent, object, Outcome]]:
        work, ready = agent.work, agent.ready
        how = self._drop(agent, patience=0.0 if why else PATIENCE)
        sweep(Path(tempfile.gettempdir()))
        if not ready:
            self._failed_starts += 1
            if self._failed_starts > self._slots:
                raise GraderFault(f"no agent starts on this machine: {how}")
        if work is None:
            return []
        agent.work = None
        return [(agent, work, how if why == "it ended" else f"{why} ({how})")]

    def _drop(self, agent: Agent, *, patience: float = PATIENCE) -> str:
        self._selector.unregister(agent.descriptor)
        self.agents.remove(agent)
        return agent.end(patience=patience)
