"""A whole runtime. The grader's own packages play the candidate's environment where MLflow is needed."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader import command as process
from grader.errors import GraderFault, UsageError
from grader.exam.model import EnvironmentSpec, Exam
from grader.runtime.cache import Cache
from grader.runtime.environment import build as environment
from grader.runtime.environment.build import Environment
from grader.runtime.shared_runtime import choose_sandbox
from grader.runtime.submission_runtime import SeedFailed, SubmissionRuntime
from grader.submission.model import Manifest
from tests.builders import EXAM, make_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OWN = Environment(
    python=Path(sys.prefix, "bin", "python"), root=Path(sys.prefix), key="own", source="lock", packages={}
)
ROWS = (
    "a,b,target\n" + "".join(f"{row % 10},{row % 7},{int(row % 10 > 4)}\n" for row in range(200)) + ",1,0\n"
)
ASK = """
import sys, urllib.error, urllib.request
for name in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(f"http://{name}:5000/version", timeout=5).status)
    except urllib.error.URLError as error:
        print(type(error.reason).__name__)
"""
HAPPY = {
    "data": {"file": "data/train.csv", "target": "target"},
    "estimator": {
        "name": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_depth": 6},
        "random_state": 7,
    },
    "models": {"true": {}, "flipped": {"labels": "flipped"}},
    "runs": [
        {"experiment": "exam", "name": "good", "params": {"max_depth": 3}, "metrics": {"accuracy": 0.9}},
        {"experiment": "exam", "name": "better", "metrics": {"accuracy": 0.95}, "model": "true"},
        {"experiment": "Default", "name": "other", "model": "flipped", "status": "FAILED"},
    ],
    "versions": [
        {"name": "Model", "run": 1, "stage": "Staging", "aliases": ["staging"]},
        {"name": "Model", "run": 2, "stage": "Production", "aliases": ["production", "champion"]},
    ],
    "files": {"model.pkl": "true"},
    "rows": [[9, 1], [0, 1]],
}


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    directory = tmp_path / "rubrics"
    directory.mkdir()
    (directory / "answers.yaml").touch()
    data = tmp_path / "given.csv"
    data.write_text(ROWS)
    spec = EnvironmentSpec(python="3.11", lock="lock.txt", fallback=directory / "none")
    return replace(EXAM, directory=directory, data={"data/train.csv": data}, environment=spec)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def open_runtime(
    tmp_path: Path, exam: Exam, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., SubmissionRuntime]]:
    monkeypatch.setattr(environment, "prepare", lambda *_: OWN)
    with ExitStack() as stack:

        def make(files: dict[str, str | bytes] | None = None, **options: Any) -> SubmissionRuntime:
            submission = make_submission(tmp_path / "s", files or {}, manifest=options.pop("manifest", None))
            return stack.enter_context(SubmissionRuntime(submission, exam, cache=cache, **options))

        yield make


@pytest.mark.parametrize("name", ["", "chroot", "None"])
def test_an_unknown_isolation_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no isolation is named"):
        choose_sandbox(name, tmp_path)


def test_a_machine_that_cannot_isolate_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.runtime.sandbox.bubblewrap import sandbox as bubblewrap

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(bubblewrap, "_packaged", lambda: None)
    bubblewrap.find_bubblewrap.cache_clear()
    try:
        with pytest.raises(UsageError, match="does not isolate"):
            choose_sandbox("bubblewrap", tmp_path)
    finally:
        bubblewrap.find_bubblewrap.cache_clear()


def test_an_environment_that_failed_is_tried_again(
    open_runtime: Callable[..., SubmissionRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Environment | None] = [None, OWN]

    def prepare(*_: object) -> Environment:
        if (outcome := outcomes.pop(0)) is None:
            raise GraderFault("the package index cannot be reached")
        return outcome

    monkeypatch.setattr(environment, "prepare", prepare)
    runtime = open_runtime()
    assert runtime.prepared is None
    with pytest.raises(GraderFault, match="index"):
        _ = runtime.environment
    assert runtime.prepared is None
    assert runtime.environment is runtime.environment is runtime.prepared is OWN
    assert outcomes == []


def test_an_interrupt_does_not_wait_for_an_environment(
    open_runtime: Callable[..., SubmissionRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def prepare(*_: object) -> Environment:
        while len(ended) < 2:  # the second was not there yet when all were ended
            ended.append(process.run(["sleep", "60"]).returncode)
        raise GraderFault("uv was stopped")

    monkeypatch.setattr(environment, "prepare", prepare)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), open_runtime() as runtime:  # noqa: PT012
        runtime.warm_up()
        time.sleep(0.1)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 10
    assert ended == [-9, -9]


def test_nothing_of_a_runtime_is_left(open_runtime: Callable[..., SubmissionRuntime]) -> None:
    with open_runtime({"a.py": "print(1)"}) as runtime:
        with runtime.cell() as cell:
            assert cell.python("-S", "a.py").stdout == "1\n"
            workspace = cell.workspace
        assert not workspace.exists()
    assert not workspace.parents[2].exists()


def test_a_cell_has_the_submission_and_no_answers(
    open_runtime: Callable[..., SubmissionRuntime], exam: Exam
) -> None:
    code = f"""
import os
print(sorted(os.listdir()), open("new").read(), os.path.exists({str(exam.directory / "answers.yaml")!r}))
print(os.environ["MLFLOW_TRACKING_URI"], os.environ["OWN"], os.environ["MORE"])
"""
    manifest = Manifest(environment={"OWN": "1", "MORE": "1"})
    runtime = open_runtime({"a.py": code, "b.py": "", "data/train.csv": "mine"}, manifest=manifest)
    with runtime.cell(without=["b.py"], files={"new": b"new"}, env={"MORE": "2"}) as cell:
        run = cell.python("-S", "a.py")
        assert (cell.workspace / "data/train.csv").read_text() == ROWS
    assert run.stdout == "['a.py', 'data', 'new'] new False\nhttp://localhost:5000 1 2\n"
    assert [remark.where for remark in runtime.remarks] == ["data/train.csv"]


def test_a_cell_may_be_a_repository(open_runtime: Callable[..., SubmissionRuntime]) -> None:
    with open_runtime({"a.py": ""}).cell(git=True) as cell:
        assert cell.run(["git", "status", "--short"]).stdout == "?? a.py\n?? data/\n"


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["bubblewrap", "none"])
def test_port_5000_is_the_tracking_server_or_nothing(
    open_runtime: Callable[..., SubmissionRuntime], isolation: str
) -> None:
    runtime = open_runtime({"ask.py": ASK}, isolation=isolation)
    names = ["localhost", "127.0.0.1", *(["mlflow"] if isolation == "bubblewrap" else [])]
    with runtime.mlflow("a") as server, runtime.cell(mlflow=server) as cell:
        assert cell.python("-S", "ask.py", *names).stdout == "200\n" * len(names)
        assert [request.path for request in server.requests()] == ["/version"] * len(names)
    with runtime.cell() as cell:
        refused = "ConnectionRefusedError\n"
        assert cell.python("-S", "ask.py", *names).stdout == refused * len(names)


@pytest.mark.slow
def test_a_seed_is_made_once_and_moves(open_runtime: Callable[..., SubmissionRuntime], cache: Cache) -> None:
    runtime = open_runtime()
    seeded = runtime.seeded("seed_model", HAPPY)
    assert runtime.seeded("seed_model", HAPPY) == seeded
    assert len(list((cache.root / "seeds").glob("[!.]*"))) == 1
    models = seeded.answer["models"]
    assert (models["true"]["predictions"], models["flipped"]["predictions"]) == ([1, 0], [0, 1])
    assert models["true"]["columns"] == ["a", "b"]
    assert (seeded.files / "model.pkl").stat().st_size > 100
    with runtime.mlflow("seeded", seeded=seeded.store) as server:
        runs = server.runs()
        assert [(run.name, run.experiment, run.status) for run in runs] == [
            ("good", "exam", "FINISHED"),
            ("better", "exam", "FINISHED"),
            ("other", "Default", "FAILED"),
        ]
        assert runs[0].params == {"max_depth": "3"}
        owners = [model.run_id for model in server.logged_models() if model.files.is_file("MLmodel")]
        inside = [
            [each.path for each in run.artifacts.walk() if each.path.endswith("MLmodel")] for run in runs
        ]
        assert [owners.count(run.id) + len(each) for run, each in zip(runs, inside, strict=True)] == [0, 1, 1]
        versions = server.versions("Model")
        assert [(one.stage, one.aliases, one.run_id) for one in versions] == [
            ("Staging", ("staging",), runs[1].id),
            ("Production", ("champion", "production"), runs[2].id),
        ]
        with runtime.cell(mlflow=server, files={"load.py": LOAD.encode()}) as cell:
            run_ = cell.python("load.py")
            assert run_.stdout.split() == ["[1]", "[0]"], run_.tail()


LOAD = """
import mlflow.sklearn
for stage in ("Staging", "Production"):
    print(mlflow.sklearn.load_model(f"models:/Model/{stage}").predict([[9.0, 1.0]]))
"""


@pytest.mark.slow
def test_a_recipe_that_fails_leaves_no_seed(
    open_runtime: Callable[..., SubmissionRuntime], cache: Cache
) -> None:
    runtime = open_runtime()
    bad = {**HAPPY, "data": {"file": "data/none.csv", "target": "target"}}
    with pytest.raises(SeedFailed) as caught:
        runtime.seeded("seed_model", bad)
    assert "none.csv" in caught.value.log_tail
    assert caught.value.run.returncode == 1
    assert cache.find("seeds", runtime._seed_inputs("seed_model", bad)) is None


@pytest.mark.slow
def test_warming_up_waits_for_nothing(open_runtime: Callable[..., SubmissionRuntime]) -> None:
    runtime = open_runtime()
    begun = time.monotonic()
    runtime.warm_up()
    assert time.monotonic() - begun < 0.5
    with runtime.mlflow("a") as server:
        assert server.runs() == []
