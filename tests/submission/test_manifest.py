"""What a candidate's submission.yaml may say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.exam.model import Deliverable
from grader.results import Finding
from grader.submission.manifest import read_manifest
from grader.submission.model import Manifest
from tests.builders import make_submission
from tests.exams import exam_of

if TYPE_CHECKING:
    from pathlib import Path

EXAM = exam_of(Deliverable(id="query", path=""), Deliverable(id="drift", path="src/detect_drift.py"))


def read(
    root: Path, content: str | bytes, name: str = "submission.yaml"
) -> tuple[Manifest, tuple[Finding, ...]]:
    return read_manifest(make_submission(root, {name: content, "scripts/q.py": ""}), EXAM)


REFUSED = {
    "paths: [a]\n": ("paths: ['a'] is not of type 'object'", 1),
    "path: {query: scripts/q.py}\n": ("path: unknown key 'path'; did you mean 'paths'?", 1),
    "paths:\n  qeury: scripts/q.py\n": (
        "paths.qeury: unknown deliverable 'qeury'; did you mean 'query'?",
        2,
    ),
    "paths: {query: nowhere.py}\n": ("paths.query: there is no file nowhere.py", 1),
    "paths: {query: ../scripts/q.py}\n": ("paths.query: there is no file ../scripts/q.py", 1),
    "paths: {query: /etc/passwd}\n": ("paths.query: there is no file /etc/passwd", 1),
    "paths: {1: scripts/q.py}\n": ("paths[1]: a key must be a string; put it in quotes", 1),
    "commands: {drift: 'python \"x'}\n": ("commands.drift: not a command line", 1),
    "commands: {drift: [python, 3]}\n": ("commands.drift[1]: 3 is not of type 'string'", 1),
    "environment: {A-B: x}\n": ("environment: 'A-B' does not match '^[A-Za-z_][A-Za-z0-9_]*$'", 1),
    "environment: {A: [x]}\n": ("environment.A: ['x'] is not of type 'string', 'number', 'boolean'", 1),
}


@pytest.mark.parametrize("content", REFUSED)
def test_a_manifest_that_is_not_valid_is_ignored_with_a_remark(content: str, tmp_path: Path) -> None:
    message, line = REFUSED[content]
    assert read(tmp_path, content) == (
        Manifest(),
        (Finding(message=f"the manifest is ignored: {message}", where=f"submission.yaml:{line}"),),
    )


@pytest.mark.parametrize(
    "content", ["- a\n", "x\n", "3\n", "a: b\n---\nc: d\n", "a: [\n", b"\xff\xfe", "a: &a [*a]\n"]
)
def test_what_is_no_mapping_is_ignored(content: str | bytes, tmp_path: Path) -> None:
    manifest, (remark,) = read(tmp_path, content)
    assert manifest == Manifest()
    assert remark.message.startswith("the manifest is ignored: ")


@pytest.mark.parametrize("content", ["", "# nothing\n", "{}\n"])
def test_an_empty_manifest_says_nothing(content: str, tmp_path: Path) -> None:
    assert read(tmp_path, content) == (Manifest(), ())


@pytest.mark.parametrize("name", ["submission.yaml", "submission.yml"])
def test_paths_commands_and_variables(name: str, tmp_path: Path) -> None:
    content = """\
        paths: {query: ./scripts/q.py}
        commands:
          query: python "scripts/q.py" --top 3
          drift: [python, -m, src.detect_drift]
        environment: {THRESHOLD: 0.5, DEBUG: true, NAME: x}
        """
    assert read(tmp_path, content, name) == (
        Manifest(
            paths={"query": "scripts/q.py"},
            commands={
                "query": ("python", "scripts/q.py", "--top", "3"),
                "drift": ("python", "-m", "src.detect_drift"),
            },
            environment={"THRESHOLD": "0.5", "DEBUG": "true", "NAME": "x"},
        ),
        (),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH"),
        *("BASH_ENV", "BASH_FUNC_echo", "SHELLOPTS", "IFS", "PS4", "PATH", "HOME", "TMPDIR", "PWD"),
        *("MAKEFLAGS", "MAKEFILES", "MFLAGS", "GRADER_CACHE_DIR", "GIT_DIR", "GIT_CONFIG_COUNT"),
        *("GIT_PYTHON_GIT_EXECUTABLE", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF"),
        *("PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONINSPECT", "PYTHONHASHSEED"),
        *("PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONBREAKPOINT", "PYTHONMALLOC"),
    ],
)
def test_a_variable_that_tools_obey_is_left_out_with_a_remark(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"environment:\n  A: x\n  {name}: /x\n") == (
        Manifest(environment={"A": "x"}),
        (
            Finding(
                message=f"environment.{name}: the variable is left out, "
                "because it would change the tools that run your commands",
                where="submission.yaml:3",
            ),
        ),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE"),
        *("ENV", "MODEL_PATH", "MLFLOW_TRACKING_URI", "AWS_ACCESS_KEY_ID", "GIT_PYTHON_REFRESH", "TZ"),
        *("OMP_NUM_THREADS", "user", "path", "HOMEPAGE", "PATHS"),
    ],
)
def test_variables_of_programs_are_theirs_to_set(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"environment: {{{name}: x}}\n") == (Manifest(environment={name: "x"}), ())


@pytest.mark.parametrize(
    "content",
    [
        'environment: {A: "a\\0b"}\n',
        f"environment: {{A: {'x' * 10_001}}}\n",
        f"environment: {{A: 1{'0' * 200}}}\n",
        f"environment: {{{'A' * 201}: x}}\n",
        "environment:\n" + "".join(f"  A{number}: x\n" for number in range(101)),
        'commands: {drift: ["a\\0b"]}\n',
        'commands: {drift: "a\\0b"}\n',
        f"commands: {{drift: {'x' * 10_001}}}\n",
    ],
)
def test_names_and_values_are_bounded(content: str, tmp_path: Path) -> None:
    manifest, (remark,) = read(tmp_path, content)
    assert manifest == Manifest()
    assert remark.message.startswith("the manifest is ignored: ")
    assert len(remark.message) < 500
