from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.errors import ToolMissing
from grader.runtime.cache import Cache
from grader.runtime.environment import uv, wheels
from grader.runtime.environment.wheels import WheelBuilder, _repack
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = uv.Package(
    name="hostile", version="1.0", has_wheel=False, sdist="https://example.invalid/hostile-1.0.zip"
)
SETUP = """\
import os
from setuptools import setup
out = os.readlink(f"/proc/{os.getppid()}/cwd")
CODE
setup(name="hostile", version="1.0", py_modules=[])
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=["bubblewrap", "none"])
def wall(request: pytest.FixtureRequest) -> Path | None:
    if request.param == "none":
        return None
    try:
        return find_bubblewrap()
    except ToolMissing as missing:
        pytest.skip(str(missing))


def build(cache: Cache, wall: Path | None, code: str, patch: pytest.MonkeyPatch) -> Path:
    """The wheel of a package whose build runs `code`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("hostile-1.0/setup.py", SETUP.replace("CODE", code))
    patch.setattr(wheels, "_download", lambda _, path: path.write_bytes(content.getvalue()))
    python, _ = uv.find_interpreter("3.11")
    package = replace(PACKAGE, sha256=f"{abs(hash((code, wall))):x}")  # each has an entry of its own
    return WheelBuilder(cache, python, wall).wheel(package)


@pytest.mark.slow
def test_only_a_regular_file_is_a_wheel(
    cache: Cache, wall: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
name = out + "/hostile-1.0-py3-none-{}.whl"
if not os.path.exists(out + "/inner"):  # it is run several times
    os.symlink("/etc/passwd", name.format("linux_x86_64"))
    os.mkfifo(name.format("win32"))
    os.mkdir(name.format("win_amd64"))
    os.mkdir(out + "/inner")
    open(out + "/inner/hostile-1.0-py3-none-linux_armv7l.whl", "w").close()
    open(out + "/other-1.0-py3-none-any.whl", "w").close()
    open(out + "/hostile-2.0-py3-none-any.whl", "w").close()
"""
    wheel = build(cache, wall, code, monkeypatch)
    assert wheel.name == "hostile-1.0-py3-none-any.whl"
    assert sorted(path.name for path in wheel.parent.iterdir()) == [".complete", wheel.name]
    with zipfile.ZipFile(wheel) as archive:
        assert "hostile-1.0.dist-info/METADATA" in archive.namelist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("open(out + '/hostile-1.0-py2-none-any.whl', 'w').close()", {}, "leaves no wheel of its name"),
        ("for n in range(300): open(f'{out}/{n}', 'w').write('x' * 2**20)", {}, "disk limit"),
        ("for n in range(10**6): open(f'{out}/{n}', 'w').close()", {}, "disk limit"),
        ("x = [bytearray(2**20) for _ in range(10**6)]", {"memory_bytes": 2**28}, "does not build"),
        ("while True: pass", {"cpu_seconds": 2}, "CPU limit"),
        ("raise SystemExit('\\x1b[31mno')", {}, "ended with status 1"),
    ],
    ids=["two wheels", "bytes", "files", "memory", "time", "fails"],
)
def test_a_build_that_takes_too_much_makes_no_wheel(
    cache: Cache,
    wall: Path | None,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    limits: dict[str, float],
    why: str,
) -> None:
    bounds = Limits(workspace_bytes=100 * 2**20, workspace_files=10_000, wall_seconds=60)
    monkeypatch.setattr(wheels, "_LIMITS", replace(bounds, **limits))  # type: ignore[arg-type]
    with pytest.raises(uv.NotBuilt) as caught:
        build(cache, wall, code, monkeypatch)
    assert why in caught.value.output
    assert "\x1b" not in caught.value.output
    assert str(cache.root) not in caught.value.output


def archive_of(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def test_a_wheel_is_the_same_when_it_is_written_anew(tmp_path: Path) -> None:
    members = {"a.py": b"x = 1\n", "a-1.0.dist-info/RECORD": b"", "b/c.txt": b"c" * 10**6}
    _repack(archive_of(*members.items(), ("d/", b"")), tmp_path / "new.whl")
    with zipfile.ZipFile(tmp_path / "new.whl") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


def lying(size: int) -> bytes:
    """An archive whose file unpacks to a mebibyte, and says that it has `size` bytes."""
    true, said = (2**20).to_bytes(4, "little"), size.to_bytes(4, "little")
    content = archive_of(("a", b"\0" * 2**20))
    assert content.count(true) == 2
    return content.replace(true, said)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4" + b"\0" * 100,
        archive_of(("a", b"x" * 100))[:-30],
        archive_of(("a", b"x" * 100)).replace(b"\x00\x00\x08\x00", b"\x01\x00\x08\x00"),  # a password
        archive_of(("a", b"x" * 100)).replace(b"\x08\x00", b"\x63\x00"),  # a method that nobody knows
        archive_of(("a", b"\0" * (2**20 + 1))),
        lying(10),
    ],
    ids=["empty", "header", "cut", "password", "method", "too large", "says less"],
)
def test_what_is_no_wheel_is_never_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(wheels, "_MAX_UNPACKED", 2**20)
    with pytest.raises(wheels._BROKEN):
        _repack(content, tmp_path / "new.whl")


def test_what_an_archive_says_of_its_size_is_not_handed_on(tmp_path: Path) -> None:
    _repack(lying(2**32 - 2), tmp_path / "new.whl")
    with zipfile.ZipFile(tmp_path / "new.whl") as archive:
        assert [member.file_size for member in archive.infolist()] == [2**20]


def test_two_files_of_a_name_or_too_many_are_no_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = archive_of(("a", b""), ("a", b"x"))
    with pytest.raises(ValueError, match="two of a name"):
        _repack(twice, tmp_path / "new.whl")
    monkeypatch.setattr(wheels, "_MAX_FILES", 2)
    with pytest.raises(ValueError, match="too many"):
        _repack(archive_of(*((str(number), b"") for number in range(3))), tmp_path / "many.whl")
