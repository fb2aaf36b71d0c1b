"""Grading hostile submissions from outside, as a user would, and judging what they could do."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.editing import without_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.hostile.attacks import Attack

MAX_MACHINE_MEMORY = 9000
"""Megabytes of the machine's memory that a grade may take, all its runs together."""
MAX_DISK = 4200
MAX_GRADER_MEMORY = 1500
EMERGENCY = 14000
"""Megabytes at which the grade is ended, so that the machine lives."""
PATIENCE_SECONDS = 10.0
"""Time in which everything that a grade started must be gone after it."""
SEEDS = "seeds"
"""The part of the cache that holds what candidate code has a share in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A grader, how it isolates candidate code, and who runs it."""

    isolation: str
    user: str | None = None
    python: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the grader starts with."""
        home = {} if self.user is None else {"HOME": pwd.getpwnam(self.user).pw_dir, "USER": self.user}
        return {**os.environ, **home}

    @property
    def cache(self) -> Path:
        """The cache of who runs it."""
        given = self.environment.get("GRADER_CACHE_DIR")
        return Path(given) if given else Path(self.environment["HOME"]) / ".cache/grader"

    def give(self, folder: Path) -> None:
        """Hand a folder over to who runs the grader."""
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            for path in (folder, *folder.rglob("*")):
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def grade(self, source: str, *, tasks: Sequence[str], seconds: int, **environment: str) -> Outcome:
        """Grade a source with a temporary directory of its own, and see what is left of it."""
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            temporary, result, log = Path(folder, "tmp"), Path(folder, "out/grade.json"), Path(folder, "log")
            for path in (temporary, result.parent):
                path.mkdir()
            Path(folder).chmod(0o755)
            self.give(temporary)
            self.give(result.parent)
            words = [self.python or sys.executable, "-m", "grader", "score", "--isolation", self.isolation]
            words += [word for task in tasks for word in ("--task", task)]
            words += ["--format", "json", "--output", str(result), "-v", "--", source]
            began = time.monotonic()
            with log.open("wb") as output:
                process = subprocess.Popen(
                    words,
                    env={**self.environment, "TMPDIR": str(temporary), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    user=self.user,
                    group=self.user,
                    extra_groups=None if self.user is None else os.getgrouplist(self.user, os.getegid()),
                    start_new_session=True,
                )
                with Sampler(process.pid) as sampler:
                    hung = _is_hung(process, seconds)
            return Outcome(
                status=process.returncode,
                hung=hung,
                seconds=time.monotonic() - began,
                text=log.read_text(errors="surrogateescape"),
                document=json.loads(result.read_text()) if result.exists() else None,
                left=_left(temporary),
                memory=sampler.memory,
                disk=sampler.disk,
                grader_memory=sampler.grader_memory,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a grade did; memory and disk in megabytes."""

    status: int
    hung: bool
    seconds: float
    text: str
    document: dict[str, Any] | None
    left: Sequence[str]
    memory: float
    disk: float
    grader_memory: float


class Sampler(threading.Thread):
    """Watches what a grade takes, and ends it before the machine suffers."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.over = threading.Event()
        self.free_memory, self.free_disk = _free_memory(), _free_disk()
        self.memory = self.disk = self.grader_memory = 0.0

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.memory = max(self.memory, self.free_memory - _free_memory())
            self.disk = max(self.disk, self.free_disk - _free_disk())
            with suppress(OSError, IndexError):
                status = Path(f"/proc/{self.pid}/status").read_text()
                self.grader_memory = max(self.grader_memory, int(status.split("VmRSS:")[1].split()[0]) / 1024)
            if self.memory > EMERGENCY:
                with suppress(OSError):
                    os.killpg(self.pid, signal.SIGKILL)


def _free_memory() -> float:
    text = Path("/proc/meminfo").read_text()
    return int(text.split("MemAvailable:")[1].split()[0]) / 1024


def _free_disk() -> float:
    said = os.statvfs(tempfile.gettempdir())
    return said.f_bfree * said.f_frsize / 2**20


def _is_hung(process: subprocess.Popen[bytes], seconds: int) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return False
    for number in (signal.SIGINT, signal.SIGKILL):
        os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
            break
    return True


def _left(temporary: Path) -> list[str]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (
        found := [*_related(str(temporary)), *sorted(path.name for path in temporary.iterdir())]
    ) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _related(path: str) -> Iterator[str]:
    """Processes that still have to do with a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if path.encode() in words or path in (process / "mountinfo").read_text(errors="replace"):
                yield f"process {process.name}: {words[:80]!r}"


def complaints(outcome: Outcome, attacks: Sequence[Attack], outside: Path | None = None) -> list[str]:
    """What the attacks could do that they must not; no attacks: a clean submission was graded."""
    wrong = list(_bounds(outcome, attacks))
    if any(attack.refused for attack in attacks):
        wrong += (
            [] if outcome.status == 2 else [f"not refused: status {outcome.status}: {outcome.text[-200:]!r}"]
        )
    elif outcome.document is None:
        wrong += [] if outcome.hung else [f"no result: status {outcome.status}: {outcome.text[-300:]!r}"]
    else:
        wrong += [] if outcome.hung or outcome.status in {0, 1} else [f"exit status {outcome.status}"]
        wrong += _marks(outcome.document, attacks)
    said = json.dumps(outcome.document) + outcome.text
    wrong += list(dict.fromkeys(re.findall(r"PWNED[^\\\"\n]{0,120}", said)))
    wrong += ["escapes in the report"] if "\x1b" in outcome.text else []
    for attack in attacks:
        for pattern in attack.forbidden:
            if found := re.search(pattern, outcome.text, re.MULTILINE):
                wrong.append(f"in the report: {found[0][:80]!r}")
        if attack.untouched and outside is not None:
            now = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in outside.iterdir()}
            wrong += [] if now == dict(attack.untouched) else [f"touched outside of the workspace: {now}"]
    return wrong


def _bounds(outcome: Outcome, attacks: Sequence[Attack]) -> Iterator[str]:
    if outcome.hung:
        yield f"not done after {outcome.seconds:.0f} s"
    if outcome.left:
        yield f"left behind: {outcome.left[:3]}"
    if outcome.memory > MAX_MACHINE_MEMORY:
        yield f"memory of the machine: {outcome.memory:.0f} MB"
    if outcome.disk > MAX_DISK:
        yield f"disk: {outcome.disk:.0f} MB"
    if outcome.grader_memory > MAX_GRADER_MEMORY:
        yield f"memory of the grader: {outcome.grader_memory:.0f} MB"


def _marks(document: Mapping[str, Any], attacks: Sequence[Attack]) -> Iterator[str]:
    loses = {name for attack in attacks for name in attack.loses}
    may_lose = {name for attack in attacks for name in attack.may_lose}
    for task in (task for section in document["sections"] for task in section["tasks"]):
        for criterion in task["criteria"]:
            names, status = {task["id"], criterion["id"]}, criterion["status"]
            said = next((finding["message"] for finding in criterion["findings"]), "")[:140]
            if status in {"error", "unverified"}:
                yield f"{criterion['id']} {status}: {said}"
            elif names & loses and status == "earned":
                yield f"{criterion['id']} was paid"
            elif not names & (loses | may_lose) and status != "earned":
                yield f"{criterion['id']} {status} {criterion['earned']:g} of {criterion['points']:g}: {said}"


def differences(before: Outcome, after: Outcome) -> Iterator[str]:
    """What two grades of one submission say differently, but for times; tasks that one left out aside."""
    if before.document is None or after.document is None:
        yield f"no result: {(before if before.document is None else after).text[-300:]}"
        return
    one, other = without_times(before.document), without_times(after.document)
    was, now = _tasks(one), _tasks(other)
    for name in was.keys() & now.keys():
        if was[name] != now[name]:
            yield f"{name} was {was[name]}, and is {now[name]}"
    if was.keys() == now.keys():
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                yield f"{key} was {one.get(key)}, and is {other.get(key)}"


def _tasks(document: dict[str, Any]) -> dict[str, Any]:
    """The tasks of a result document by name, which are taken out of it."""
    return {task["id"]: task for section in document.pop("sections") for task in section["tasks"]}


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two grades say the same of every criterion, points and findings alike."""

    def said(outcome: Outcome) -> Any:
        return None if outcome.document is None else without_times(outcome.document["sections"])

    return bool(said(one) == said(other))
