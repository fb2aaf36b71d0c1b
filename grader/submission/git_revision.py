"""Submissions that are a revision of a git repository, whose contents and settings nobody has vouched for.

Nothing is checked out: no hook, filter or attribute of the repository has a say. Its tree is written to a
tar file, which is unpacked like any other archive. No git runs in a repository of this machine: its objects
and references are copied first, and neither its settings nor what they lead to.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from grader.command import Completed, run
from grader.errors import ToolMissing, UsageError
from grader.files import Budget, Tree, open_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.tools import Tools

CLONE_SECONDS = 300
ARCHIVE_SECONDS = 60
MAX_TAR_BLOCKS = 2**21
"""In blocks of 512 bytes: trees that contain themselves many times over grow without end when written out."""
MAX_PACK_BLOCKS = 2**23
MAX_MEMORY = 2**22
"""In KB: objects that are made of one another can be made to take any."""
MAX_REPOSITORY = 4 * 2**30

_URL = re.compile(r"(?:https|ssh|git|file|http)://|[\w.-]+@[\w.-]+:(?!//)")
_HOST = re.compile(r"\w+://[^/]*/|[^/:]+:")
_PROTOCOLS = "https:ssh"
_ATTRIBUTES = "* -export-ignore -export-subst -filter -ident -text -working-tree-encoding !eol\n"
_COPIED = ("HEAD", "packed-refs", "shallow", "refs", "reftable", "objects")
"""What a repository knows: not what it would have done (config, hooks), nor where it would look further."""
_FORMATS = {"objectformat": "sha256", "refstorage": "reftable"}
"""Settings without which its objects and references cannot be read, and the only values that are believed."""
_NOT_THERE = re.compile(
    r"repository '[^'\n]*' not found|: Repository not found|does not appear to be a git repository"
    r"|transport '[^'\n]*' not allowed|not found: did you run git update-server-info"
)
"""What git and the usual hosts say of a repository that is not there, or that nothing would be asked for."""
_LIMITED = ("sh", "-c", 'ulimit -f "$1" && ulimit -v "$2" && shift 2 && exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class Revision:
    """A repository and what is wanted of it."""

    repository: str
    name: str
    """A branch, tag or commit; empty for the repository's own default."""
    folder: str = ""
    """The part of its tree that is wanted; empty for all of it."""

    @property
    def title(self) -> str:
        """What a report calls it: never the URL, which may hold a password."""
        last = (
            re.split(r"[/:]", (self.folder or self.repository).rstrip("/"))[-1].removesuffix(".git")
            or "submission"
        )
        return f"{last}@{self.name}" if self.name else last


def revision(source: str) -> Revision | None:
    """Read `URL`, `URL@REV`, `URL#REV`, `PATH@REV` or `PATH#REV`; None where `source` is none of them.

    A path inside a repository's work tree means that folder of the revision.
    """
    if _URL.match(source):
        return _of_url(source)
    for mark in "@#":
        path, found, name = source.rpartition(mark)
        if found and name and _is_repository(Path(path)):
            return Revision(path, name)
        if found and name and path and Path(path).is_dir():
            folder = Path(path).resolve()
            if root := next(filter(_is_repository, folder.parents), None):
                return Revision(str(root), name, str(folder.relative_to(root)))
    return None


def _of_url(source: str) -> Revision:
    """What follows the last `@` of the path names a revision, unless it is part of it: `/@user/exam.git`."""
    url, hashed, name = source.partition("#")
    if hashed:
        return Revision(url, name)
    host = _HOST.match(source)
    start = host.end() if host else 0
    path, found, name = source[start:].rpartition("@")
    if found and name and path and not path.endswith("/") and not name.endswith(".git"):
        return Revision(source[:start] + path, name)
    return Revision(source, "")


def is_remote(wanted: Revision) -> bool:
    """Whether the repository is reached by a network."""
    return _local_path(wanted.repository) is None


def _is_repository(path: Path) -> bool:
    return (path / ".git").exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir())


class Unreachable(UsageError):  # noqa: N818  (a state of the network, or of what this user may read)
    """Whether there is such a repository cannot be told from here, or not now."""


def write_tar(wanted: Revision, scratch: Path, tools: Tools) -> Path:
    """The revision's tree as a tar file in `scratch`.

    Raises:
        UsageError: there is no such repository or revision, or its tree is too large.
    """
    git, environment = _git(tools)
    bare = scratch / "repository.git"
    obtain(wanted, bare, tools)
    commit = _commit(git, wanted, bare, environment)
    (bare / "info").mkdir(exist_ok=True)
    (bare / "info" / "attributes").write_text(_ATTRIBUTES)
    tar = scratch / "tree.tar"
    tree = f"{commit}:{wanted.folder}" if wanted.folder else commit
    words = ["--git-dir", str(bare), "archive", "--format=tar", "-o", str(tar), tree]
    done = run(
        [*_LIMITED, str(MAX_TAR_BLOCKS), str(MAX_MEMORY), str(git), *words],
        env=environment,
        timeout=ARCHIVE_SECONDS,
    )
    if done.returncode != 0 or done.timed_out:
        raise UsageError(f"the tree of {wanted.title} cannot be had: {_said(done) or 'it is too large'}")
    return tar


def obtain(wanted: Revision, bare: Path, tools: Tools, *, whole: bool = False) -> None:
    """Make a bare repository of what another knows, with none of its settings.

    Args:
        bare: a folder that does not exist yet.
        whole: its history too, and every reference, where only the newest commit is wanted.

    Raises:
        UsageError: there is no such repository, or it is too large.
        Unreachable: it may be there: the network, or a right to read it, is missing.
    """
    git, environment = _git(tools)
    local = _local_path(wanted.repository)
    if local is None:
        # The user's own settings: credentials are there.
        _clone(git, wanted, bare, _environment(), shallow=not (wanted.name or whole))
    else:
        _copy(git, local, wanted, bare, environment)


def ask(bare: Path, words: Sequence[str], tools: Tools) -> Completed:
    """What git says of a repository that `obtain` has made; it can write nothing."""
    git, environment = _git(tools)
    argv = [*_LIMITED, "0", str(MAX_MEMORY), str(git), "--git-dir", str(bare), *words]
    return run(argv, env=environment, timeout=ARCHIVE_SECONDS)


def _git(tools: Tools) -> tuple[Path, dict[str, str]]:
    try:
        git = tools.require("git")
    except ToolMissing as missing:
        raise UsageError(f"a git revision cannot be graded here: {missing}") from missing
    return git, {**_environment(), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def _local_path(repository: str) -> Path | None:
    if repository.startswith("file://"):
        return Path(unquote(urlsplit(repository).path))
    return None if _URL.match(repository) else Path(repository)


def _clone(git: Path, wanted: Revision, bare: Path, environment: dict[str, str], *, shallow: bool) -> None:
    newest = ["--depth", "1", "--no-tags"] if shallow else []
    words = [
        str(git),
        "clone",
        "--quiet",
        "--bare",
        "--template=",
        *newest,
        "--",
        wanted.repository,
        str(bare),
    ]
    done = run(
        [*_LIMITED, str(MAX_PACK_BLOCKS), str(MAX_MEMORY), *words], env=environment, timeout=CLONE_SECONDS
    )
    if done.returncode != 0 or done.timed_out:
        error = UsageError if _NOT_THERE.search(done.stderr) and not done.timed_out else Unreachable
        raise error(f"{wanted.title} cannot be cloned: {_said(done)}")


def _copy(git: Path, path: Path, wanted: Revision, bare: Path, environment: dict[str, str]) -> None:
    """What is needed of a repository on this machine, read without git and through no link."""
    top = open_tree(path.resolve())
    repository = top.below(".git") if top.is_folder(".git") else top
    if not (repository.is_file("HEAD") and repository.is_folder("objects")):
        if os.path.lexists(path / ".git"):
            raise UsageError(f"the .git of {wanted.title} leads elsewhere: give the repository that it is of")
        raise UsageError(f"{wanted.title} cannot be cloned: there is no repository")
    bare.mkdir()
    budget = Budget(bytes=MAX_REPOSITORY)
    for name in _COPIED:
        repository.copy_out(name, bare / name, budget=budget)
    if budget.exceeded:
        raise UsageError(f"{wanted.title} is larger than {MAX_REPOSITORY >> 30} GB, or has too many objects")
    if (bare / "objects" / "info" / "alternates").exists():
        raise UsageError(f"{wanted.title} borrows from another repository (objects/info/alternates)")
    shutil.rmtree(bare / "objects" / "info", ignore_errors=True)
    for name in ("refs", "objects"):
        (bare / name).mkdir(exist_ok=True)
    formats = _formats(git, repository, bare, environment)
    extensions = "".join(f"\t{name} = {value}\n" for name, value in formats.items())
    version = int(bool(extensions))
    (bare / "config").write_text(
        f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n[extensions]\n{extensions}"
    )


def _formats(git: Path, repository: Tree, bare: Path, environment: dict[str, str]) -> dict[str, str]:
    """How its objects and references are written, where that is not as usual."""
    config = bare / "theirs"
    config.write_bytes(repository.read("config", 2**20) or b"")
    words = [str(git), "config", "--no-includes", "--file", str(config), "--get"]
    told = {name: run([*words, f"extensions.{name}"], env=environment).stdout.strip() for name in _FORMATS}
    config.unlink()
    return {name: value for name, value in _FORMATS.items() if told[name] == value}


def _commit(git: Path, wanted: Revision, bare: Path, environment: dict[str, str]) -> str:
    name = f"{wanted.name or 'HEAD'}^{{commit}}"
    words = [str(git), "--git-dir", str(bare), "rev-parse", "--verify", "--quiet", "--end-of-options", name]
    done = run([*_LIMITED, "0", str(MAX_MEMORY), *words], env=environment)
    if done.returncode != 0 or done.timed_out:
        raise UsageError(f"{wanted.title}: there is no such revision, or no commit at all")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    environment = {
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=30",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "60",
    }
    if "SSH_AUTH_SOCK" in os.environ:
        environment["SSH_AUTH_SOCK"] = os.environ["SSH_AUTH_SOCK"]
    return environment


def _said(done: Completed) -> str:
    if done.timed_out:
        return "it took too long"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
