"""Wheels for packages that have none, built in a sandbox: building runs the package's own code."""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from grader.errors import GraderFault
from grader.files import Budget, open_tree
from grader.runtime.cache import Cache, outline
from grader.runtime.environment import uv
from grader.runtime.environment.build_sandbox import build_sandbox
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from grader.runtime.helpers.jail import Wall

BUILD_TOOLS = (
    "pip",
    "setuptools<81",
    "wheel",
    "hatchling",
    "poetry-core",
    "flit-core",
    "setuptools-scm",
    "cython",
)
"""What source packages of pure Python ask for; a build has no network to fetch more."""
_LARGEST = 200 * 2**20
_MAX_UNPACKED = 2**30
_MAX_FILES = 50_000
_CHUNK = 2**16
_LIMITS = Limits(
    cpu_seconds=600, wall_seconds=300, workspace_bytes=2**30, file_bytes=_LARGEST, scratch_bytes=2**30
)


class WheelBuilder:
    """Builds each source package once, by the hash of its archive."""

    def __init__(self, cache: Cache, python: uv.Interpreter, bwrap: Wall | None) -> None:
        self._cache = cache
        self._python = python
        self._bwrap = bwrap

    def wheel(self, package: uv.Package) -> Path:
        """The wheel of a package that the index has in source only.

        Raises:
            uv.NotBuilt: it does not build.
        """
        inputs = {**asdict(package), **self._tools_inputs()}
        entry = self._cache.get("wheels", inputs, lambda directory: self._build(package, directory))
        return next(entry.glob("*.whl"))

    def _build(self, package: uv.Package, directory: Path) -> None:
        name, content = self._run(package)
        try:
            _repack(content, directory / name)
        except _BROKEN as error:
            raise _not_built(package, f"its wheel cannot be used: {error}") from error

    def _run(self, package: uv.Package) -> tuple[str, bytes]:
        """Have the package build; the wheel that it leaves."""
        tools = self._tools()
        python = tools / "venv" / "bin" / "python"
        words = ("-I", "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", ".")
        with build_sandbox(self._bwrap) as sandbox:
            # What pip says of a file in its own directory tells nothing of this machine.
            source = package.sdist.rpartition("/")[2].partition("#")[0]
            _download(package, sandbox.workspace / source)
            readable = [self._python.path.parent.parent, tools]
            done = sandbox.run([python, *words, f"./{source}"], readable=readable, limits=_LIMITS)
            if not done.ok:
                raise _not_built(package, f"building it {done.describe()}\n{done.tail()}")
            # Whatever lies there now was put there by the package's own code.
            tree = open_tree(sandbox.workspace)
            built = [entry.path for entry in tree.walk(budget=Budget(entries=_MAX_FILES, depth=0))]
            wheels = [name for name in built if _is_wheel_of(name, package)]
            content = tree.read(wheels[0], _LARGEST) if len(wheels) == 1 else None
        if content is None:
            raise _not_built(package, "it leaves no wheel of its name and version, or one that is too large")
        return wheels[0], content

    def _tools(self) -> Path:
        return self._cache.get("builder", self._tools_inputs(), self._build_tools, outline)

    def _tools_inputs(self) -> dict[str, Any]:
        return {
            "tools": list(BUILD_TOOLS),
            "python": [self._python.version, str(self._python.path)],
            "index": uv.index_settings(),
        }

    def _build_tools(self, directory: Path) -> None:
        uv.make_environment(directory / "venv", self._python)
        try:
            uv.install(directory / "venv", uv.resolve(BUILD_TOOLS, self._python), self._python)
        except uv.Refused as refused:
            raise GraderFault(
                "the tools that build wheels cannot be installed", log_tail=refused.output
            ) from refused


def _download(package: uv.Package, path: Path) -> None:
    import httpx

    digest = hashlib.sha256()
    try:
        with (
            httpx.stream("GET", package.sdist, follow_redirects=True, timeout=60) as response,
            path.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                digest.update(chunk)
                if file.write(chunk) and file.tell() > _LARGEST:
                    raise uv.Refused(f"error: the source of {package.name} is too large")
    except httpx.HTTPError as error:
        raise GraderFault(f"the source of {package.name} cannot be downloaded: {error}") from error
    if package.sha256 and digest.hexdigest() != package.sha256:
        raise GraderFault(f"the source of {package.name} arrived damaged")


def _is_wheel_of(filename: str, package: uv.Package) -> bool:
    try:
        name, version = parse_wheel_filename(filename)[:2]
    except InvalidWheelFilename:
        return False
    return name == package.name and str(version) == package.version


def _not_built(package: uv.Package, why: str) -> uv.NotBuilt:
    return uv.NotBuilt(f"error: {package.name} {package.version} does not build\n{why}")


_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError, RuntimeError),
)
"""What reading an archive of a stranger's ends with."""


def _repack(content: bytes, target: Path) -> None:
    """Write a wheel anew: what an archive says of its sizes need not be what unpacking it gives.

    Raises:
        ValueError: it is too much, or one of `_BROKEN` where it is no archive.
    """
    left = _MAX_UNPACKED
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "x") as new:
        members = [member for member in old.infolist() if not member.is_dir()]
        if len(members) > _MAX_FILES or len({member.filename for member in members}) < len(members):
            raise ValueError("it has too many files, or two of a name")
        for member in members:
            copy = zipfile.ZipInfo(member.filename, member.date_time)
            copy.external_attr, copy.compress_type = member.external_attr, zipfile.ZIP_DEFLATED
            with old.open(member) as data, new.open(copy, "w") as place:
                while chunk := data.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise ValueError("it is too large")
                    place.write(chunk)
