from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.mlflow.local_stores import local_store
from grader.checks.mlflow.world import model_names
from grader.checks.model_registry import checks as registration
from grader.checks.model_registry.checks import describes, judged
from grader.checks.model_registry.scenarios import Registered, best_of, from_store
from grader.checks.scripts.call import Called
from grader.checks.scripts.entry_points import Answered
from grader.context import Context, Memo
from grader.errors import NothingRuns
from grader.results import Outcome, Verdict
from grader.runtime.sandbox.model import Ended, Run
from grader.runtime.services.mlflow import ModelVersion, RunInfo
from tests.builders import make_context, make_submission
from tests.checks.live import live_context, lost, names, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT: str = parameters("3.3", "registry.description")["text"]
MODEL = "ExamClassifier"


@pytest.mark.parametrize(
    "said",
    [
        "Best model from exam, accuracy=0.94",
        "Best model from exam, accuracy=0.9478",
        "best model from exam, accuracy = 0.95",
        "Best model from exam, accuracy=94.78%",
        "Best model from exam, accuracy=95 %",
        "Best model from exam, accuracy=94.8",
        "Model card.\nBest model from exam, accuracy=0.95 (run abc)",
        "Best model from exam, accuracy=0.94781" + "0" * 400,
    ],
)
def test_the_description(said: str) -> None:
    assert describes(said, TEXT, 0.94781)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Best model from exam",
        "Best model from exam, accuracy=",
        "Best model from exam, accuracy=X.XX",
        "Best model from exam, accuracy=0.9",
        "Best model from exam, accuracy=0.93",
        "Best model from exam, accuracy=0.9487",
        "Best model, accuracy=0.95",
        "Best model from exam, f1=0.95",
        "Best model from exam, accuracy=1",
        "Best model from exam, accuracy=0." + "9" * 400,
        "Best model from exam, accuracy=" + "9" * 400,
    ],
)
def test_another_description(said: str) -> None:
    assert not describes(said, TEXT, 0.94781)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_no_description_states_what_is_no_number(value: float) -> None:
    assert not describes("Best model from exam, accuracy=0.94", TEXT, value)


BEST = RunInfo(
    id="a" * 32,
    name="best",
    status="FINISHED",
    experiment="exam-training",
    experiment_id="1",
    params={},
    metrics={"accuracy": 0.94781},
    tags={},
    artifact_uri="",
)


def version(number: int, run: str = BEST.id, **fields: Any) -> ModelVersion:
    usual = {
        "name": MODEL,
        "version": str(number),
        "run_id": run,
        "description": "",
        "status": "READY",
        "tags": {},
        "stage": "None",
        "source": f"mlflow-artifacts:/1/{run}/artifacts/model",
    }
    return ModelVersion(**{**usual, **fields})


def seen(*versions: ModelVersion, ok: bool = True, **fields: Any) -> Registered:
    ended = Run(argv=("x",), ended=Ended.EXITED, returncode=0 if ok else 1)
    called = Called(argv=("python", "r.py"), run=ended, traceback=None)
    fields = {"sources": {}, "best": BEST, **fields}
    return Registered(file="r.py", answered=Answered(called=called), versions=versions, **fields)


def losses(what: Registered) -> set[str]:
    outcomes: dict[str, Outcome] = {
        "registered": registration.judge_created(what, MODEL),
        "best": registration.judge_best(what, MODEL, "accuracy"),
        "staging": registration.judge_stage(what, MODEL, "Staging"),
        "description": registration.judge_description(what, MODEL, "accuracy", TEXT),
    }
    return {name for name, outcome in outcomes.items() if outcome.verdict is not Verdict.PASSED}


GOOD = "Best model from exam, accuracy=0.95"


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (seen(version(1, stage="Staging", description=GOOD)), set()),
        (seen(version(1, stage="Staging"), model=GOOD), set()),
        (seen(version(1, stage="Staging", description=GOOD), ok=False), set()),
        (seen(version(1, stage="Archived"), version(2, stage="Staging", description=GOOD)), set()),
        (seen(version(1, "b" * 32), version(2, stage="Staging"), version(3, "c" * 32), model=GOOD), set()),
        (
            seen(
                version(1, "", source="models:/m-1", stage="Staging", description=GOOD),
                sources={"m-1": BEST.id},
            ),
            set(),
        ),
        (seen(version(1, aliases=("staging",), description=GOOD)), {"staging"}),
        (seen(version(1, stage="Production", description=GOOD)), {"staging"}),
        (seen(version(1, "b" * 32, stage="Staging", description=GOOD)), {"best"}),
        (seen(version(1, stage="Staging"), version(2, "b" * 32, stage="Staging"), model=GOOD), {"best"}),
        (seen(version(1, stage="Staging", description="the best")), {"description"}),
        (seen(others=("Other",)), {"registered", "best", "staging", "description"}),
        (seen(model=GOOD), {"registered", "best", "staging"}),
        (seen(ok=False), {"registered", "best", "staging", "description"}),
        (seen(version(1), best=None), {"best", "staging", "description"}),
        (
            seen(version(1, "b" * 32, description=GOOD), version(2, "c" * 32, stage="Staging")),
            {"best", "description"},
        ),
        (
            seen(version(1, description=GOOD), version(2, description="0.94"), version(3, stage="Staging")),
            {"description"},
        ),
        (seen(version(1, description=GOOD), version(2, stage="Staging")), set()),
    ],
)
def test_what_a_registry_loses(what: Registered, expected: set[str]) -> None:
    assert losses(what) == expected


def test_no_run_is_made_the_best_one() -> None:
    other = replace(BEST, id="b" * 32, metrics={"accuracy": 0.9})
    raised, trained = (
        replace(other, metrics={"accuracy": 1.0}),
        replace(other, id="c" * 32, metrics={"accuracy": 0.99}),
    )
    assert best_of([other, BEST], [raised], "accuracy") == BEST
    assert best_of([other, BEST], [other, BEST, trained], "accuracy") == trained
    assert best_of([], [], "accuracy") is None


def test_a_script_that_stopped_on_the_way_is_the_reason() -> None:
    stopped = seen(version(1), ok=False)
    [staging] = registration.judge_stage(stopped, MODEL, "Staging").findings
    assert staging.message == f"version 1 of {MODEL} is not in the stage Staging"
    assert staging.actual == "`python r.py` ended with status 1"
    [said] = registration.judge_description(stopped, MODEL, "accuracy", TEXT).findings
    assert said.message == f"{MODEL} has no description, since the script stopped before"


def test_the_version_judged() -> None:
    assert judged(seen()) is None
    two = seen(version(1), version(2, "b" * 32))
    assert (judged(two) or version(0)).version == "1"


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "x",
        {"runs": 1, "versions": "2", "models": [], "description": {}},
        {"runs": [1, {"metrics": 3}, {"id": [], "metrics": {"accuracy": "high", "f1": None}}]},
        {"versions": [{"version": [], "aliases": 3}, {"version": {"a": 1}, "source": None}, 7]},
        {"versions": [{"version": "1", "stage": "Staging"}], "runs": [{"metrics": {"accuracy": 0.9}}]},
    ],
)
def test_a_store_that_may_hold_anything(root: Path, told: object) -> None:
    file = make_submission(root, {"r.py": ""}).file("r.py")
    assert file is not None
    scenario = parameters("3.3", "registry.stage")["scenario"]
    assert losses(from_store(told, file, seen().answered, scenario, (), trained=False))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mlflow.set_tracking_uri('sqlite:///mlflow.db')", ("sqlite:///mlflow.db", "mlflow.db")),
        ("mlflow.set_tracking_uri('./mlruns')", ("./mlruns", "mlruns")),
        ("mlflow.set_tracking_uri(uri='file:./runs')", ("file:./runs", "runs")),
        ("MlflowClient('file:///workspace/mlruns')", ("file:///workspace/mlruns", "mlruns")),
        ("import os\nos.environ['MLFLOW_TRACKING_URI'] = 'mlruns'", ("mlruns", "mlruns")),
        ("mlflow.set_tracking_uri('http://localhost:5000')", None),
        ("mlflow.set_tracking_uri('sqlite:////tmp/mlflow.db')", None),
        ("mlflow.set_tracking_uri('../mlruns')", None),
        ("mlflow.set_tracking_uri('')", None),
        ("mlflow.set_tracking_uri(3)", None),
        ("mlflow.set_tracking_uri(unknown())", None),
        ("def (", None),
    ],
)
def test_stores_of_a_script(root: Path, source: str, expected: tuple[str, str] | None) -> None:
    submission = make_submission(root, {"r.py": source})
    file = submission.file("r.py")
    assert file is not None
    found = local_store(submission, file)
    assert (found and (found.uri, found.path)) == expected


def test_names_of_models(root: Path) -> None:
    files = {
        "src/train.py": """
            import mlflow
            from names import NAME
            mlflow.sklearn.log_model(model, artifact_path=NAME)
            mlflow.log_model(model, "../../etc")
            log_model(model, name=3)
        """,
        "src/names.py": "NAME = 'forest'",
        "src/register.py": "mlflow.register_model(f'runs:/{best}/rf-model', 'ExamClassifier')",
    }
    context = make_context(root, files, deliverables={"train": "src/train.py", "register": "src/register.py"})
    assert model_names(context, ("train", "register")) == ["model", "forest", "rf-model"]
    assert model_names(make_context(root, {}), ("train",)) == ["model"]


def test_nothing_is_said_without_running(root: Path) -> None:
    context = make_context(root, {"r.py": "register_model()"}, deliverables={"register": "r.py"})
    with pytest.raises(NothingRuns):
        lost(context, "3.3")


# --- real registrations ---------------------------------------------------------------------------

FIND = """
import mlflow
from mlflow import MlflowClient
client = MlflowClient()
best = mlflow.search_runs(experiment_names=["exam-training"], order_by=["metrics.accuracy DESC"]).iloc[0]
accuracy = best["metrics.accuracy"]
"""
REGISTER = 'version = mlflow.register_model(f"runs:/{best.run_id}/model", "ExamClassifier").version\n'
STAGE = 'client.transition_model_version_stage("ExamClassifier", version, "Staging")\n'
DESCRIBE = """client.update_model_version(
    "ExamClassifier", version, description=f"Best model from exam, accuracy={accuracy:.2f}")
"""
WHOLE = FIND + REGISTER + STAGE + DESCRIBE
NOTHING = set(names("3.3"))


def indented(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.splitlines())


VARIANTS: dict[str, tuple[str, set[str]]] = {
    "plain.py": (WHOLE, set()),
    "twice.py": (FIND + REGISTER + REGISTER + STAGE + DESCRIBE, set()),
    "archives.py": (
        FIND
        + REGISTER
        + STAGE
        + REGISTER
        + STAGE.replace('"Staging")', '"Staging", archive_existing_versions=True)')
        + DESCRIBE,
        set(),
    ),
    "function_only.py": ("def register_best():\n" + indented(WHOLE), set()),
    "one_of_its_commands.py": (
        "import click\n@click.group()\ndef cli():\n    pass\n"
        "@cli.command()\ndef best():\n"
        + indented(FIND + "print(best.run_id)")
        + "@cli.command()\ndef promote():\n"
        + indented(WHOLE)
        + "cli()\n",
        set(),
    ),
    "of_the_model.py": (
        FIND
        + REGISTER
        + STAGE
        + "said = f'Best model from exam, accuracy={accuracy:.4f}'\n"
        + "client.update_registered_model('ExamClassifier', said)",
        set(),
    ),
    "by_the_client.py": (
        FIND
        + """
run = client.get_run(best.run_id)
client.create_registered_model("ExamClassifier")
version = client.create_model_version(
    "ExamClassifier", f"{run.info.artifact_uri}/model", run.info.run_id,
    description=f"Best model from exam, accuracy={accuracy:.2%}").version
"""
        + STAGE,
        set(),
    ),
    "percentage.py": (WHOLE.replace("{accuracy:.2f}", "{accuracy * 100:.1f}%"), set()),
    "alias.py": (
        WHOLE.replace(STAGE, "client.set_registered_model_alias('ExamClassifier', 'staging', version)\n"),
        {"3.3.staging"},
    ),
    "production.py": (WHOLE.replace('"Staging"', '"Production"'), {"3.3.staging"}),
    "by_f1.py": (WHOLE.replace("metrics.accuracy DESC", "metrics.f1 DESC"), {"3.3.best", "3.3.description"}),
    "newest.py": (
        WHOLE.replace("metrics.accuracy DESC", "start_time DESC").replace("iloc[0]", "iloc[1]"),
        {"3.3.best", "3.3.description"},
    ),
    "of_default.py": (WHOLE.replace('"exam-training"', '"Default"'), {"3.3.best", "3.3.description"}),
    "of_all.py": (
        WHOLE.replace('experiment_names=["exam-training"]', "search_all_experiments=True"),
        {"3.3.best", "3.3.description"},
    ),
    "another_name.py": (WHOLE.replace("ExamClassifier", "exam_classifier"), NOTHING),
    "no_description.py": (WHOLE.replace(DESCRIBE, ""), {"3.3.description"}),
    "fixed_number.py": (WHOLE.replace("{accuracy:.2f}", "0.97"), {"3.3.description"}),
    "one_decimal.py": (WHOLE.replace(".2f", ".1f"), {"3.3.description"}),
    "placeholder.py": (WHOLE.replace("{accuracy:.2f}", "X.XX"), {"3.3.description"}),
    "local_database.py": (
        WHOLE.replace("client =", "mlflow.set_tracking_uri('sqlite:///mlflow.db')\nclient =", 1),
        set(),
    ),
    "local_files.py": (
        WHOLE.replace("client =", "mlflow.set_tracking_uri('./mlruns')\nclient =", 1).replace(STAGE, ""),
        {"3.3.staging"},
    ),
    "crashes_after.py": (
        FIND + REGISTER + "client.no_such_thing()\n" + STAGE,
        NOTHING - {"3.3.registered", "3.3.best"},
    ),
    "crashes.py": ("import mlflow\nraise ValueError('no')\n" + WHOLE, NOTHING),
    "only_talks.py": ("print('ExamClassifier version 1 is in Staging')\n# register_model", NOTHING),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """One submission with every variant in it, so that its seeds are made once."""
    root = tmp_path_factory.mktemp("variants")
    with live_context(
        root, {name: source for name, (source, _) in VARIANTS.items()}, deliverables={}
    ) as context:
        yield context


def of(context: Context, deliverable: str, path: str, seed: int = 0) -> Context:
    submission = replace(context.submission, deliverables={deliverable: PurePosixPath(path)})
    return replace(context, submission=submission, memo=Memo(), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_real_registrations(world: Context, name: str) -> None:
    assert set(lost(of(world, "register", name), "3.3")) == VARIANTS[name][1]


TRAINING = """
import mlflow
import mlflow.sklearn
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
mlflow.set_experiment("exam-training")
data = pd.read_csv("data/processed/train_clean.csv").head(200)
x, y = data.drop(columns="target"), data.target
with mlflow.start_run():
    forest = RandomForestClassifier(n_estimators=5).fit(x, y)
    mlflow.log_metric("accuracy", 0.99)
    mlflow.sklearn.log_model(forest, "forest", pip_requirements=["mlflow"],
                             serialization_format="cloudpickle", registered_model_name="ExamClassifier")
"""
AFTERWARDS = (
    FIND
    + """
found = client.search_model_versions("name='ExamClassifier'")
version = next(each.version for each in found if each.run_id == best.run_id)
"""
    + STAGE
    + DESCRIBE
)


@pytest.mark.slow
def test_training_registers(root: Path) -> None:
    deliverables = {"train": "train.py", "register": "stage.py"}
    with live_context(
        root, {"train.py": TRAINING, "stage.py": AFTERWARDS}, deliverables=deliverables
    ) as context:
        assert lost(context, "3.3") == {}


@pytest.mark.slow
def test_at_the_end_of_training(root: Path) -> None:
    files = {"src/train.py": TRAINING + WHOLE.replace("/model", "/forest")}
    with live_context(root, files, deliverables={"register": "src/train.py"}) as context:
        assert lost(context, "3.3") == {}
