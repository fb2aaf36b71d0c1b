"""Submissions that are a revision of a git repository, whose contents and settings nobody has vouched for.

Nothing is checked out: no hook, filter or attribute of the repository has a say. Its tree is written to a
tar file, which is unpacked like any other archive.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from grader.errors import ToolMissing, UsageError
from grader.process import Completed, run
from grader.tools import Tools

CLONE_SECONDS = 300
ARCHIVE_SECONDS = 60
MOST_TAR_BLOCKS = 2**21
"""In blocks of 512 bytes: trees that contain themselves many times over grow without end when written out."""

_URL = re.compile(r"(?:https|ssh|git|file|http)://|[\w.-]+@[\w.-]+:(?!//)")
_PROTOCOLS = "file:https:ssh"
_ATTRIBUTES = "* -export-ignore -export-subst -filter -ident -text -working-tree-encoding !eol\n"
_CONFIG = """\
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	fsmonitor = false
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """A repository and what is wanted of it."""

    repository: str
    name: str
    """A branch, tag or commit; empty for the repository's own default."""

    @property
    def title(self) -> str:
        """What a report calls it: never the URL, which may hold a password."""
        last = re.split(r"[/:]", self.repository.rstrip("/"))[-1].removesuffix(".git") or "submission"
        return f"{last}@{self.name}" if self.name else last


def revision(source: str) -> Revision | None:
    """Read `URL`, `URL#REV`, `PATH@REV` or `PATH#REV`; None where `source` is none of them."""
    if _URL.match(source):
        url, _, name = source.partition("#")
        return Revision(url, name)
    for mark in "@#":
        path, found, name = source.rpartition(mark)
        if found and name and _is_repository(Path(path)):
            return Revision(path, name)
    return None


def _is_repository(path: Path) -> bool:
    return (path / ".git").exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir())


def write_tar(wanted: Revision, scratch: Path, tools: Tools) -> Path:
    """The revision's tree as a tar file in `scratch`.

    Raises:
        UsageError: there is no such repository or revision, or its tree is too large.
    """
    try:
        git = tools.require("git")
    except ToolMissing as missing:
        raise UsageError(f"a git revision cannot be graded here: {missing}") from missing
    environment = _environment(scratch, local=_is_local(wanted))
    bare = scratch / "repository.git"
    commit = _cloned(git, wanted, bare, environment)
    (bare / "info").mkdir(exist_ok=True)
    (bare / "info" / "attributes").write_text(_ATTRIBUTES)
    tar = scratch / "tree.tar"
    limited = ["sh", "-c", 'ulimit -f "$1" && shift && exec "$@"', "sh", str(MOST_TAR_BLOCKS)]
    words = ["--git-dir", str(bare), "archive", "--format=tar", "-o", str(tar), commit]
    done = run([*limited, str(git), *words], env=environment, timeout=ARCHIVE_SECONDS)
    if done.returncode != 0 or done.timed_out:
        raise UsageError(f"the tree of {wanted.title} cannot be had: {_said(done) or 'it is too large'}")
    return tar


def _is_local(wanted: Revision) -> bool:
    return wanted.repository.startswith("file://") or not _URL.match(wanted.repository)


def _cloned(git: Path, wanted: Revision, bare: Path, environment: dict[str, str]) -> str:
    repository = wanted.repository
    if not _URL.match(repository):
        repository = f"file://{Path(repository).resolve()}"  # a plain path would share files with it
    shallow = [] if wanted.name else ["--depth", "1", "--no-tags"]
    words = [str(git), "clone", "--quiet", "--bare", "--template=", *shallow, "--", repository, str(bare)]
    done = run(words, env=environment, timeout=CLONE_SECONDS)
    if done.returncode != 0 or done.timed_out:
        raise UsageError(f"{wanted.title} cannot be cloned: {_said(done)}")
    name = f"{wanted.name or 'HEAD'}^{{commit}}"
    words = [str(git), "--git-dir", str(bare), "rev-parse", "--verify", "--quiet", "--end-of-options", name]
    done = run(words, env=environment)
    if done.returncode != 0:
        raise UsageError(f"{wanted.title}: there is no such revision, or no commit at all")
    return done.stdout.strip()


def _environment(scratch: Path, *, local: bool) -> dict[str, str]:
    environment = {
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    }
    if "SSH_AUTH_SOCK" in os.environ:
        environment["SSH_AUTH_SOCK"] = os.environ["SSH_AUTH_SOCK"]
    if local:
        # Repositories of other users are refused otherwise. Remote ones keep the user's own settings:
        # credentials are there.
        config = scratch / "gitconfig"
        config.write_text(_CONFIG)
        environment |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}
    return environment


def _said(done: Completed) -> str:
    if done.timed_out:
        return "it took too long"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
