"""Wheels of packages that have none, built behind a wall: building runs the package's own code."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from grader import process
from grader.errors import GraderFault
from grader.runtime import uv
from grader.runtime.cache import Cache, outline
from grader.runtime.jail import Wall, jailed

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
_TIMEOUT = 300


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
        source = directory / package.sdist.rpartition("/")[2].partition("#")[0]
        _download(package, source)
        out = directory / "out"
        out.mkdir()
        tools = self._tools()
        words: list[str | Path] = [
            *("-I", "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation"),
            "-w",
            out,
            source,
        ]
        argv = jailed(
            [tools / "venv" / "bin" / "python", *words],
            bwrap=self._bwrap,
            readable=[self._python.path.parent.parent, tools, source],
            writable=[out],
        )
        done = process.run(argv, timeout=_TIMEOUT)
        built = [path for path in out.iterdir() if _is_wheel_of(path, package)]
        if done.returncode != 0 or len(built) != 1:
            raise uv.NotBuilt(
                f"error: {package.name} {package.version} does not build\n{done.output[-4000:]}"
            )
        built[0].rename(directory / built[0].name)
        source.unlink()

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
                "the tools to build wheels cannot be installed", log_tail=refused.output
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


def _is_wheel_of(path: Path, package: uv.Package) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        name, version = parse_wheel_filename(path.name)[:2]
    except InvalidWheelFilename:
        return False
    return name == package.name and str(version) == package.version
