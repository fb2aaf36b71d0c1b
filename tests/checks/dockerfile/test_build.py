"""Real builds on a real engine, each small: what the base image brings is all there is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from grader.checks.dockerfile import build as reading
from grader.checks.dockerfile import checks
from grader.docker_engine import labels
from grader.results import Evidence, Outcome, Verdict
from grader.runtime.cache import VARIABLE
from grader.runtime.image_build import request as image_build
from grader.runtime.image_build.request import BuildLimits, buildkit_client
from tests.builders import decide, make_context
from tests.docker_engine import base_image, made_by_us, use_engine
from tests.runtime.sandbox.isolation import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import docker

    from grader.context import Context

pytestmark = pytest.mark.slow
FILES = {"requirements-lock.txt": "tiny==1.0\n", "src/train.py": "import tiny\n"}
BUILDS = {
    "file": "dockerfile",
    "images": ["nginx"],
    "keep": ["python"],
    "control": ["python", "-m", "pip", "download", "--quiet", "--dest", "/tmp/control", "tiny"],
}
HONEST = """
    # syntax is a word that comments may hold
    ARG TAG=3.11-slim
    FROM python:${TAG} AS builder
    WORKDIR /build
    COPY requirements-lock.txt .
    RUN pip install --no-cache-dir \\
        --prefix=/install -r requirements-lock.txt

    FROM python:$TAG
    WORKDIR /app
    COPY --from=builder /install /usr/local
    COPY src/ src/
    CMD ["python", "src/train.py"]
"""
MIB = 2**20


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[docker.DockerClient]:
    """An engine with the base image; nothing else is left on it."""
    client = use_engine(monkeypatch)
    base_image(client)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("GRADER_BUILD_NETWORK", "none")
    checks_tools_forget()
    yield client
    assert made_by_us(client) == []
    client.close()
    checks_tools_forget()


def checks_tools_forget() -> None:
    from grader import tools

    tools._engine.cache_clear()


def context(root: Path, text: str, *, runs: bool = True, files: Mapping[str, str] = FILES) -> Context:
    contents: dict[str, str | bytes] = {"Dockerfile.train": text, **files}
    return make_context(root, contents, deliverables={"dockerfile": "Dockerfile.train"}, runs=runs)


def built(root: Path, text: str, **parameters: object) -> Outcome:
    return decide(checks.builds, context(root, text), **{**BUILDS, **parameters})


def told(outcome: Outcome) -> tuple[Verdict, Evidence | None, str, str]:
    finding = outcome.findings[-1]
    return outcome.verdict, outcome.evidence, finding.message, finding.where


def test_an_honest_file_is_built(root: Path) -> None:
    assert built(root, HONEST) == Outcome(Verdict.PASSED, (), Evidence.RUNS)


def test_a_step_that_fails_is_named_with_its_line_and_output(root: Path) -> None:
    outcome = built(root, HONEST.replace("-r requirements-lock.txt", "-r requirements.txt"))
    verdict, evidence, message, where = told(outcome)
    assert (verdict, evidence, where) == (Verdict.FAILED, Evidence.RUNS, "Dockerfile.train:7")
    assert message.endswith("returned a non-zero code: 1")
    assert "Could not open requirements file" in outcome.findings[0].detail
    assert "grader" not in outcome.findings[0].detail


def test_what_is_not_in_the_context_is_not_copied(root: Path) -> None:
    ignoring = context(root, HONEST, files={**FILES, ".dockerignore": "src\n"})
    verdict, evidence, message, where = told(decide(checks.builds, ignoring, **BUILDS))
    assert (verdict, evidence, where) == (Verdict.FAILED, Evidence.RUNS, "Dockerfile.train:13")
    assert "COPY failed" in message


def test_a_stage_that_the_image_does_not_need_is_left_out(root: Path) -> None:
    text = HONEST.replace(
        "    FROM python:$TAG\n", "    FROM nowhere:1 AS test\n    RUN false\n\n    FROM python:$TAG\n"
    )
    assert built(root, text) == Outcome(Verdict.PASSED, (), Evidence.RUNS)


def test_a_base_image_that_cannot_be_had_is_nobodys_fault(root: Path) -> None:
    verdict, evidence, message, _ = told(built(root, "FROM localhost:1/nowhere:1\nRUN false\n"))
    assert (verdict, evidence) == (Verdict.PASSED, Evidence.STATIC)
    assert message.startswith(
        "the Dockerfile was only read, not built: the image localhost:1/nowhere:1 cannot"
    )


def test_a_network_that_is_not_there_is_nobodys_fault(root: Path) -> None:
    offline = ["python", "-c", "import sys; sys.exit('no route')"]
    verdict, evidence, message, _ = told(built(root, "FROM python:3.11-slim\nRUN false\n", control=offline))
    assert (verdict, evidence) == (Verdict.PASSED, Evidence.STATIC)
    assert message.endswith("build containers cannot reach what a build needs: no route")


def test_the_same_files_are_built_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "FROM python:3.11-slim\nCOPY src src\nRUN false\n"
    first = built(root, text)
    monkeypatch.delattr(image_build._Watcher, "build")
    assert built(root, text) == first
    changed = context(root, text, files={**FILES, "src/train.py": "changed"})
    with pytest.raises(AttributeError):
        decide(checks.builds, changed, **BUILDS)


def test_an_image_cannot_take_off_the_mark_by_which_it_is_removed(root: Path) -> None:
    """The fixture looks at what is left on the engine."""
    name = next(iter(labels("use")))
    text = f"FROM python:3.11-slim\nRUN echo x > /x\nLABEL {name}=a {name[:-4]}=b\nRUN echo y > /y\n"
    assert built(root, text).verdict is Verdict.PASSED
    assert built(root, text + "RUN false\n").verdict is Verdict.FAILED


def test_output_moves_no_cursor_and_tells_no_password(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:secret@127.0.0.1:9")
    step = "printf '\\033[2J\\033]0;x\\007'; env; echo $HTTPS_PROXY >&2; false"
    outcome = built(root, f"FROM python:3.11-slim\nRUN {step}\n")
    said = repr(outcome)
    assert (outcome.verdict, "\\x1b" in said, "secret" in said) == (Verdict.FAILED, False, False)


def test_nothing_is_built_where_nothing_may_run(root: Path) -> None:
    outcome = decide(checks.builds, context(root, "FROM python:3.11-slim\nRUN false\n", runs=False), **BUILDS)
    assert told(outcome)[:2] == (Verdict.PASSED, Evidence.STATIC)


def test_buildkit_builds_what_only_it_knows(root: Path) -> None:
    if buildkit_client() is None:
        pytest.skip("no docker client here speaks to BuildKit")
    text = """
        FROM python:3.11-slim AS builder
        RUN --mount=type=bind,source=requirements-lock.txt,target=/lock.txt \\
            pip install --prefix=/i -r /lock.txt
        FROM python:3.11-slim
        COPY --from=builder /i /usr/local
    """
    assert built(root, text) == Outcome(Verdict.PASSED, (), Evidence.RUNS)
    failed = built(root, text.replace("-r /lock.txt", "-r /other.txt"))
    assert told(failed)[:2] == (Verdict.FAILED, Evidence.RUNS)
    assert "Could not open requirements file" in failed.findings[0].detail


FORKS = "import os, time; [os.fork() for _ in range(9)]; time.sleep(600)"


@pytest.mark.parametrize(
    ("step", "limits", "words"),
    [
        ("yes", {"output_bytes": MIB}, "more than 1 MiB of output"),
        ("dd if=/dev/zero of=/big bs=1M count=400 && sleep 600", {"disk_bytes": 400 * MIB}, "GiB"),
        (f"python -c '{FORKS}'", {"threads": 250}, "more than 250 processes"),
        ("python -c 'bytearray(10**9)'", {"memory_bytes": 100 * MIB}, "non-zero code: 137"),
    ],
    ids=["output", "disk", "processes", "memory"],
)
def test_a_build_that_takes_too_much_is_ended(
    root: Path, monkeypatch: pytest.MonkeyPatch, step: str, limits: dict[str, int], words: str
) -> None:
    outcome = limited(monkeypatch, root, f"FROM python:3.11-slim\nRUN {step}\n", **limits)
    assert told(outcome)[:2] == (Verdict.FAILED, Evidence.RUNS)
    assert words in told(outcome)[2]


def test_time_decides_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = limited(monkeypatch, root, "FROM python:3.11-slim\nRUN sleep 600\n", wall_seconds=3)
    assert told(outcome)[:2] == (Verdict.PASSED, Evidence.STATIC)
    assert told(outcome)[2].endswith("the build was not done after 0.05 minutes")


def limited(monkeypatch: pytest.MonkeyPatch, root: Path, text: str, **limits: int) -> Outcome:
    small, whole = BuildLimits(**limits), reading.request
    monkeypatch.setattr(reading, "request", lambda *a, **k: replace(whole(*a, **k), limits=small))
    return built(root, text)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_build_ends_with_its_grader(
    root: Path, engine: docker.DockerClient, number: signal.Signals
) -> None:
    script = f"""
        import signal
        from pathlib import Path
        from tests.checks.dockerfile.test_build import built
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        built(Path({str(root)!r}), "FROM python:3.11-slim\\nRUN sleep 600\\n")
    """
    with subprocess.Popen([sys.executable, "-c", dedent(script)], stderr=subprocess.DEVNULL) as grader:
        try:
            assert eventually(engine.containers.list, 30)
            grader.send_signal(number)
            assert grader.wait(60) != 0
        finally:
            grader.kill()
    assert eventually(lambda: made_by_us(engine) == [], 30)
    time.sleep(0.5)
    assert made_by_us(engine) == []
