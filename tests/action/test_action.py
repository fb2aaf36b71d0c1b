"""The action, played on submissions that pass, fail, stay open and attack."""

from __future__ import annotations

import json
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.action.conftest import REFERENCE
from tests.action.runner import Command, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.action.conftest import Job

REPORTS = ["grade.html", "grade.json", "grade.md", "grade.xml"]
STATIC = {"static": "true"}
COMMANDS = (
    "::set-output name=score::110\n::add-path::/evil\n##[add-path]/evil\n::stop-commands::x\n::error::forged"
)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def line_of(path: Path, text: str) -> str:
    return next(str(number) for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def verdict(outcome_outputs: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in outcome_outputs.items() if name != "reports"}


def test_a_submission_that_passes(job: Job) -> None:
    job.submit()
    outcome = job.run(task="1.3,4.2", **STATIC)
    assert verdict(outcome.outputs) == {
        "score": "13",
        "maximum": "13",
        "passed": "true",
        "complete": "true",
        "exit-code": "0",
    }
    assert [(each.name, each.data) for each in outcome.annotations] == [
        ("notice", "13 / 13 points, passed (pass mark 9.1)")
    ]
    assert not outcome.failed
    assert outcome.summary.startswith("> **Feedback, not a mark.**")
    assert {name: sorted(files) for name, files in job.artifacts.items()} == {"grade": REPORTS}
    assert json.loads(job.artifacts["grade"]["grade.json"])["score"]["earned"] == 13


def test_a_submission_that_fails_is_annotated_where_it_lost(job: Job) -> None:
    manifest = job.submit("answers/jane") / "k8s" / "deployment.yaml"
    edit(manifest, "replicas: 3", "replicas: 2")
    outcome = job.run(task="4.2", submission="answers/jane", fail_under="8", mode="marks", **STATIC)
    assert verdict(outcome.outputs) == {
        "score": "7",
        "maximum": "8",
        "passed": "false",
        "complete": "true",
        "exit-code": "1",
    }
    assert outcome.failed
    assert [
        (each.name, each.properties["file"], each.properties["line"])
        for each in outcome.annotations
        if each.name != "notice"
    ] == [("error", "answers/jane/k8s/deployment.yaml", line_of(manifest, "replicas: 2"))]
    assert "not a mark" not in outcome.summary
    assert sorted(job.artifacts["grade"]) == REPORTS


def test_what_is_lost_need_not_fail_the_job(job: Job) -> None:
    edit(job.submit() / "k8s" / "deployment.yaml", "replicas: 3", "replicas: 2")
    outcome = job.run(task="4.2", fail_under="8", fail="false", **STATIC)
    assert (outcome.failed, outcome.outputs["exit-code"]) == (False, "1")


def test_a_submission_that_stays_open(job: Job) -> None:
    job.submit()
    outcome = job.run(task="1.3,3.1", **STATIC)
    assert verdict(outcome.outputs) == {
        "score": "5",
        "maximum": "15",
        "passed": "false",
        "complete": "false",
        "exit-code": "3",
    }
    assert outcome.failed
    assert "error" not in {each.name for each in outcome.annotations}


def test_what_cannot_be_graded_fails_whatever_is_asked(job: Job) -> None:
    outcome = job.run(submission="nowhere", fail="false", **STATIC)
    assert (outcome.failed, outcome.outputs["exit-code"], outcome.outputs["score"]) == (True, "2", "")
    assert [each.properties for each in outcome.annotations] == [{"title": "Not graded"}]
    assert job.artifacts == {}


def test_every_loss_at_once_stays_within_the_limits(job: Job) -> None:
    (job.workspace / "README.md").write_text("nothing yet\n")
    outcome = job.run(**STATIC)
    assert (outcome.outputs["score"], outcome.outputs["exit-code"]) == ("0", "1")
    assert [each.name for each in outcome.annotations].count("error") == 10


def test_commands_in_a_submission_are_not_obeyed(job: Job) -> None:
    root = job.submit()
    quoted = json.dumps(COMMANDS)
    edit(root / "k8s" / "deployment.yaml", "replicas: 3", f"replicas: {quoted}")
    edit(root / "k8s" / "deployment.yaml", "kind: Deployment", f"kind: Deployment\nextra: {quoted}")
    (root / ".gitignore").write_text(f"{COMMANDS}\ndata/\n")
    (root / ".github" / "workflows" / "::error::ci.yml").write_text(f"{COMMANDS}: [\n")
    outcome = job.run(task="1.3,4.2,5.1", **STATIC)
    assert {each.name for each in outcome.commands} <= {"error", "warning", "notice"}
    assert "forged" not in {each.data for each in outcome.commands}
    assert outcome.outputs["maximum"] == "23"
    assert float(outcome.outputs["score"]) < 23


@pytest.mark.parametrize("word", ["score", "report"])
def test_whatever_the_grader_prints_is_fenced(job: Job, word: str, tmp_path: Path) -> None:
    """Reports are cleaned too; this is for the day on which one is not."""
    job.submit()
    python = tmp_path / "python"
    lines = "".join(f"echo '{line}'; echo '{line}' >&2; " for line in COMMANDS.splitlines())
    python.write_text(f'#!/bin/sh\n[ "$4" != {word} ] || {{ {lines} }}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    job.python = python
    outcome = job.run(task="1.3", **STATIC)
    assert "::add-path::/evil" in outcome.log
    assert [each.name for each in outcome.commands] == ["notice"]
    assert not outcome.failed


def test_nothing_in_a_checkout_configures_the_grader(job: Job) -> None:
    root = job.submit()
    before = verdict(job.run(task="4.2", **STATIC).outputs)
    proof = job.workspace.parent / "imported"
    code = f"import pathlib; pathlib.Path({str(proof)!r}).touch()\n"
    for name in (
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "grader/__init__.py",
        "yaml.py",
        "typer.py",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(code)
    for name in ("grader.toml", "uv.toml", "pip.conf", ".env", ".grader.yaml", "tox.ini", "setup.cfg"):
        (root / name).write_text('fail-under = 0\nindex-url = "https://evil.example"\npass_mark = 0\n')
    (root / "exam.yaml").write_text("id: evil\n")
    victim = job.workspace.parent / "victim"
    victim.write_text("as it was")
    for name in ("grade.json", "grade.xml", "grade.html", "grade.md", "first.txt", "sandbox.log"):
        (root / name).symlink_to(victim)
    assert verdict(job.run(task="4.2", **STATIC).outputs) == before
    assert (proof.exists(), victim.read_text()) == (False, "as it was")


def test_a_submission_outside_the_workspace_has_paths_of_its_own(job: Job, tmp_path: Path) -> None:
    job.submit()
    outside = tmp_path / "outside"
    job.workspace.rename(outside)
    job.workspace.mkdir()
    edit(outside / "k8s" / "deployment.yaml", "replicas: 3", "replicas: 2")
    outcome = job.run(task="4.2", submission=str(outside), fail="false", **STATIC)
    assert [each.properties["file"] for each in outcome.annotations if each.name == "error"] == [
        "k8s/deployment.yaml"
    ]


def test_an_earlier_grade_is_compared_with(job: Job) -> None:
    manifest = job.submit() / "k8s" / "deployment.yaml"
    edit(manifest, "replicas: 3", "replicas: 2")
    job.run(task="4.2", **STATIC)
    (job.workspace / "before.json").write_bytes(job.artifacts["grade"]["grade.json"])
    edit(manifest, "replicas: 2", "replicas: 3")
    assert "+1" in job.run(task="4.2", previous="before.json", **STATIC).summary


@pytest.mark.parametrize(
    "inputs",
    [{"mode": "mark"}, {"mode": ""}, {"mode": "feedback; echo ::add-path::/evil"}],
    ids=["unknown", "empty", "script"],
)
def test_an_unknown_mode_is_refused(job: Job, inputs: dict[str, str]) -> None:
    outcome = job.run(**inputs)
    assert outcome.failed
    assert outcome.commands == [
        Command("error", "It must be feedback, marks, comment or check.", {"title": "Input mode"})
    ]


@pytest.mark.parametrize("names", [("submission", "task", "exam", "fail_under"), ("previous",)])
def test_an_input_is_never_a_part_of_a_script(job: Job, names: tuple[str, ...], tmp_path: Path) -> None:
    job.submit()
    proof = tmp_path / "proof"
    attack = f"x$(touch {proof})`touch {proof}`'; touch {proof}; \"\ntouch {proof}\n"
    outcome = job.run(**{"task": "4.2", **STATIC, **dict.fromkeys(names, attack)})
    assert (outcome.failed, proof.exists()) == (True, False)


def test_an_unknown_input_is_refused(job: Job) -> None:
    with pytest.raises(Refused):
        job.run(submision=".")


def test_an_archive_with_a_folder_of_its_own_is_graded(job: Job, tmp_path: Path) -> None:
    """As GitHub hands out a commit, and as the workflow for marks grades it."""
    with tarfile.open(job.workspace / "jane.tar.gz", "w:gz") as archive:
        archive.add(REFERENCE, "course-exam-jane-0123456")
    outcome = job.run(mode="marks", submission="jane.tar.gz", task="4.2", artifact="grade-jane", **STATIC)
    assert (outcome.outputs["score"], list(job.artifacts)) == ("8", ["grade-jane"])


@pytest.mark.slow
class TestWhatRuns:
    """Candidate code runs here."""

    def test_a_sandbox_is_checked_and_packages_are_kept_without_the_secret(self, job: Job) -> None:
        job.submit()
        outcome = job.run(task="1.3")
        assert (outcome.failed, outcome.outputs["exit-code"]) == (False, "0")
        assert "Check the sandbox" in outcome.steps
        folder = job.temporary / "grader-cache"
        assert [saved["path"].split() for saved in job.saved] == [
            [f"{folder}/environments", f"{folder}/wheels"]
        ]

    def test_the_cache_belongs_to_a_lock_file(self, job: Job) -> None:
        lock = job.submit() / "requirements-lock.txt"
        for text in ("a==1\n", "a==2\n", "a==1\n"):
            lock.write_text(text)
            job.run(task="1.3")
        first, second, third = [saved["key"] for saved in job.saved]
        assert first == third != second
        prefixes = {key.rpartition("-")[0] for key in (first, second)}
        assert len(prefixes) == 1

    def test_programs_see_no_file_of_the_runner_and_command_nothing(self, job: Job) -> None:
        root = job.submit()
        (root / "Makefile").write_text(
            "install test lint docker-build deploy-dev:\n"
            "\t@env | sed 's/^/::error::/'; echo '::set-output name=score::110'; echo '##[add-path]/evil'\n"
            "\t@for f in $$GITHUB_OUTPUT $$GITHUB_ENV $$GITHUB_PATH; do echo score=110 >> $$f; done\n"
            "\t@exit 1\n"
        )
        outcome = job.run(task="B2", fail="false")
        assert {each.name for each in outcome.commands} <= {"error", "warning", "notice"}
        assert outcome.outputs["score"] == "0"
        shown = "\n".join(outcome.log) + job.artifacts["grade"]["grade.json"].decode()
        assert "secret-of-the-job" not in shown
        assert "GITHUB_OUTPUT=" not in shown

    def test_the_installation_is_what_the_lock_file_says(self, job: Job) -> None:
        job.submit()
        job.python = None
        outcome = job.run(task="4.2", **STATIC)
        assert (outcome.failed, outcome.outputs["score"]) == (False, "8"), outcome.log[-30:]
