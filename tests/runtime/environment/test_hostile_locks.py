"""Locks that mean harm: none may lead out of the folder, hang, be told at length, or count as ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from grader.checks.project.lockfile import agrees, pinned
from grader.documents import Problem
from grader.errors import GraderFault, ToolMissing
from grader.exam.model import EnvironmentSpec
from grader.results import Verdict
from grader.runtime.cache import Cache
from grader.runtime.environment import build as environment
from grader.runtime.environment import plan, uv
from grader.runtime.environment.build import Environment, prepare
from grader.runtime.environment.plan import Plan, lock_plan
from grader.runtime.environment.wheels import WheelBuilder
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from tests.builders import decide, make_context, make_submission

if TYPE_CHECKING:
    from pathlib import Path

    from grader.context import Context

SIX = "six==1.16.0\n"
MB = 2**20
MAX_SAID = 2_000

LEFT_OUT = {
    "editable": "-e .\n-e /etc\n--editable=../x\n-e file:///etc\n-e ${HOME}\n",
    "editable from a repository": "-e git+ssh://git@127.0.0.1/x.git#egg=x\n-e git+file:///etc#egg=x\n",
    "repository": "git+file:///etc#egg=x\nx @ git+ssh://127.0.0.1/x\ny @ hg+http://127.0.0.1/y\n",
    "file URL": "file:///etc/passwd\nx @ file:///etc/passwd\nFILE:/etc/passwd\nx @ file://localhost/etc/x.whl\n",
    "variables": "x @ ${HOME}/x.whl\nx @ file://${HOME}/x\n${HOME}/x.whl\n-r ${HOME}/x\n~/x.whl\n",
    "other addresses": "x @ http://127.0.0.1:9/x.whl\nhttp://169.254.169.254/latest/x.whl\nftp://127.0.0.1/x\n",
    "included from the machine": "-r /etc/passwd\n--requirement=/etc/passwd\n-r file:///etc/passwd\n",
    "included from above": "-r ../../../../../../etc/passwd\n-r a/../../x\n-r ..\n-r .\n-r /\n",
    "included from elsewhere": "-r http://127.0.0.1:9/x\n-r ~/x\n-r a\0b\n",
    "included itself": "-r lock.txt\n-rlock.txt\n-r ./lock.txt\n",
    "path in a name": "../x==1\nx/../y==1\n/etc/passwd\n..==1\nC:\\x.whl\n\\\\host\\share\\x.whl\n",
    "zeros": "six\0==1\nsix; os_name == '\0'\n\0\n",
    "lines of other alphabets": "a; os_name == 'x\x0b-r /etc/passwd'\nb; os_name == 'x\u2028-r /x'\n",
    "brackets": "six" + "[" * 90_000 + "\nsix; " + "(" * 20_000 + "\n",
    "endless line": "six==1.16.0 " + "x" * (MB // 2) + "\n",
    "endless lines": "../etc/passwd\n" * 9_000,
    "poetry.lock": '[[package]]\nname = "x"\nversion = "1"\n[package.source]\nurl = "file:///etc/passwd"\n',
    "pdm.lock": '[[package]]\nname = "x"\npath = "/etc"\ngit = "file:///etc"\n',
    "uv.lock": 'version = 1\n[[package]]\nname = "x"\nsource = { path = "/etc" }\n',
    "Pipfile.lock": '{"default": {"x": {"path": "/etc", "version": "==1"}}}\n',
    "conda": "dependencies:\n  - pip:\n    - -r /etc/passwd\n",
}
"""No line of these may reach uv."""

PASSED_OVER = {
    "index": "--index-url http://127.0.0.1:9\n-i http://127.0.0.1:9\n--extra-index-url=file:///etc\n--no-index\n",
    "links": "--find-links file:///etc\n-f /etc\n--find-links=http://127.0.0.1:9/\n",
    "constraints": "-c /etc/passwd\n--constraint=file:///etc/passwd\n-c lock.txt\n-c ../../x\n",
    "settings": "--pre\n--trusted-host *\n--no-binary :all:\n--require-hashes\n--use-feature=fast-deps\n",
    "options of uv": "--python /bin/sh\n--config-file /etc/passwd\n--cache-dir /etc\n--keyring-provider x\n",
    "options after it": f"{SIX.strip()} --global-option=--x --config-settings=a=b -e /etc -r /etc/passwd\n",
    "script": "# /// script\n# [tool.uv]\n# index-url = 'http://127.0.0.1:9'\n# ///\n",
    "form feed": "six==1.16.0\x0c-r /etc/passwd\n",
    "hash in pieces": "six==1.16.0 \\\n--hash \\\n-r /etc/passwd\n",
    "hash without end": f"{SIX.strip()} --hash{' ' * 90_000}\n",
}
"""What of these is no requirement changes nothing."""

REFUSED = {
    "variable for a version": "six===${HOME}\n",
    "path for a version": "six===../../../etc/passwd\n",
    "address for a version": "six===file:///etc/passwd\n",
    "variable for a hash": "six==1.16.0 --hash=sha256:${HOME}\n",
    "path for a hash": "six==1.16.0 --hash=/etc/passwd\n",
    "option for a hash": "six==1.16.0 --hash=--index-url=http://127.0.0.1:9\n",
    "endless name": "x" * 90_000 + "==1\n",
    "endless version": "six==" + "9" * 90_000 + "\n",
    "endless epoch": "six==" + "9" * 4_000 + "!1\n",
    "endless local version": "six==1.16.0+" + "a." * 5_000 + "a\n",
}
"""These uv gets to see, and refuses."""

STRANGE = {
    "variable in a marker": "six==1.16.0; os_name != '${HOME}'\n",
    "quotes in a marker": "six==1.16.0; os_name != 'a\"b'\n",
    "endless marker": "six==1.16.0; " + " or ".join(["os_name == 'posix'"] * 3_000) + "\n",
    "endless extras": "six[" + ",".join(f"e{number}" for number in range(9_000)) + "]==1.16.0\n",
    "the same ever again": SIX * 9_000,
}
"""These install."""


def planned(root: Path, text: str | bytes, **more: str | bytes) -> Plan | Problem | None:
    spec = EnvironmentSpec(python="3.11", lock="lock.txt", fallback=root / "fallback.txt")
    return lock_plan(make_submission(root / "s", {"lock.txt": text, **more}), spec)


@pytest.mark.parametrize("text", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_nobody_else_could_install_is_left_out(tmp_path: Path, text: str) -> None:
    assert isinstance(planned(tmp_path, text), Problem)
    made = planned(tmp_path / "more", text + SIX)
    assert isinstance(made, Plan)
    assert [str(line.requirement) for line in made.lines] == [SIX.strip()]
    assert made.left_out
    assert len("; ".join(made.left_out)) < MAX_SAID
    assert "root:" not in "".join(made.left_out)


@pytest.mark.parametrize("text", PASSED_OVER.values(), ids=PASSED_OVER)
def test_options_choose_nothing(tmp_path: Path, text: str) -> None:
    made = planned(tmp_path, text + SIX)
    assert isinstance(made, Plan)
    assert {(str(line.requirement), line.hashes) for line in made.lines} <= {
        (SIX.strip(), ()),
        (SIX.strip(), ("-r",)),
    }
    assert made.left_out == ()


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(50)]
    each = "".join(f"-r {name}\n" for name in names) * 20
    made = planned(tmp_path, each + SIX, **dict.fromkeys(names, each))
    assert isinstance(made, Plan)
    assert len(made.lines) == 1
    assert len("; ".join(made.left_out)) < MAX_SAID


@pytest.mark.parametrize("link", ["/etc/passwd", "/dev/zero", "..", "lock.txt"])
def test_links_are_not_followed(tmp_path: Path, link: str) -> None:
    submission = make_submission(tmp_path / "s", {"lock.txt": f"-r other.txt\n{SIX}"})
    (submission.root / "other.txt").symlink_to(link)
    made = lock_plan(submission, EnvironmentSpec(python="3.11", lock="lock.txt", fallback=tmp_path / "no"))
    assert isinstance(made, Plan)
    assert made.left_out == ("lock.txt:1 is not a requirement: -r other.txt",)


@pytest.mark.parametrize(
    "text",
    [
        "six==1.16.0 " + "x" * 10 * MB,
        "--index-url " + " " * 10 * MB,
        "#" * 10 * MB,
        "".join(f"no-such-package-{number}==1\n" for number in range(100_000)),
        "".join(f"p{number}==1\n" for number in range(plan.MAX_PACKAGES + 1)),
        b"\xff\xfe" + SIX.encode("utf-16-le"),
        b"\x80",
        "",
        "\0",
    ],
    ids=["line", "option", "comment", "100,000", "too many", "utf-16", "bytes", "empty", "zero"],
)
def test_too_much_or_no_text_at_all_is_a_problem_with_the_lock(tmp_path: Path, text: str | bytes) -> None:
    made = planned(tmp_path, text)
    assert isinstance(made, Problem)
    assert len(made.message) < MAX_SAID


EVERY = {**LEFT_OUT, **PASSED_OVER, **REFUSED, **STRANGE}


@pytest.mark.parametrize("text", EVERY.values(), ids=EVERY)
def test_checks_of_the_text_find_something_or_nothing(tmp_path: Path, text: str) -> None:
    context: Context = make_context(tmp_path, {"lock.txt": text}, deliverables={"lock": "lock.txt"})
    outcomes = [
        decide(pinned, context, file="lock"),
        decide(agrees, context, file="lock", project="pyproject", packages=["six"]),
    ]
    for outcome in outcomes:
        assert outcome.verdict in (Verdict.PASSED, Verdict.FAILED)
        assert "root:" not in str(outcome.findings)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def prepared(root: Path, text: str, cache: Cache) -> Environment:
    (root / "fallback.txt").write_text("six==1.15.0\n")
    spec = EnvironmentSpec(python="3.11", lock="lock.txt", fallback=root / "fallback.txt")
    try:
        bwrap = find_bubblewrap()
    except ToolMissing as missing:
        pytest.skip(str(missing))
    return prepare(make_submission(root / "s", {"lock.txt": text}), spec, cache, bwrap)


@pytest.mark.slow
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_uv_refuses_tells_nothing_of_this_machine(
    tmp_path: Path, cache: Cache, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "kept-secret"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    made = prepared(tmp_path, text, cache)
    assert (made.source, made.installs, made.packages["six"]) == ("exam", False, "1.15.0")
    said = made.reason + made.log_tail
    assert "root:" not in said
    assert "kept-secret" not in said
    assert str(cache.root) not in said
    assert str(uv.find_interpreter("3.11")[0].path) not in said
    assert len(made.reason) < MAX_SAID


@pytest.mark.slow
@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_what_is_strange_installs_all_the_same(tmp_path: Path, cache: Cache, text: str) -> None:
    made = prepared(tmp_path, text, cache)
    assert (made.source, made.installs, made.packages["six"]) == ("lock", True, "1.16.0")


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending", ["sleep 60", "kill -ABRT $$", "kill -SEGV $$"], ids=["time", "abort", "fault"]
)
def test_a_uv_that_only_this_lock_brings_down_decides_nothing(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Here it is a program in uv's place that does so: no text that does is known."""
    import uv as package

    program = tmp_path / "uv"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *dependency*|*config-file*) {ending};; esac\n'
        f'exec {package.find_uv_bin()} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(package, "find_uv_bin", lambda: os.fspath(program))
    monkeypatch.setattr(uv, "_TIMEOUT", 20)
    made = prepared(tmp_path, "six==1.14.0\n", cache)
    assert (made.source, made.installs) == ("exam", None)
    assert "lock.txt cannot be installed: uv " in made.reason


@pytest.mark.slow
def test_packages_larger_than_a_disk_are_not_fetched(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "MAX_DOWNLOADED", 10_000)
    made = prepared(tmp_path, "six==1.12.0\n", cache)
    assert (made.source, made.installs) == ("exam", False)
    assert "larger than" in made.reason


def sources(number: int) -> list[uv.Package]:
    return [uv.Package(name=f"p{each}", version="1", has_wheel=False) for each in range(number)]


@pytest.mark.parametrize(("number", "seconds"), [(environment.MAX_BUILDS + 1, 900), (2, -1)])
def test_builds_without_end_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, seconds: int
) -> None:
    monkeypatch.setattr(environment, "MAX_BUILD_SECONDS", seconds)
    monkeypatch.setattr(WheelBuilder, "wheel", lambda *_: tmp_path / "x.whl")
    python, _ = uv.find_interpreter("3.11")
    made = planned(tmp_path, SIX)
    assert isinstance(made, Plan)
    build = environment._Build(made, python, Cache(tmp_path / "cache"), None)
    with pytest.raises(uv.NotBuilt):
        build._own_wheels(sources(number))


def test_a_uv_that_somebody_kills_is_not_the_locks_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uv as package

    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(package, "find_uv_bin", lambda: os.fspath(program))
    with pytest.raises(GraderFault, match="uv was stopped"):
        uv.resolve([SIX], uv.find_interpreter("3.11")[0])
