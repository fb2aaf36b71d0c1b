"""With small real packages from the index: most of these install something."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from grader.errors import GraderFault, ToolMissing
from grader.exam.model import EnvironmentSpec
from grader.runtime.cache import Cache
from grader.runtime.environment import uv
from grader.runtime.environment.build import Environment, prepare
from grader.runtime.environment.installed import USUAL
from grader.runtime.environment.wheels import WheelBuilder
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from tests.builders import make_submission

pytestmark = pytest.mark.slow
SIX = "six==1.16.0"
ZIPP_HASH = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def spec(tmp_path: Path) -> EnvironmentSpec:
    fallback = tmp_path / "fallback.txt"
    fallback.write_text("six==1.15.0\nidna==3.7\n")
    return EnvironmentSpec(python="3.11", lock="lock.txt", fallback=fallback)


@pytest.fixture(scope="module")
def bwrap() -> Path | None:
    try:
        return find_bubblewrap()
    except ToolMissing:
        return None


def prepared(
    root: Path, lock: str | None, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> Environment:
    files: dict[str, str | bytes] = {} if lock is None else {"lock.txt": lock}
    return prepare(make_submission(root / "s", files), spec, cache, bwrap)


@pytest.mark.parametrize(
    ("lock", "installs", "why"),
    [
        (None, None, "there is no lock.txt"),
        ("six==99.0\n", False, "six==99.0"),
        ("six==1.16.0\nsix==1.15.0\n", False, "six==1.16.0"),
        ("no-such-package-at-all-zz==1\n", False, "was not found"),
        (f"zipp==3.19.2 --hash={ZIPP_HASH}\n", False, "ash"),
    ],
)
def test_the_exams_environment_serves_where_the_lock_does_not(
    tmp_path: Path,
    spec: EnvironmentSpec,
    cache: Cache,
    bwrap: Path | None,
    lock: str | None,
    installs: bool | None,
    why: str,
) -> None:
    made = prepared(tmp_path, lock, spec, cache, bwrap)
    assert (made.source, made.installs, made.packages["six"]) == ("exam", installs, "1.15.0")
    assert why in made.reason
    assert "the exam's own environment was used" in made.reason


def test_the_exams_environment_serves_where_nothing_imports(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> None:
    """A lock may install and yet be of no use to any program: that is no matter of every other task."""
    spec = replace(spec, imports=("six", "idna"))
    environment = prepared(tmp_path, f"{SIX}\n", spec, cache, bwrap)
    assert (environment.source, environment.installs) == ("exam", False)
    assert environment.reason == (
        "lock.txt gives an environment in which `import six, idna` fails: "
        "ModuleNotFoundError: No module named 'idna'; the exam's own environment was used"
    )
    assert "Traceback" in environment.log_tail
    assert (environment.packages["six"], environment.packages["idna"]) == ("1.15.0", "3.7")
    whole = prepared(tmp_path / "whole", f"{SIX}\nidna==3.7\n", spec, cache, bwrap)
    assert (whole.source, whole.installs, whole.reason) == ("lock", True, "")


def test_an_index_that_does_not_answer_is_no_fault_of_the_candidate(
    tmp_path: Path, spec: EnvironmentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/index")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(GraderFault, match="cannot be reached"):
        prepared(tmp_path, SIX, spec, Cache(tmp_path / "cache"), None)


def test_the_exams_own_lock_must_install(tmp_path: Path, spec: EnvironmentSpec, cache: Cache) -> None:
    (tmp_path / "wrong.txt").write_text("six==99.0\n")
    spec = replace(spec, fallback=tmp_path / "wrong.txt")
    with pytest.raises(GraderFault, match="own lock cannot"):
        prepared(tmp_path, None, spec, cache, None)
    with pytest.raises(GraderFault, match="missing"):
        prepared(tmp_path, None, replace(spec, fallback=tmp_path / "none"), cache, None)


def test_an_exam_may_need_no_package(tmp_path: Path, cache: Cache, bwrap: Path | None) -> None:
    made = prepared(tmp_path, f"{SIX}\n", EnvironmentSpec(), cache, bwrap)
    assert (made.source, made.reason, made.installs, made.broken) == ("exam", "", None, "")
    assert set(made.packages) == {*USUAL, "packaging"}  # which wheel requires


def test_a_lock_with_hashes_is_built_once(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> None:
    digest = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
    lock = f"six==1.16.0 \\\n    --hash=sha256:{digest}\n"
    made = prepared(tmp_path, lock, spec, cache, bwrap)
    assert (made.source, made.installs, made.missing, made.reason) == ("lock", True, (), "")
    assert made.packages["six"] == "1.16.0"
    assert list(made.root.glob("lib/*/site-packages/__pycache__/six.*.pyc"))
    built = made.root.stat().st_ino
    assert prepared(tmp_path, lock, spec, cache, bwrap) == made
    assert made.root.stat().st_ino == built


def test_what_one_lock_has_besides_is_not_told_of_another(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache
) -> None:
    text = "six==1.13.0\n"
    first = prepared(tmp_path, f"{text}-e file:///me/project\n", spec, cache, None)
    second = prepared(tmp_path, text, spec, cache, None)
    assert (first.root, first.installs) == (second.root, False)
    assert (second.installs, second.reason) == (True, "")


def test_a_broken_environment_is_built_again(tmp_path: Path, spec: EnvironmentSpec, cache: Cache) -> None:
    lock = "six==1.14.0\n"
    made = prepared(tmp_path, lock, spec, cache, None)
    made.python.unlink()
    assert prepared(tmp_path, lock, spec, cache, None).python.exists()


def test_what_a_lock_forgot_is_said_and_installed_in_the_exams_version(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> None:
    made = prepared(tmp_path, "requests==2.32.3\n-e file:///me/project\n", spec, cache, bwrap)
    assert made.source == "lock"
    assert made.installs is False
    assert made.reason.startswith("lock.txt:2 installs from a path")
    assert "idna<4,>=2.5 (needed by requests 2.32.3)" in made.missing
    assert made.packages["idna"] == "3.7"


def test_what_the_exam_adds_gives_way_to_the_lock(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> None:
    provides = {
        "requests": {"requirement": "requests>=2.30"},
        "python-dateutil": {"requirement": "python-dateutil"},
    }
    lock = "idna==2.0\n"  # too old for any such requests
    made = prepared(tmp_path, lock, replace(spec, provides=provides), cache, bwrap)
    assert (made.source, made.packages["idna"], made.installs, made.missing) == ("lock", "2.0", True, ())
    assert "python-dateutil" in made.packages
    assert "requests>=2.30 cannot be added" in made.reason


def test_a_package_without_a_wheel_is_built_behind_a_wall(
    tmp_path: Path, spec: EnvironmentSpec, cache: Cache, bwrap: Path | None
) -> None:
    digest = "f224469b4168294902bb1efa80a8bf7855f24c99aef99cbefc1bcd3cce77881b"
    lock = f"antlr4-python3-runtime==4.9.3 --hash=sha256:{digest}\n"
    made = prepared(tmp_path, lock, spec, cache, bwrap)
    assert (made.source, made.installs) == ("lock", True)
    assert made.packages["antlr4-python3-runtime"] == "4.9.3"


HOSTILE = """\
import pathlib, socket
from setuptools import setup
seen = []
for path in {paths!r}:
    try:
        pathlib.Path(path, "owned").write_text("x")
        seen.append(path)
    except OSError:
        pass
try:
    socket.create_connection(("1.1.1.1", 53), timeout=2)
    seen.append("network")
except OSError:
    pass
setup(name="hostile", version="1.0", description=repr(seen), py_modules=[])
"""


def test_a_build_reaches_nothing_but_its_own_directory(
    tmp_path: Path, cache: Cache, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bwrap is None:
        pytest.skip("no isolation on this machine")
    source = tmp_path / "hostile-1.0.zip"
    paths = [str(Path.cwd()), str(cache.root), "/usr/bin", "/etc", str(tmp_path)]
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("hostile-1.0/setup.py", HOSTILE.format(paths=paths))
    monkeypatch.setattr(
        "grader.runtime.environment.wheels._download", lambda _, path: path.write_bytes(source.read_bytes())
    )
    python, _ = uv.find_interpreter("3.11")
    package = uv.Package(
        name="hostile", version="1.0", has_wheel=False, sdist="https://example.invalid/hostile-1.0.zip"
    )
    wheel = WheelBuilder(cache, python, bwrap).wheel(package)
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("hostile-1.0.dist-info/METADATA").decode()
    assert "network" not in metadata
    assert not [path for path in paths if Path(path, "owned").exists()]


def test_what_does_not_build_may_build_elsewhere(
    tmp_path: Path, cache: Cache, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "grader.runtime.environment.wheels._download", lambda _, path: path.write_bytes(b"no archive")
    )
    python, _ = uv.find_interpreter("3.11")
    package = uv.Package(name="x", version="1", has_wheel=False, sdist="https://example.invalid/x-1.tar.gz")
    with pytest.raises(uv.NotBuilt, match="x 1 does not build"):
        WheelBuilder(cache, python, bwrap).wheel(package)


def test_installing_starts_nothing_of_what_is_installed(tmp_path: Path, bwrap: Path | None) -> None:
    """A wheel may hold a `.pth` file, which runs as soon as the environment's interpreter starts."""
    wheel = tmp_path / "evil-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("evil.pth", f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
        archive.writestr("evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        archive.writestr(
            "evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("evil-1.0.dist-info/RECORD", "")
    python, _ = uv.find_interpreter("3.11")
    root = tmp_path / "venv"
    uv.make_environment(root, python)
    uv.install(root, [f"evil @ {wheel.as_uri()}"], python)
    uv.compile_bytecode(root, python, bwrap)
    assert list(root.glob("lib/*/site-packages/evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_uvs_complaint_is_cut_to_its_cause() -> None:
    output = "error: No solution\n  cause: Because there is no version of six==9, nothing works.\n\nhint: x\n"
    assert str(uv.Refused(output)) == "Because there is no version of six==9, nothing works."
    assert str(uv.Refused("")) == "uv gave no reason"
    assert str(uv.Refused("error: hash mismatch\n")) == "hash mismatch"
