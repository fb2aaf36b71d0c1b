"""`grader github`: from the runner's files and variables, and to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from grader.commands import github
from grader.commands.github import check_command, comment_command, step_command
from grader.errors import UsageError
from grader.github.api import Api
from tests.github.fake import COMMIT, REPOSITORY, GitHub, archive, document, event

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> GitHub:
    made = GitHub()

    def api(token: str, *, base: str) -> Api:
        assert base == "https://api.example"
        return Api(token, base=base, transport=httpx.MockTransport(made.answer))

    monkeypatch.setattr(github, "Api", api)
    monkeypatch.setenv("GITHUB_TOKEN", "token")
    monkeypatch.setenv("GITHUB_API_URL", "https://api.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    return made


def happen(folder: Path, monkeypatch: pytest.MonkeyPatch, data: Any) -> None:
    path = folder / "event.json"
    path.write_text(json.dumps(data))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))


def test_a_step_adds_to_the_files_of_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grade.json").write_bytes(document())
    for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        (tmp_path / variable).write_text("before\n")
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert step_command(tmp_path / "grade.json", previous=None, folder="", feedback=True) == 0
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == (
        "before\nscore=3\nmaximum=8\npassed=true\ncomplete=false\n"
    )
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text().startswith("before\n> **Feedback, not a mark.**")
    assert all(line.startswith("::") for line in capsys.readouterr().out.splitlines())


def test_a_comment_is_made_for_the_event(
    service: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.upload(7, archive({"grade.json": document()}), name="exam")
    happen(tmp_path, monkeypatch, event())
    assert comment_command(artifact="exam", author="github-actions[bot]") == 0
    assert len(service.bodies(5)) == 1


def test_a_push_is_passed_over(service: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(tmp_path, monkeypatch, event(event="push"))
    assert comment_command(artifact="grade", author="github-actions[bot]") == 0
    assert service.requests == []


def test_without_an_event_there_is_nothing_to_comment_on(
    service: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="there is no event"):
        comment_command(artifact="grade", author="github-actions[bot]")
    assert service.requests == []


def test_a_check_is_posted(service: GitHub, tmp_path: Path) -> None:
    (tmp_path / "grade.json").write_bytes(document())
    words = {"repository": REPOSITORY, "commit": COMMIT, "name": "grade"}
    assert check_command(tmp_path / "grade.json", previous=None, **words) == 0
    assert [check["head_sha"] for check in service.checks] == [COMMIT]
