"""Which file answers what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.exam.model import Deliverable
from grader.submission import deliverables
from grader.submission.deliverables import resolve
from grader.submission.model import Manifest
from tests.builders import make_submission
from tests.exams import exam_of

if TYPE_CHECKING:
    from pathlib import Path

QUERY = Deliverable(
    id="query",
    path="",
    calls=("search_runs",),
    unless=("register_model", "create_model_version"),
    prefer=("*query*", "*best*"),
)
REGISTER = Deliverable(
    id="register", path="", calls=("register_model", "create_model_version"), prefer=("*regist*",)
)
COMMANDS = Deliverable(
    id="commands", path="", calls=("dvc init", "dvc remote add", "dvc push"), prefer=("*dvc*",)
)
LOCK = Deliverable(id="lock", path="requirements-lock.txt", accept=("requirements.lock", "requirements*.txt"))
TRAIN = Deliverable(id="train", path="src/train.py")

SEARCH = "import mlflow\nprint(mlflow.search_runs())\n"


def found(root: Path, files: dict[str, str | bytes], wanted: Deliverable, **paths: str) -> list[str]:
    exam = exam_of(*dict.fromkeys((wanted, QUERY, REGISTER, COMMANDS, LOCK, TRAIN)))
    submission = make_submission(root, files)
    resolved = resolve(submission, exam, Manifest(paths=paths))
    everything = [str(path) for path in resolved.alternatives.get(wanted.id, ())]
    best = resolved.deliverables.get(wanted.id)
    assert everything[:1] == ([] if best is None else [str(best)])
    return everything


def test_nothing_is_found_in_nothing(tmp_path: Path) -> None:
    for deliverable in (QUERY, REGISTER, COMMANDS, LOCK, TRAIN):
        assert found(tmp_path, {}, deliverable) == []


def test_tracked_runs_and_notes_hide_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliverables, "MAX_SOURCES", 4)
    files: dict[str, str | bytes] = dict.fromkeys(
        (*(f"mlruns/{n}/code.py" for n in range(9)), *(f"notes/{n}.md" for n in range(9))), ""
    )
    files |= {"analysis/late/find.py": SEARCH}
    assert found(tmp_path, files, QUERY) == ["analysis/late/find.py"]
    resolved = resolve(make_submission(tmp_path / "b", files), exam_of(QUERY), Manifest())
    assert (resolved.unread, [remark.message for remark in resolved.remarks]) == (
        15,
        ["15 of 19 programs and notes were not searched for answers"],
    )


class TestByPath:
    def test_the_exams_path_then_the_accepted_ones(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = dict.fromkeys(
            ("requirements.lock", "deep/requirements.txt", "requirements-dev.txt", "requirements-lock.txt"),
            "",
        )
        assert found(tmp_path, files, LOCK) == [
            "requirements-lock.txt",
            "requirements.lock",
            "requirements-dev.txt",
            "deep/requirements.txt",
        ]

    @pytest.mark.parametrize("name", ["src/Train.py", "train.py", "src/train.py/x"])
    def test_a_path_is_exact(self, name: str, tmp_path: Path) -> None:
        assert found(tmp_path, {name: ""}, TRAIN) == []

    def test_the_manifest_wins(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {"src/train.py": "", "fit.py": ""}
        assert found(tmp_path, files, TRAIN, train="fit.py") == ["fit.py", "src/train.py"]


class TestByContent:
    @pytest.mark.parametrize(
        "content",
        [
            SEARCH,
            "from mlflow import search_runs as find\nfind()\n",
            "from mlflow.tracking import MlflowClient\nfind = MlflowClient().search_runs\nfind(['1'])\n",
            "def best():\n    return client.search_runs(['1'])\n",
        ],
    )
    def test_a_call_in_any_spelling(self, content: str, tmp_path: Path) -> None:
        assert found(tmp_path, {"a/b.py": content}, QUERY) == ["a/b.py"]

    @pytest.mark.parametrize(
        "content",
        [
            "# mlflow.search_runs()\n",
            "print('search_runs()')\n",
            "from mlflow import search_runs\n",
            "search_runs(\n",
            b"\xff",
        ],
    )
    def test_no_call(self, content: str | bytes, tmp_path: Path) -> None:
        assert found(tmp_path, {"query.py": content}, QUERY) == []

    def test_shell_scripts_are_read_by_words(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "a.sh": "python -c 'import mlflow; print(mlflow.search_runs())'\n",
            "b.sh": "# mlflow.search_runs()\n",
            "README.md": "We call search_runs.\n",
        }
        assert found(tmp_path, files, QUERY) == ["a.sh"]

    def test_an_interface_is_asked_by_its_paths(self, tmp_path: Path) -> None:
        search = Deliverable(id="search", path="", calls=("runs/search", "curl runs/search"))
        files: dict[str, str | bytes] = {
            "a.py": "import requests\nrequests.post(f'{BASE}/runs/search', json={})\n",
            "b.py": '"""POST runs/search"""\nprint("no")\n',
            "c.sh": "curl -X POST \\\n  $API/runs/search -d '{}'\n",
            "README.md": "```bash\ncurl -s -X POST \\\n  $API/runs/search\n```\n",
            "NOTES.md": "Use curl.\nOr runs/search.\n",
        }
        assert sorted(found(tmp_path, files, search)) == ["README.md", "a.py", "c.sh"]

    def test_names_tests_and_other_jobs_order_them(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "a.py": SEARCH,
            "best_runs.py": SEARCH,
            "scripts/query.py": SEARCH,
            "src/train.py": SEARCH,
            "tests/test_query.py": SEARCH,
        }
        assert found(tmp_path, files, QUERY) == [
            "scripts/query.py",
            "best_runs.py",
            "a.py",
            "src/train.py",
            "tests/test_query.py",
        ]

    def test_a_registration_that_looks_up_its_best_run_comes_after_a_query(self, tmp_path: Path) -> None:
        both = f"{SEARCH}mlflow.register_model('runs:/1/model', 'x')\n"
        files: dict[str, str | bytes] = {"best.py": both, "list.py": SEARCH}
        assert found(tmp_path, files, QUERY) == ["list.py", "best.py"]
        assert found(tmp_path, files, REGISTER) == ["best.py"]
        (tmp_path / "list.py").unlink()
        assert found(tmp_path, {"best.py": both}, QUERY) == ["best.py"]

    def test_a_script_may_leave_it_to_a_neighbour(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "src/__init__.py": "",
            "src/tracking.py": "import mlflow\ndef top():\n    return mlflow.search_runs()\n",
            "scripts/query.py": "from src.tracking import top\nprint(top())\n",
            "scripts/other.py": "print('query')\n",
        }
        assert found(tmp_path, files, QUERY) == ["scripts/query.py", "src/tracking.py"]

    def test_commands_stand_in_scripts_and_texts(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "README.md": "```bash\n$ dvc init\n$ dvc push\n```\n",
            "setup.sh": "dvc init\n",
            "Makefile": "push:\n\tdvc push\n",
            "notes.txt": "dvc is nice\n",
            "no.sh": "my-dvc init-all\n",
        }
        assert found(tmp_path, files, COMMANDS) == ["setup.sh", "README.md", "Makefile"]
