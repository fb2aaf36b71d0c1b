"""uv, as the grader uses it: resolving and installing without ever running a package's code.

Three things keep a package's code from running on this machine: nothing is built from source here
(`--no-build`), what a source package requires is declared to uv instead of being asked of its `setup.py`,
and no interpreter starts that would read an environment's `.pth` files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tomli
from packaging import tags
from packaging.pylock import Pylock
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from grader import command as process
from grader.errors import GraderFault
from grader.runtime.helpers.jail import Wall, jailed
from grader.runtime.temporary import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging import pylock
    from packaging.pylock import PackageSdist, PackageWheel

Say = Callable[[str], None]
"""Told what is being done."""


def say_nothing(_text: str) -> None:
    """Tell nobody."""


_LOOK_SECONDS = 0.5
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
_PASSED_ON = (
    *("UV_CACHE_DIR", *_INDEX, "UV_OFFLINE"),
    *("UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
_LEAST_FREE_BYTES = 200 * 2**20
_TIMEOUT = 1800
"""A first install downloads several hundred megabytes, on some machines slowly."""
_COMPILE_SECONDS = 600
_MAX_CAUSE = 500
_ABOUT = (
    "import json, platform, sys;"
    "print(json.dumps([platform.python_version(), getattr(sys, '_base_executable', '')]))"
)


class Refused(Exception):  # noqa: N818
    """What was asked for cannot be had, and neither the network nor the disk is to blame."""

    def __init__(self, output: str) -> None:
        self.output = output
        super().__init__(_cause(output)[:_MAX_CAUSE])


class NotBuilt(Refused):
    """What was asked for did not come to be here, such as a package's wheel; elsewhere it may."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that environments are made from; itself no virtual environment."""

    path: Path
    version: str

    @property
    def feature(self) -> tuple[int, int]:
        """(3, 11)"""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def tags(self) -> frozenset[tags.Tag]:
        """The wheels that it can use."""
        abi = list(tags.cpython_tags(self.feature))
        return frozenset([*abi, *tags.compatible_tags(self.feature, f"cp{self.feature[0]}{self.feature[1]}")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What the index has for one requirement of a lock."""

    name: str
    version: str
    has_wheel: bool
    """One that this interpreter can use."""
    sdist: str = ""
    """Its address."""
    sha256: str = ""
    size: int = 0
    """Of the largest file that may be taken, in bytes, as far as the index says."""


def find_interpreter(version: str) -> tuple[Interpreter, str]:
    """A Python of that version, or else the grader's own with a sentence saying so."""
    own = Path(getattr(sys, "_base_executable", sys.executable))
    if ".".join(platform.python_version_tuple()[:2]) == version:
        return _describe(own), ""
    found = _run("python", "find", "--system", "--no-project", "--no-python-downloads", version)
    if found.returncode == 0 and found.stdout.strip():
        return _describe(Path(found.stdout.strip())), ""
    interpreter = _describe(own)
    return interpreter, f"Python {version} is not on this machine: Python {interpreter.version} was used"


def is_version(version: str) -> bool:
    """Whether this machine has a Python of that version, or uv knows where to get one."""
    if not find_interpreter(version)[1]:
        return True
    listed = _run("python", "list", "--only-downloads", "--all-versions", version)
    return listed.returncode != 0 or bool(listed.stdout.strip())


def _describe(path: Path) -> Interpreter:
    done = process.run([path, "-I", "-S", "-c", _ABOUT], timeout=60)
    if done.returncode != 0:
        raise GraderFault(f"{path} does not run", log_tail=done.output)
    version, base = json.loads(done.stdout)
    return Interpreter(Path(base or path), version)


def describe(requirements: Sequence[str], names: Iterable[str], python: Interpreter) -> list[Package]:
    """What the index has for each of `requirements`, whose names are `names`, and not for what they require.

    Raises:
        Refused: one of them does not exist, or two contradict each other.
    """
    with temporary_directory() as folder:
        settings = Path(folder) / "uv.toml"
        # Without this, uv would run a source package's setup.py to learn what it requires.
        settings.write_text("".join(_no_requirements(name) for name in sorted(set(names))))
        output = Path(folder) / "pylock.toml"
        _checked(
            python,
            *("pip", "compile", "--no-deps", "--config-file", settings, "--format", "pylock.toml"),
            *("--no-header", "-q"),
            *("--python", python.path, "-o", output, "-"),
            stdin="\n".join(requirements),
        )
        found = Pylock.from_dict(tomli.loads(output.read_text()))
    usable = python.tags()
    return [_package(entry, usable) for entry in found.packages]


def _no_requirements(name: str) -> str:
    return f"[[dependency-metadata]]\nname = {json.dumps(name)}\nrequires-dist = []\n"


def _package(entry: pylock.Package, usable: frozenset[tags.Tag]) -> Package:
    wheels = [wheel for wheel in entry.wheels or () if _usable(wheel.filename, usable)]
    sdist = entry.sdist
    files: Sequence[PackageWheel | PackageSdist] = wheels or ([sdist] if sdist is not None else [])
    return Package(
        name=entry.name,
        version=str(entry.version or ""),
        has_wheel=bool(wheels),
        sdist=(sdist.url or "") if sdist is not None else "",
        sha256=sdist.hashes.get("sha256", "") if sdist is not None else "",
        size=max((file.size or 0 for file in files), default=0),
    )


def _usable(filename: str, usable: frozenset[tags.Tag]) -> bool:
    try:
        return not usable.isdisjoint(parse_wheel_filename(filename)[3])
    except InvalidWheelFilename:
        return False


def resolve(
    requirements: Sequence[str],
    python: Interpreter,
    *,
    constraints: Sequence[str] = (),
    preferred: Sequence[str] = (),
    wheels: Sequence[Path] = (),
) -> list[str]:
    """Everything that `requirements` need, pinned, one requirement a line.

    Args:
        preferred: pins to take where nothing speaks against them, instead of the newest version.
        wheels: directories of wheels that serve besides the index's.

    Raises:
        Refused: no set of versions satisfies them all.
    """
    with temporary_directory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("\n".join(constraints))
        output = Path(folder) / "output.txt"
        output.write_text("\n".join(preferred))  # uv keeps what an earlier output of its own says
        _checked(
            python,
            *("pip", "compile", "--no-config", "--no-build", "--no-header", "--no-annotate", "-q"),
            *("--constraints", pins, *_links(wheels), "--python", python.path, "-o", output, "-"),
            stdin="\n".join(requirements),
        )
        resolved = output.read_text().splitlines()
    return [line.strip() for line in resolved if line.strip()]


def _links(wheels: Sequence[Path]) -> list[str | Path]:
    return [word for directory in wheels for word in ("--find-links", directory)]


def make_environment(directory: Path, python: Interpreter) -> None:
    """An empty virtual environment that may be moved."""
    _checked(python, "venv", "--no-config", "-q", "--relocatable", "--python", python.path, directory)


def install(
    environment: Path,
    requirements: Sequence[str],
    python: Interpreter,
    *,
    wheels: Sequence[Path] = (),
    say: Say = say_nothing,
) -> str:
    """Install exactly `requirements`, from wheels, into a fresh environment; returns what uv said.

    Only once for an environment: uv starts its interpreter, which would then run what was installed.

    Args:
        say: told how many packages are there already, while it goes on.

    Raises:
        Refused: one of them cannot be downloaded or is not what its hash says.
    """
    with temporary_directory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(requirements))
        say(f"fetching {len(requirements)} packages")
        with _counted(environment, len(requirements), say):
            done = _checked(
                python,
                *("pip", "install", "--no-config", "--no-deps", "--no-build", "-q"),
                *(*_links(wheels), "--python", environment / "bin" / "python", "-r", wanted),
            )
    return done.output


@contextlib.contextmanager
def _counted(environment: Path, total: int, say: Say) -> Iterator[None]:
    """Say meanwhile how far an installation is, which uv itself tells terminals only.

    What it has fetched it unpacks in its cache, and takes it from there once everything is there.
    """
    ended = threading.Event()
    unpacked = cache_directory() / "archive-v0"
    before = _entries(unpacked)

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            installed = sum(1 for _ in environment.glob("lib/python*/site-packages/*.dist-info"))
            if installed:
                say(f"installing {min(installed, total)} of {total} packages")
            elif fetched := max(0, _entries(unpacked) - before):
                say(f"fetching {min(fetched, total)} of {total} packages")

    thread = threading.Thread(target=watch, name="packages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _entries(directory: Path) -> int:
    try:
        return len(os.listdir(directory))  # noqa: PTH208  (thousands of them, twice a second)
    except OSError:
        return 0


def cache_directory() -> Path:
    """uv's own, where it unpacks what it fetches."""
    done = _run("cache", "dir", "--no-config")
    return Path(done.stdout.strip())


def compile_bytecode(environment: Path, python: Interpreter, bwrap: Wall | None) -> None:
    """Environments are read-only to candidate code, which would compile everything anew in every run.

    Behind the wall, for a package's text may be made to break compilers. The interpreter is the one that the
    environment was made from, not the environment's own: see above.
    """
    argv = jailed(
        [
            python.path,
            "-I",
            "-S",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "-x",
            r"/tests?/",
            environment / "lib",
        ],
        bwrap=bwrap,
        readable=[python.path.parent.parent],
        writable=[environment / "lib"],
    )
    process.run(argv, timeout=_COMPILE_SECONDS)  # what does not compile is compiled by whoever imports it


def index_settings() -> dict[str, str]:
    """Where packages come from, as digests: an address may hold a password."""
    return {
        name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in _INDEX if name in os.environ
    }


def index_answers(python: Interpreter) -> bool:
    """Whether the package index can be asked for something that surely exists."""
    done = _run(
        *("pip", "compile", "--no-config", "-q", "--no-deps", "--no-build", "--refresh-package", "packaging"),
        *("--python", python.path, "-"),
        stdin="packaging",
    )
    return done.returncode == 0


def _run(*words: str | Path, stdin: str = "") -> process.Completed:
    import uv

    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    argv = [uv.find_uv_bin(), "--color", "never", "--no-python-downloads", *words]
    return process.run(argv, cwd=Path("/"), env=env, stdin=stdin, timeout=_TIMEOUT)


def _checked(python: Interpreter, *words: str | Path, stdin: str = "") -> process.Completed:
    done = _run(*words, stdin=stdin)
    if done.returncode == 0:
        return done
    if done.returncode == -signal.SIGKILL and not done.timed_out:
        raise GraderFault("uv was stopped", log_tail=done.output)
    if shutil.disk_usage(tempfile.gettempdir()).free < _LEAST_FREE_BYTES:
        raise GraderFault("the disk is full", log_tail=done.output)
    if not index_answers(python):
        raise GraderFault("the package index cannot be reached", log_tail=done.output)
    if done.timed_out or done.returncode < 0:
        # With what was asked for, while the index answers others: on a quicker machine it may go well.
        why = f"did not finish within {_TIMEOUT} s" if done.timed_out else f"died of {-done.returncode}"
        raise NotBuilt(f"error: uv {why}")
    raise Refused(done.output)


def _cause(output: str) -> str:
    """The line that says why, out of uv's several."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for start in ("Because ", "cause: ", "error: "):
        for line in reversed(lines):
            before, found, after = line.partition(start)
            if found and before in ("", "cause: "):
                return (start + after if start == "Because " else after).strip()
    return lines[0] if lines else "uv gave no reason"
