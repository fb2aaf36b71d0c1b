from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.project.lockfile import agrees, complete, pinned
from grader.results import Finding, Outcome, Verdict, failed, passed
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.context import Context

PACKAGES = ["pandas", "scikit-learn"]
PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["pandas>=2.1,<3", "scikit_learn~=1.3"]\n'


def lock(root: Path, text: str | bytes, project: str | None = PROJECT, **fields: Any) -> Context:
    files: dict[str, str | bytes] = {"requirements-lock.txt": text}
    deliverables = {"lock": "requirements-lock.txt"}
    if project is not None:
        files["pyproject.toml"] = project
        deliverables["pyproject"] = "pyproject.toml"
    return make_context(root, files, deliverables=deliverables, **fields)


def fits(context: Context) -> Outcome:
    return decide(agrees, context, file="lock", project="pyproject", packages=PACKAGES)


LOOSE = {
    "range": "pandas>=2.1",
    "bare": "pandas",
    "wildcard": "pandas==2.*",
    "two bounds": "pandas>=2.1,<3",
    "nothing but itself": "-e .",
    "editable elsewhere": "-e ../other",
    "editable file": "-e file:///home/jo/exam",
    "file URL": "exam @ file:///home/jo/exam",
    "folder": "./vendor/thing",
    "git": "thing @ git+https://example.org/thing@0123abc",
    "nonsense": "==2.1 pandas",
    "empty": "",
    "comments only": "# pandas==2.2.0\n",
    "one loose among pinned": "numpy==1.26.4\npandas\n",
}


@pytest.mark.parametrize("text", LOOSE.values(), ids=LOOSE)
def test_not_pinned(tmp_path: Path, text: str) -> None:
    assert decide(pinned, lock(tmp_path, text), file="lock").verdict is Verdict.FAILED


PINNED = {
    "plain": "pandas==2.2.0\nscikit-learn==1.5.0\n",
    "arbitrary": "pandas===2.2.0",
    "hashes": "pandas==2.2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nnumpy==1.26.4\n",
    "markers": "pandas==2.2.0 ; python_version >= '3.9'\npandas==1.5.3 ; python_version < '3.9'",
    "options": "--index-url https://example.org/index\n--no-binary :none:\npandas==2.2.0  # via x",
    "extras": "dvc[s3]==3.50.0",
    "the project itself": "-e .\npandas==2.2.0",
    "local version": "torch==2.3.0+cpu",
    "byte order mark": "\ufeffpandas==2.2.0\r\nnumpy==1.26.4\r\n",
}


@pytest.mark.parametrize("text", PINNED.values(), ids=PINNED)
def test_pinned(tmp_path: Path, text: str) -> None:
    assert decide(pinned, lock(tmp_path, text), file="lock") == passed()


def test_the_finding_names_the_line(tmp_path: Path) -> None:
    text = "# made by hand\npandas==2.2.0\n-e file:///home/jo/exam\n"
    assert decide(pinned, lock(tmp_path, text), file="lock") == failed(
        Finding(
            message="a local path, which no other machine has",
            expected="name==version",
            actual="-e file:///home/jo/exam",
            where="requirements-lock.txt:3",
        )
    )


def test_many_loose_lines_are_not_all_listed(tmp_path: Path) -> None:
    outcome = decide(pinned, lock(tmp_path, "\n".join(f"p{n}" for n in range(50))), file="lock")
    assert len(outcome.findings) == 6
    assert outcome.findings[-1].message == "and 45 more like these"


def test_inside_the_ranges(tmp_path: Path) -> None:
    assert fits(lock(tmp_path, "pandas==2.2.0\nscikit_learn==1.5.0\n")) == passed()


@pytest.mark.parametrize(
    "text",
    [
        "pandas==2.2.0",
        "pandas==2.0.3\nscikit-learn==1.5.0",
        "pandas==3.0.0\nscikit-learn==1.5.0",
        "pandas>=2.2\nscikit-learn==1.5.0",
        "pandas==2.2.0; sys_platform == 'win32'\nscikit-learn==1.5.0",
        "pandas==2.*\nscikit-learn==1.5.0",
        "pandas===newest\nscikit-learn==1.5.0",
    ],
)
def test_outside_the_ranges(tmp_path: Path, text: str) -> None:
    assert fits(lock(tmp_path, text)).verdict is Verdict.FAILED


def test_pins_for_other_platforms_say_nothing(tmp_path: Path) -> None:
    text = (
        "pandas==2.2.0; python_version >= '3.9'\npandas==1.5.3; python_version < '3.9'\nscikit-learn==1.5.0\n"
    )
    assert fits(lock(tmp_path, text)) == passed()


@pytest.mark.parametrize("project", [None, "not toml", '[project]\nname = "x"\nversion = "1"\n'])
def test_where_the_project_gives_no_range_presence_decides(tmp_path: Path, project: str | None) -> None:
    assert fits(lock(tmp_path, "pandas==1.0\nscikit-learn==0.9\n", project)) == passed()
    assert fits(lock(tmp_path, "pandas==1.0\n", project)).verdict is Verdict.FAILED


@pytest.mark.parametrize("text", [b"\xff\x00\x80", b"\x00" * 5000, "[" * 5000, "pandas==" + "9" * 5000])
def test_hostile_content_is_no_crash(tmp_path: Path, text: str | bytes) -> None:
    context = lock(tmp_path, text)
    decide(pinned, context, file="lock")
    assert fits(context).verdict is Verdict.FAILED


def test_missing_file(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    assert decide(pinned, context, file="lock").verdict is Verdict.FAILED
    assert fits(context).verdict is Verdict.FAILED
    assert decide(complete, context, file="lock").verdict is Verdict.FAILED


def installed(root: Path, **facts: Any) -> Outcome:
    environment = SimpleNamespace(
        **{"installs": True, "missing": (), "reason": "", "log_tail": "", "source": "lock", **facts}
    )
    context = lock(root, "pandas==2.2.0", runtime=SimpleNamespace(environment=environment))
    return decide(complete, context, file="lock")


def test_complete(tmp_path: Path) -> None:
    assert installed(tmp_path) == passed()


def test_incomplete(tmp_path: Path) -> None:
    missing = "numpy>=1.26 (needed by pandas 2.2.0)"
    assert installed(tmp_path, missing=(missing,)) == failed(
        Finding(message=f"{missing} is missing", where="requirements-lock.txt")
    )


def test_does_not_install(tmp_path: Path) -> None:
    outcome = installed(tmp_path, installs=False, reason="uv found no version of pandas", log_tail="x")
    assert outcome.verdict is Verdict.FAILED
    assert outcome.findings[0].message == "uv found no version of pandas"


def test_not_tried(tmp_path: Path) -> None:
    assert installed(tmp_path, installs=None, reason="no network").verdict is Verdict.UNVERIFIED
    assert decide(complete, lock(tmp_path, "pandas==2.2.0"), file="lock").verdict is Verdict.UNVERIFIED
