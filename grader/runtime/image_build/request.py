"""Building an image on an engine: the request and its result.

The work is done by processes of their own (`watcher.py`), which outlive the grader for as long as it
takes to remove what they made.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

from grader import command as process
from grader.docker_engine import ADDRESS, Engine, labels
from grader.errors import GraderFault
from grader.runtime.cache import Cache
from grader.runtime.image_build.worker import BUILT, FAILED, NETWORK, PROXIES, UNDECIDED, proxies
from grader.runtime.temporary import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KIND = "images"
ANSWER = "built.json"
GRACE_SECONDS = 120
"""What tidying up may take after a build's own time."""
FIRST_WITHOUT = Version("23")
"""Clients from this version on have BuildKit in a plug-in only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """What one build may use."""

    wall_seconds: float = 900
    memory_bytes: int = 4 * 2**30
    """Of one step, as far as the builder can be told."""
    disk_bytes: int = 25 * 2**30
    output_bytes: int = 64 * 2**20
    threads: int = 3000


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Dockerfile, as it is written."""

    text: str
    """Empty for a place where an instruction may stand that marks what is made as ours."""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image to build."""

    files: Mapping[str, Path]
    """The build context by path, the Dockerfile not among them."""
    dockerfile: str
    steps: tuple[Step, ...]
    images: tuple[str, ...] = ()
    """What it is built from; the first is also where `control` runs."""
    buildkit: bool = False
    """Whether it takes BuildKit, which the engine's own interface does not offer."""
    keep: tuple[str, ...] = ()
    """Images that stay on the engine though they were pulled for this."""
    control: tuple[str, ...] = ()
    """A command that works in a container if the network is what builds need."""
    limits: BuildLimits = field(default_factory=BuildLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """How it went."""

    outcome: str
    """`built`, `failed`, or `undecided`: the engine could not try."""
    reason: str = ""
    log: str = ""
    line: int = 0
    """Of the Dockerfile, where that is known."""


def build(request: Request, engine: Engine, cache: Cache | None = None) -> Built:
    """Build it and remove it again; the same files on the same base images are built once.

    Raises:
        GraderFault: what watches over builds failed.
    """
    client = buildkit_client() if request.buildkit else ()
    if client is None:
        return Built(
            outcome=UNDECIDED, reason="it needs BuildKit, but no docker client on this machine supports it"
        )
    use = secrets.token_hex(8)
    with temporary_directory() as directory:
        archive = Path(directory) / "context.tar"
        _write(archive, request, use)
        with _Watcher(_as_json(request, engine, client, archive, use)) as watcher:
            first = watcher.answer()
            if "images" not in first:
                return _built(first, request)
            inputs = build_inputs(request, first["images"], engine)
            return _cached(cache or Cache(), inputs, lambda: _built(watcher.build(), request))


def _as_json(
    request: Request, engine: Engine, client: tuple[str, ...], archive: Path, use: str
) -> dict[str, Any]:
    return {
        "address": engine.address,
        "context": os.fspath(archive),
        "dockerfile": request.dockerfile,
        "use": use,
        "images": request.images,
        "buildkit": client,
        "keep": request.keep,
        "control": request.control,
        "limits": asdict(request.limits),
    }


class _Watcher:
    """`watcher.py`; at the end of the block it ends too, and by itself where we do first."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def __enter__(self) -> _Watcher:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        kept = (*PROXIES, *map(str.lower, PROXIES), ADDRESS, NETWORK, "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grader.runtime.image_build.watcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=process.clean_environment() | env,
            cwd="/",
            start_new_session=True,
        )
        self._say(json.dumps(self._content))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        self._process.stdout.close()
        self._errors.close()

    def answer(self) -> dict[str, Any]:
        """The next thing that it says."""
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise GraderFault("the build's watcher failed", log_tail=self._errors.read().decode()[-2000:])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def build(self) -> dict[str, Any]:
        """Have it begin, and wait for the result."""
        self._say("build")
        return self.answer()

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()


def _built(answer: Mapping[str, Any], request: Request) -> Built:
    result = answer["result"]
    if result["outcome"] not in (BUILT, FAILED, UNDECIDED):
        raise GraderFault(result["reason"], log_tail=result.get("log", ""))
    number = result.get("step", 0)
    return Built(
        outcome=result["outcome"],
        reason=_without_passwords(result.get("reason", "")),
        log=_without_passwords(result.get("log", "")),
        line=request.steps[number - 1].line if 0 < number <= len(request.steps) else 0,
    )


def _without_passwords(text: str) -> str:
    """What a build said, without what it could read of this machine's way to the network."""
    for value in proxies().values():
        if password := urlsplit(value).password:
            text = text.replace(password, "***")
    return text


def _cached(cache: Cache, inputs: Mapping[str, Any], make: Callable[[], Built]) -> Built:
    """A result that another grade of the same files found, or a new one; what is undecided is not kept."""
    if entry := cache.find(KIND, inputs):
        return _read(entry)
    found = make()
    if found.outcome == UNDECIDED:
        return found

    def write(directory: Path) -> None:
        (directory / ANSWER).write_text(json.dumps(asdict(found)), encoding="utf-8")

    return _read(cache.get(KIND, inputs, write))


def _read(entry: Path) -> Built:
    return Built(**json.loads((entry / ANSWER).read_text(encoding="utf-8")))


def build_inputs(request: Request, images: Mapping[str, str], engine: Engine) -> dict[str, Any]:
    """What makes two builds the same, for a cache's key.

    Args:
        images: the ids of what it is built from.
    """
    return {
        "files": {
            name: [hashlib.sha256(path.read_bytes()).hexdigest(), os.access(path, os.X_OK)]
            for name, path in request.files.items()
        },
        "dockerfile": request.dockerfile,
        "steps": [asdict(step) for step in request.steps],
        "images": dict(images),
        "buildkit": request.buildkit,
        "control": list(request.control),
        "limits": asdict(request.limits),
        "engine": engine.version,
        "network": os.environ.get(NETWORK, ""),
        # As digests: an address may hold a password.
        "proxies": {name: hashlib.sha256(value.encode()).hexdigest() for name, value in proxies().items()},
    }


def buildkit_client() -> tuple[str, ...] | None:
    """The words that begin a build by BuildKit: by the plug-in, or by a client that has it within."""
    for directory in os.get_exec_path():
        if program := shutil.which("docker", path=directory):
            if process.run([program, "buildx", "version"]).returncode == 0:
                return (program, "buildx", "build", "--load")
            words = process.run([program, "--version"]).stdout.split()
            with contextlib.suppress(InvalidVersion, IndexError):
                if Version(words[2].strip(",").partition("+")[0]) < FIRST_WITHOUT:
                    return (program, "build")
    return None


# --- the build context ----------------------------------------------------------------------------


def _write(archive: Path, request: Request, use: str) -> None:
    """The context as an archive: the same for the same files, but for the mark."""
    mark = " ".join(["LABEL", *(f'{name}="{value}"' for name, value in labels(use).items())])
    text = "".join(step.text or f"{mark}\n" for step in request.steps)
    with tarfile.open(archive, "w") as tar:
        _add(tar, request.dockerfile, text.encode(), executable=False)
        for name, path in sorted(request.files.items()):
            _add(tar, name, path.read_bytes(), executable=os.access(path, os.X_OK))


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, executable: bool) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o755 if executable else 0o644
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
