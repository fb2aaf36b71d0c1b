from __future__ import annotations

import io
import math
import os
import shutil
import sqlite3
import struct
import zlib
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.mlflow import pictures, stores
from grader.checks.mlflow.logged import Logged, Model, Picture
from grader.checks.mlflow.pictures import Gallery
from grader.checks.mlflow.stores import StoredRun, find_runs, locate
from grader.checks.scripts.call import Called
from grader.checks.training import checks as training
from grader.checks.training.scenarios import Trained
from grader.files import NOTHING, open_tree
from grader.readers.table import clean, majority_share, read_table, shuffled, write_table
from grader.results import Outcome, Verdict
from grader.runtime.sandbox.model import Ended, Run
from tests.checks.live import live_context, lost, names, parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OK = Called(argv=("python", "t.py"), run=Run(argv=(), ended=Ended.EXITED, returncode=0), traceback=None)
BROKEN = replace(OK, run=Run(argv=(), ended=Ended.EXITED, returncode=1, stderr="no"))
KILLED = replace(OK, run=Run(argv=(), ended=Ended.WALL_LIMIT))
FOREST = Model(
    path="model", mlflow=True, loads=True, predicts=True,
    estimators=(("Pipeline",), ("RandomForestClassifier", "ForestClassifier")),
)  # fmt: skip
RUN = StoredRun(
    id="1", name="able-ape", status="FINISHED", store="tracking server", params={"n_estimators": "9"},
    metrics={"accuracy": 0.9},
)  # fmt: skip
WORDS = parameters("3.1", "training.picture")


def trained(*logged: Logged, called: Called = OK) -> Trained:
    return Trained(called=called, logged=logged)


def logged(*, models: tuple[Model, ...] = (), plots: tuple[Picture, ...] = (), **run: Any) -> Logged:
    return Logged(run=replace(RUN, **run), models=models, pictures=plots)


def said(outcome: Outcome) -> str:
    return "" if outcome.verdict is Verdict.PASSED else outcome.findings[0].message


@pytest.mark.parametrize(
    ("good", "message"),
    [
        (trained(called=BROKEN), "`python t.py` ended with status 1"),
        (trained(), "the script succeeded but logged no run"),
        (trained(logged(status="FAILED")), "none of the logged runs is finished"),
        (trained(logged(), called=BROKEN), "`python t.py` ended with status 1"),
        (trained(logged(status="FAILED"), logged()), ""),
        (trained(logged(store="mlflow.db")), ""),
    ],
)
def test_runs(good: Trained, message: str) -> None:
    assert said(training.judge_runs(good)) == message


@pytest.mark.parametrize(
    ("without", "passes"),
    [
        (trained(called=BROKEN), True),
        (trained(logged(status="FAILED"), called=BROKEN), True),
        (trained(logged(metrics={}), called=BROKEN), True),
        (trained(logged()), False),
    ],
)
def test_data(without: Trained, passes: bool) -> None:
    assert (training.judge_data(trained(logged()), without, "d.csv").verdict is Verdict.PASSED) is passes


def test_data_of_a_script_that_never_worked() -> None:
    assert said(training.judge_data(trained(called=BROKEN), None, "d.csv")) == "the script logged no run"


def test_no_run_at_all_is_one_mistake() -> None:
    for called in (BROKEN, OK):
        nothing = trained(called=called)
        outcomes = (
            training.judge_runs(nothing),
            training.judge_data(nothing, None, "d.csv"),
            training.judge_param(nothing, ["max_depth"]),
            training.judge_model(nothing, "RandomForestClassifier"),
            training.judge_artifact(nothing, through_mlflow=False),
            training.judge_picture(nothing, "confusion matrix", ["confusion"], []),
        )
        assert {outcome.cause for outcome in outcomes} == {"the script logged no run"}
    crashed_late = trained(logged(), called=BROKEN)
    assert (training.judge_runs(crashed_late).verdict, training.judge_runs(crashed_late).cause) == (
        Verdict.FAILED,
        "",
    )


def test_params_and_metrics() -> None:
    good = trained(logged(metrics={"f1_score": 0.5, "accuracy": 93.0, "recall": math.nan}), logged())
    assert said(training.judge_param(good, ["n_estimators"])) == ""
    for name in ("forest__max_depth", "model.max_depth", "model/max_depth"):
        assert said(training.judge_param(trained(logged(params={name: "5"})), ["max_depth"])) == ""
    assert said(training.judge_param(trained(logged(params={"my_max_depth": "5"})), ["max_depth"])) != ""
    assert said(training.judge_param(good, ["max_depth"])) == "max_depth is not among the logged params"
    assert said(training.judge_metric(good, ["f1", "f1_score"], 0, 1)) == ""
    assert said(training.judge_metric(good, ["accuracy"], 0, 1)) == ""
    assert (
        said(training.judge_metric(good, ["precision"], 0, 1)) == "precision is not among the logged metrics"
    )
    assert "not a number from 0 to 1" in said(training.judge_metric(good, ["recall"], 0, 1))
    assert said(training.judge_metric(trained(), ["recall"], 0, 1)) == "the script logged no run"


@pytest.mark.parametrize(
    ("noise", "passes"),
    [
        (trained(logged(metrics={"accuracy": 0.55})), True),
        (trained(logged(metrics={"accuracy_score": 51.0})), True),
        (trained(logged(metrics={"accuracy": 0.9})), False),
        (trained(logged(metrics={"accuracy": 1.0})), False),
        (trained(logged(metrics={"accuracy": math.nan})), False),
        (trained(called=BROKEN), True),
        (trained(called=KILLED), False),
    ],
)
def test_truth(noise: Trained, passes: bool) -> None:
    outcome = training.judge_truth(trained(logged()), noise, ["accuracy", "accuracy_score"], 0.52, 0.12)
    assert (outcome.verdict is Verdict.PASSED) is passes


def test_a_number_that_never_changes_is_none_that_was_measured() -> None:
    constant = trained(logged(metrics={"accuracy": 0.5}))
    assert training.judge_truth(constant, constant, ["accuracy"], 0.52, 0.12).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("models", "model", "predicts", "through_mlflow"),
    [
        ((FOREST,), "", "", ""),
        (
            (replace(FOREST, mlflow=False),),
            "",
            "",
            "the model is logged as a bare file, which MLflow cannot load",
        ),
        ((replace(FOREST, estimators=(("SVC",),)),), "the logged model is not a Forest", "", ""),
        (
            (replace(FOREST, loads=False, predicts=False, estimators=(), error="no"),),
            *("the logged model cannot be loaded",) * 3,
        ),
        ((replace(FOREST, predicts=False, error="no"),), "", *("the logged model cannot predict",) * 2),
        ((), *("no model was logged",) * 3),
    ],
)
def test_models(models: tuple[Model, ...], model: str, predicts: str, through_mlflow: str) -> None:
    good = trained(logged(models=models))
    assert said(training.judge_model(good, "RandomForestClassifier")) == model.replace(
        "Forest", "RandomForestClassifier"
    )
    assert said(training.judge_artifact(good, through_mlflow=False)) == predicts
    assert said(training.judge_artifact(good, through_mlflow=True)) == through_mlflow


KERAS = Model(path="model", mlflow=True, confirmed=False, flavor="keras", error="its own code")


@pytest.mark.parametrize(
    ("models", "model", "artifact"),
    [
        ((KERAS,), Verdict.FAILED, Verdict.UNVERIFIED),
        ((KERAS, FOREST), Verdict.PASSED, Verdict.PASSED),
        ((replace(KERAS, flavor=""),), Verdict.FAILED, Verdict.FAILED),
        ((replace(KERAS, confirmed=True),), Verdict.FAILED, Verdict.FAILED),
    ],
)
def test_a_flavor_that_only_its_library_can_read_is_left_open(
    models: tuple[Model, ...], model: Verdict, artifact: Verdict
) -> None:
    good = trained(logged(models=models))
    assert training.judge_model(good, "RandomForestClassifier").verdict is model
    assert training.judge_artifact(good, through_mlflow=True).verdict is artifact


@pytest.mark.parametrize(
    ("plots", "message"),
    [
        ([("confusion_matrix.png", "")], ""),
        ([("plots/cm.png", "")], ""),
        ([("figure1.png", "")], ""),
        ([("roc.png", "")], "no image of a confusion matrix is among the artifacts"),
        ([("estimator.html", "")], "no image of a confusion matrix is among the artifacts"),
        ([], "no image of a confusion matrix is among the artifacts"),
        (
            [("confusion.png", "it is blank"), ("figure.png", "")],
            "confusion.png is not a valid image: it is blank",
        ),
    ],
)
def test_pictures_by_name(plots: list[tuple[str, str]], message: str) -> None:
    found = tuple(Picture(path=path, problem=problem) for path, problem in plots)
    outcome = training.judge_picture(
        trained(logged(plots=found)), WORDS["shows"], WORDS["words"], WORDS["other_words"]
    )
    assert said(outcome) == message


def png(size: tuple[int, int], *, blank: bool = False) -> bytes:
    from PIL import Image

    image = Image.new("RGB", size, "white")
    if not blank:
        image.putpixel((1, 1), (0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.png", png((64, 64)), ""),
        ("a.png", png((64, 64), blank=True), "it is blank"),
        ("a.png", png((2, 2)), "only 2 x 2 pixels"),
        ("a.png", png((64, 64))[:60], "cannot be decoded"),
        ("a.jpg", b"\x89PNG nonsense", "not an image"),
        ("a.png", b"", "it is empty"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>", ""),
        ("a.svg", b"<svg/>", "the drawing is empty"),
        ("a.svg", b"<svg", "not valid SVG"),
        ("a.pdf", b"%PDF-1.4 /Type /Page", ""),
        ("a.pdf", b"hello", "not a PDF page"),
        ("a.html", b"<html><img src='data:'></html>", ""),
        ("a.html", b"<html></html>", "the page shows no image"),
    ],
)
def test_real_pictures(name: str, content: bytes, problem: str) -> None:
    found = Gallery().judge(name, content).problem
    assert found.startswith(problem)
    assert bool(found) is bool(problem)


def png_that_claims(width: int, height: int) -> bytes:
    """The first chunk alone: nothing may be set aside for what it announces."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    begin = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
    return begin + b"\0\0\0\x08IDAT" + b"x" * 8


ENTITIES = b"".join(b"<!ENTITY b%d '%s'>" % (n + 1, b"&b%d;" % n * 10) for n in range(11))
BOMBS: dict[str, tuple[str, bytes | None, str]] = {
    "unreadable": ("a.png", None, "too large for a plot"),
    "large": ("a.png", b"x" * (pictures.MAX_BYTES + 1), "too large for a plot"),
    "endless": ("a.png", png_that_claims(2**31 - 1, 2**31 - 1), "too large for a plot"),
    "wide": ("a.png", png_that_claims(10_000, 10_000), "too large for a plot"),
    "cut short": ("a.png", png_that_claims(5_000, 5_000), "cannot be decoded"),
    "never closed": ("a.svg", b"<a>" * 1_000_000, "not valid SVG"),
    "deep": ("a.svg", b"<svg>" + b"<g>" * 500_000 + b"</g>" * 500_000 + b"</svg>", "the drawing is empty"),
    "unknown encoding": ("a.svg", b'<?xml version="1.0" encoding="no-such"?><svg/>', "not valid SVG"),
    "entities": (
        "a.svg",
        b"<!DOCTYPE s [<!ENTITY b0 '" + b"x" * 1000 + b"'>" + ENTITIES + b"]><svg>&b11;<path/></svg>",
        "not valid SVG",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_among_pictures(bomb: str) -> None:
    name, content, problem = BOMBS[bomb]
    assert Gallery().judge(name, content).problem.startswith(problem)


def test_who_looks_again_sees_what_was_judged() -> None:
    from PIL import Image

    judged = Gallery().judge("cm.png", png((2000, 1000)) + b"<script>")
    found = Picture(path="cm.png", problem=judged.problem, thumbnail=judged.thumbnail)
    (shown,) = training.judge_picture(
        trained(logged(plots=(found,))), WORDS["shows"], WORDS["words"], WORDS["other_words"]
    ).thumbnails
    assert (shown.name, Image.open(io.BytesIO(shown.png)).size) == ("cm.png", (480, 240))
    assert len(shown.png) < pictures.MAX_THUMBNAIL
    assert b"script" not in shown.png


def test_pictures_without_end() -> None:
    gallery, picture = Gallery(), png((4000, 4000))
    problems = [gallery.judge("a.png", picture).problem for _ in range(pictures.MAX_PICTURES + 1)]
    several = pictures.MAX_PIXELS_IN_ALL // 4000**2
    assert problems[: several + 1] == [""] * several + ["too large for a plot"]
    assert problems[-1] == f"not checked: there are more than {pictures.MAX_PICTURES} images"


def test_tables() -> None:
    table = read_table(b"\xef\xbb\xbfa,target\r\n1,0\r\n1,0\r\n,1\r\n2,1\r\n3,1\r\n")
    kept = clean(table, drop_duplicates=True, drop_blanks=True)
    assert kept == [["a", "target"], ["1", "0"], ["2", "1"], ["3", "1"]]
    assert clean(table, drop_duplicates=False, drop_blanks=False) == table
    assert majority_share(kept, "target") == 2 / 3
    assert read_table(write_table(kept)) == kept
    many = [["target", "n"], *([str(n % 2), str(n)] for n in range(50))]
    dealt = shuffled(many, "target", "seed")
    assert dealt != many
    assert [row[1] for row in dealt] == [row[1] for row in many]
    assert sorted(row[0] for row in dealt) == sorted(row[0] for row in many)
    assert dealt == shuffled(many, "target", "seed") != shuffled(many, "target", "other")


# --- stores in the workspace ----------------------------------------------------------------------


def stored(workspace: Path) -> tuple[StoredRun, ...]:
    (workspace.parent / "private").mkdir()
    return find_runs(open_tree(workspace), workspace.parent / "private")


def database(path: Path, uri: str = "/workspace/mlruns/0/r1/artifacts") -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            create table runs (run_uuid text, name text, status text, artifact_uri text);
            create table params (run_uuid text, key text, value text);
            create table latest_metrics (run_uuid text, key text, value real, is_nan integer);
            insert into params values ('r1', 'max_depth', 'None');
            insert into latest_metrics values ('r1', 'accuracy', 0.9, 0), ('r1', 'f1', 0, 1);
            """
        )
        connection.execute("insert into runs values ('r1', 'ape', 'FINISHED', ?)", (uri,))
        connection.commit()


def test_a_database_of_its_own(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "mlruns/0/r1/artifacts").mkdir(parents=True)
    (workspace / "mlruns/0/r1/artifacts/file").write_text("x")
    database(workspace / "mlflow.db")
    (run,) = stored(workspace)
    assert (run.id, run.finished, run.store, run.params) == ("r1", True, "mlflow.db", {"max_depth": "None"})
    assert run.metrics["accuracy"] == 0.9
    assert math.isnan(run.metrics["f1"])
    assert run.artifacts.read("file", 10) == b"x"


def test_runs_that_were_there_before_fill_no_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_RUNS", 2)
    workspace = tmp_path / "workspace"
    for name in ("0", "1", "2", "3"):
        run = workspace / f"mlruns/1/{name}"
        (run / "metrics").mkdir(parents=True)
        (run / "meta.yaml").write_text(f"run_id: '{name}'\nstatus: 3\n")
    database(workspace / "mlflow.db")
    with closing(sqlite3.connect(workspace / "mlflow.db")) as connection:
        connection.executemany("insert into runs values (?, '', 'FINISHED', '')", [("r2",), ("r3",), ("r4",)])
        connection.commit()
    (tmp_path / "private").mkdir()
    ids = stores.find_run_ids(open_tree(workspace), tmp_path / "private")
    assert ids == {"0", "1", "2", "3", "r1", "r2", "r3", "r4"}
    found = [
        [run.id for run in find_runs(open_tree(workspace), tmp_path / f"private{number}", known=ids - new)]
        for number, new in enumerate(({"3", "r1"}, {"r1", "r2", "r3"}, {"2"}))
    ]
    assert found == [["r1", "3"], ["r3", "r2"], ["2"]]


def test_a_directory_of_its_own(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    run = workspace / "mlruns/0/r1"
    for name, text in {
        "meta.yaml": "run_id: r1\nrun_name: ape\nstatus: 3\nartifact_uri: file:///workspace/mlruns/0/r1/artifacts\n",
        "params/max_depth": "5\n",
        "metrics/accuracy": "1 0.5 0\n2 0.75 1\n",
        "metrics/nonsense": "x\n",
        "artifacts/plot.png": "",
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    (found,) = stored(workspace)
    assert [entry.path for entry in found.artifacts.walk()] == ["plot.png"]
    assert replace(found, artifacts=NOTHING) == (
        StoredRun(
            id="r1",
            name="ape",
            status="FINISHED",
            store="mlruns",
            params={"max_depth": "5"},
            metrics={"accuracy": 0.75},
        )
    )


VIEW = """
create view runs as with recursive n(i) as (select 1 union all select i + 1 from n)
    select i as run_uuid, i as name, i as status, i as artifact_uri from n where i < 0;
create table params (run_uuid, key, value);
create table latest_metrics (run_uuid, key, value, is_nan);
"""
COMPUTED = """
create table runs (
    run_uuid, name, status, artifact_uri as (replace(hex(zeroblob(400000)), '0', hex(zeroblob(9))))
);
create table params (run_uuid, key, value);
create table latest_metrics (run_uuid, key, value, is_nan);
insert into runs values ('r1', 'ape', 'FINISHED');
"""
VIRTUAL = """
create virtual table runs using fts5(run_uuid, name, status, artifact_uri);
create table params (run_uuid, key, value);
create table latest_metrics (run_uuid, key, value, is_nan);
insert into runs values ('r1', 'ape', 'FINISHED', '');
"""


@pytest.mark.parametrize("script", [VIEW, COMPUTED, VIRTUAL, "create table runs (x)", ""])
def test_databases_that_compute(tmp_path: Path, script: str) -> None:
    (tmp_path / "workspace").mkdir()
    with closing(sqlite3.connect(tmp_path / "workspace/d.db")) as connection:
        connection.executescript(script)
    assert stored(tmp_path / "workspace") == ()


def test_a_log_of_writes_is_read_and_a_journal_is_not(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "victim").write_text("x")
    with closing(sqlite3.connect(workspace / "a.db")) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma wal_autocheckpoint = 0")
        database(workspace / "a.db")
        # What stands beside it is no business of SQLite's: a link, and a journal that names a file to remove.
        (workspace / "a.db-journal").symlink_to(tmp_path / "victim")
        assert [run.name for run in stored(workspace)] == ["ape"]
    assert (tmp_path / "victim").read_text() == "x"


def test_stores_that_are_none(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    outside.mkdir()
    workspace.mkdir()
    database(outside / "real.db")
    (workspace / "a.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 500)
    (workspace / "b.db").mkdir()
    (workspace / "c.db").symlink_to(outside / "real.db")
    os.mkfifo(workspace / "d.db")
    with (workspace / "e.db").open("wb") as file:
        file.truncate(2**40)
    for number, text in enumerate(("[]", "run_id: [", "x: 1", "\0", "run_id: x\nstatus: 3 " + "#" * 100_000)):
        place = workspace / "mlruns/0" / str(number)
        (place / "metrics").mkdir(parents=True)
        (place / "meta.yaml").write_text(text)
    assert stored(workspace) == ()


@pytest.mark.parametrize(
    "linked", ["", "metrics", "params", "artifacts", "meta.yaml", "metrics/accuracy", "params/x"]
)
def test_links_in_a_store(tmp_path: Path, linked: str) -> None:
    """Wherever a link stands, what it leads to is not there."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside/run"
    run = workspace / "mlruns/0/run"
    for folder in (outside, run):
        for name in ("metrics/accuracy", "params/x", "artifacts/plot.png"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"1 0.5 {folder}")
        (folder / "meta.yaml").write_text(
            "run_id: r1\nstatus: 3\nartifact_uri: /workspace/mlruns/0/run/artifacts"
        )
    place = run / linked
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    place.symlink_to(outside / linked)
    found = stored(workspace)
    assert str(outside) not in repr([(each.params, each.metrics) for each in found])
    assert [len(found), *(len(list(each.artifacts.walk())) for each in found)] == {
        "": [0],
        "meta.yaml": [0],
        "metrics": [0],
        "artifacts": [1, 0],
    }.get(linked, [1, 1])


def test_values_of_every_kind(tmp_path: Path) -> None:
    run = tmp_path / "workspace/mlruns/0/run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text(
        f"run_id: 0x{'f' * 50}\nrun_name: [x]\nstatus: {{}}\nartifact_uri: 2001-01-01"
    )
    (run / "metrics/accuracy").write_text(f"1 {'9' * 5000} 0")
    (found,) = stored(tmp_path / "workspace")
    assert (found.id, found.name, found.status, found.metrics) == ("", "", "", {"accuracy": math.inf})


def test_artifacts_stay_inside(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "in").mkdir(parents=True)
    (workspace / "in/file").write_text("x")
    (workspace / "out").symlink_to("/etc")
    tree = open_tree(workspace)
    for uri in ("/workspace/in", "file:///workspace/in", "in", "./in"):
        assert locate(uri, tree).read("file", 10) == b"x"
    for uri in (
        "/workspace/out",
        "/workspace/../../etc",
        "s3://bucket/in",
        "http://[",
        "None",
        "/in",
        "/etc",
    ):
        assert list(locate(uri, tree).walk()) == []


# --- real scripts ---------------------------------------------------------------------------------

HEAD = """
import matplotlib; matplotlib.use("Agg")
import mlflow, mlflow.sklearn, joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import *
from sklearn.model_selection import train_test_split
"""
SPLIT = """
data = pd.read_csv(PATH)
X, y = data.drop(columns="target"), data["target"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
params = {"n_estimators": 20, "max_depth": None, "random_state": 1}
"""
FIT = """
model = RandomForestClassifier(**params).fit(X_train, y_train)
predicted = model.predict(X_test)
metrics = {"accuracy": accuracy_score(y_test, predicted), "precision": precision_score(y_test, predicted),
           "recall": recall_score(y_test, predicted), "f1_score": f1_score(y_test, predicted)}
"""
LOG = """
mlflow.log_params(params)
mlflow.log_metrics(metrics)
ConfusionMatrixDisplay.from_predictions(y_test, predicted).figure_.savefig("cm.png")
mlflow.log_artifact("cm.png")
"""
MODEL = "mlflow.sklearn.log_model(model, 'model', pip_requirements=['mlflow'])\n"
PATH = 'PATH = "data/processed/train_clean.csv"\n'
PARTS = names("3.1")
WHOLE = HEAD + PATH + SPLIT + FIT + LOG + MODEL

SCRIPTS: Mapping[str, tuple[str, set[str]]] = {
    "without-with": (WHOLE, set()),
    "its-own-database": ("import mlflow\nmlflow.set_tracking_uri('sqlite:///mlflow.db')\n" + WHOLE, set()),
    "its-own-directory": (
        "import os\nos.environ['MLFLOW_ALLOW_FILE_STORE'] = 'true'\n"
        "import mlflow\nmlflow.set_tracking_uri('file:./mlruns')\n" + WHOLE,
        set(),
    ),
    "autologged": (HEAD + "mlflow.sklearn.autolog()\n" + PATH + SPLIT + FIT + LOG, set()),
    "several-runs": (
        HEAD + PATH + SPLIT + "for params['max_depth'] in (3, 5):\n  with mlflow.start_run():\n    "
        + (FIT + LOG + MODEL).strip().replace("\n", "\n    "),
        set(),
    ),
    "arguments": (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--data', required=True)\n"
        "PATH = parser.parse_args().data\n" + WHOLE.replace(PATH, ""),
        set(),
    ),
    "bare-file": (
        HEAD + PATH + SPLIT + FIT + LOG + "joblib.dump(model, 'm.pkl'); mlflow.log_artifact('m.pkl')\n",
        {"3.1.artifact/mlflow"},
    ),
    "other-data": (WHOLE.replace("data/processed/train_clean.csv", "data/raw/train.csv").replace(
        "pd.read_csv(PATH)", "pd.read_csv(PATH).dropna()"), {"3.1.data"}),
    "other-model": (
        WHOLE.replace("RandomForestClassifier(**params)", "LogisticRegression(max_iter=9999)"), {"3.1.model"}
    ),
    "measured-on-what-it-learned": (
        WHOLE.replace("predict(X_test)", "predict(X_train)").replace("y_test, pred", "y_train, pred"),
        {"3.1.metrics/true"},
    ),
    "wishful": (
        WHOLE.replace('"accuracy": accuracy_score(y_test, predicted)', '"accuracy": 0.93'),
        {"3.1.metrics/true"},
    ),
    "dies-before-the-model": (
        HEAD + PATH + SPLIT + FIT + "with mlflow.start_run():\n    " + LOG.strip().replace("\n", "\n    ")
        + "\n    raise ValueError('no')",
        {"3.1.runs", "3.1.model", "3.1.artifact/predicts", "3.1.artifact/mlflow"},
    ),
    "nothing-logged": (HEAD + PATH + SPLIT + FIT, set(PARTS)),
    "crashes": (HEAD + PATH + "raise KeyError('x')", set(PARTS)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_real_scripts(root: Path, name: str) -> None:
    source, expected = SCRIPTS[name]
    with live_context(root, {"src/train.py": source}, deliverables={"train": "src/train.py"}) as context:
        found = lost(context, "3.1")
        assert set(found) == expected
        if name == "crashes":
            assert found["3.1.runs"].findings[0].message == "`python src/train.py` stopped with KeyError: 'x'"
