"""Submissions that are git repositories: copied aside, and the commit that counts picked from their history.

A copy holds what the repository knows and none of its settings (`git_revision.obtain`); no work tree is ever
made. Copies are kept by their address and newest commit, so that what a gradebook refers to stays to be had.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import as_time
from grader.cohort.sources.model import Found, Person
from grader.errors import GraderFault, UsageError
from grader.files import open_tree
from grader.submission.git_revision import Revision, Unreachable, ask, obtain, revision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from grader.tools import Tools

AT_A_TIME = 4
MIN_FREE = 2 * 2**30
"""Bytes that must be free before a repository is copied."""
MAX_COMMITS = 20_000
MAX_REFLOG = 2**23

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PUSH = re.compile(
    rf"{_COMMIT.pattern} (?P<commit>{_COMMIT.pattern}) [^<>\n]*<[^<>\n]*>"
    r" (?P<time>[0-9]{1,12}) [+-][0-9]{4}(?:\t.*)?"
)
_BRANCH = re.compile(r"ref: (refs/heads/[^\s\0]+)\s*")


@dataclass(frozen=True, slots=True)
class Told:
    """A submission as the platform noted it in a file that it wrote into the clone."""

    commit: str
    tag: str
    time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A repository of some people."""

    people: tuple[Person, ...]
    source: str
    """An address or a path, with a revision or without."""
    tag: str = ""
    """Where no revision is named."""
    deadline: datetime | None = None
    """Of these people: the last commit until then is picked, where no revision is named."""
    late: bool | None = None
    """What the platform says."""
    folder: str = ""
    """The clone's own, which is taken as it is where its newest commit counts."""
    told: tuple[Told, ...] = ()
    revision: str = ""
    """A tag or branch that is asked of every repository; what `source` names comes first."""


def find(wanted: Sequence[Wanted], aside: Path, tools: Tools) -> list[Found]:
    """Copy repositories and pick their commits, a few at a time; one row each, whatever becomes of it.

    Raises:
        GraderFault: nothing can be written aside.
    """
    folder = aside / "repositories"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraderFault(f"cannot write to {aside}: {error.strerror}") from error
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return [
            each for several in pool.map(lambda one: _found(one, folder, tools), wanted) for each in several
        ]


def _found(wanted: Wanted, folder: Path, tools: Tools) -> list[Found]:
    target = revision(wanted.source) or Revision(wanted.source, "")
    if wanted.revision and not target.name:
        target = replace(target, name=wanted.revision)
    row = Found(
        people=wanted.people,
        source=wanted.source,
        origin=wanted.source,
        tag=target.name or wanted.tag,
        late=wanted.late,
    )
    try:
        bare = _copy(target, folder, tools)
        if told := _told(wanted, target, bare, tools):
            return [_noted(row, _first_with(each.commit, bare, tools), each) for each in told]
        picked = _pick(target, bare, wanted.deadline, tools)
        source = f"{_first_with(picked.commit, bare, tools)}@{picked.commit}"
        if wanted.folder and not target.name and picked.commit == _head(bare, tools):
            source = wanted.folder
    except Unreachable as error:
        return [replace(row, unreadable=str(error), retry=True)]
    except UsageError as error:
        return [replace(row, unreadable=str(error))]
    return [replace(row, source=source, submitted_at=picked.time, evidence=picked.evidence)]


def _first_with(commit: str, bare: Path, tools: Tools) -> Path:
    """The oldest copy that has a commit, so that a submission has the same source after the next push."""
    address = bare.name.partition("-")[0]
    copies = sorted(bare.parent.glob(f"{address}-*"), key=lambda copy: (copy.stat().st_mtime_ns, copy.name))
    words = ["cat-file", "-e", f"{commit}^{{commit}}"]
    return next((copy for copy in copies if copy == bare or ask(copy, words, tools).returncode == 0), bare)


def _told(wanted: Wanted, target: Revision, bare: Path, tools: Tools) -> list[Told]:
    """What the platform noted, unless the candidate could have written it."""
    forged = ask(bare, ["cat-file", "-e", "HEAD:result.json"], tools).returncode == 0
    if forged or target.name:
        return []
    return [
        each
        for each in wanted.told
        if ask(bare, ["cat-file", "-e", f"{each.commit}^{{commit}}"], tools).returncode == 0
    ]


def _noted(row: Found, bare: Path, told: Told) -> Found:
    evidence = "result.json of Classroom 50" if told.time else ""
    source = f"{bare}@{told.commit}"
    return replace(row, source=source, tag=told.tag, submitted_at=told.time, evidence=evidence)


def _head(bare: Path, tools: Tools) -> str:
    return ask(bare, ["rev-parse", "--verify", "HEAD^{commit}"], tools).stdout.strip()


def _copy(target: Revision, folder: Path, tools: Tools) -> Path:
    """A copy that has the newest state, or at least the commit that is asked for."""
    address = hashlib.sha256(target.repository.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    if _COMMIT.fullmatch(target.name):
        for kept in sorted(folder.glob(f"{address}-*")):
            if ask(kept, ["cat-file", "-e", f"{target.name}^{{commit}}"], tools).returncode == 0:
                return kept
    if shutil.disk_usage(folder).free < MIN_FREE:
        raise Unreachable(f"less than {MIN_FREE >> 30} GB are free at {folder}: nothing is cloned any more")
    new = folder / f"new-{secrets.token_hex(8)}"
    try:
        obtain(target, new, tools, whole=True)
        refs = ask(new, ["for-each-ref", "--format=%(objectname) %(refname)"], tools).stdout
        state = hashlib.sha256(refs.encode()).hexdigest()[:24]
        kept = folder / f"{address}-{state}"
        if not kept.exists():
            new.rename(kept)
    except OSError as error:
        raise GraderFault(f"cannot write to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return kept


@dataclass(frozen=True, slots=True)
class _Picked:
    commit: str
    time: datetime | None
    evidence: str


def _pick(target: Revision, bare: Path, deadline: datetime | None, tools: Tools) -> _Picked:
    if target.name and (tagged := _tag(target, bare, tools)):
        return tagged
    pushes = _pushes(target)
    in_time = [each for each in pushes if deadline is None or (each.time and each.time <= deadline)]
    if picked := (in_time or pushes):
        return picked[-1]
    commits = _commits(target, bare, tools)
    pinned = _COMMIT.fullmatch(target.name)
    before = [each for each in commits if deadline is None or pinned or (each.time and each.time <= deadline)]
    return (before or commits)[0]


def _tag(target: Revision, bare: Path, tools: Tools) -> _Picked | None:
    """The commit of a tag, and when its tagger says to have made it."""
    form = "--format=%(objecttype) %(objectname) %(*objectname) %(taggerdate:unix)"
    said = ask(bare, ["for-each-ref", "--count=1", form, f"refs/tags/{target.name}"], tools).stdout.split()
    match said:
        case ["tag", _, commit, time]:
            made = as_time(int(time)) if time.isdecimal() else None
            return _Picked(commit, made, f"tag {target.name} by tagger date, which its author can set")
        case _:
            return None


def _pushes(target: Revision) -> list[_Picked]:
    """What a server of this machine noted of pushes to a branch: nobody who pushes can forge these times."""
    path = Path(target.repository.removeprefix("file://"))
    top = open_tree(path)
    if top.is_folder(".git") or not top.is_file("HEAD"):  # a clone's log says when it was cloned
        return []
    head = _BRANCH.fullmatch((top.read("HEAD", 4096) or b"").decode("utf-8", "replace"))
    branch = f"refs/heads/{target.name}" if target.name else head[1] if head else ""
    noted = top.read(f"logs/{branch}", MAX_REFLOG) if branch else None
    lines = (noted or b"").decode("utf-8", "replace").splitlines()
    return [
        _Picked(match["commit"], as_time(int(match["time"])), "push time in the server's reflog")
        for match in map(_PUSH.fullmatch, lines)
        if match and match["commit"].strip("0")
    ]


def _commits(target: Revision, bare: Path, tools: Tools) -> list[_Picked]:
    """The history, newest first.

    Raises:
        UsageError: there is no such revision, or no commit.
    """
    words = [
        "log",
        f"--max-count={MAX_COMMITS}",
        "--format=%H %ct",
        "--end-of-options",
        target.name or "HEAD",
        "--",
    ]
    done = ask(bare, words, tools)
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode != 0 or not lines:
        raise UsageError(f"{target.title}: there is no such revision, or no commit at all")
    return [
        _Picked(
            commit, as_time(int(time)), f"commit {commit[:10]} by committer date, which its author can set"
        )
        for commit, time in lines
        if time.lstrip("-").isdecimal()
    ]
