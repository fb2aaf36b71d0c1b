from __future__ import annotations

import ast
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from grader.checks.scripts.call import Called, script
from grader.checks.serving import asgi, exposition, scenarios
from grader.checks.serving import checks as serving
from grader.checks.serving import static as serving_source
from grader.checks.serving.asgi import Answer, Target, ask, find, starts
from grader.checks.serving.scenarios import Client, Served, choose
from grader.errors import GraderFault
from grader.results import Outcome, Verdict
from grader.runtime.sandbox.model import Ended, Run
from grader.submission.model import Manifest
from tests.builders import make_context, make_submission
from tests.checks.live import live_context, lost, names, parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REFUSED = {"type": (("{}", Answer(request="POST /predict", status=422)),)}
OPENAPI = {
    "paths": {
        "/predict": {
            "post": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/R"}}}
                }
            }
        }
    },
    "components": {"schemas": {"R": {"properties": {"features": {"type": "array"}}}}},
}
METRICS = '# TYPE hits_total counter\nhits_total 3.0\npython_info{version="3"} 1.0\n'


def answer(status: int | None, body: object = "", path: str = "GET /x") -> Answer:
    return Answer(request=path, status=status, body=body if isinstance(body, str) else json.dumps(body))


SERVED = Served(
    shown="uvicorn",
    expected=(0, 1, 1, 0),
    health=answer(200, {"status": "healthy", "more": 1}),
    ready=(answer(503), answer(200)),
    predict=answer(200, {"predictions": [0, 1, 1, 0], "model_version": "3"}),
    alone=(1,),
    predict_alone=answer(200, {"predictions": [1], "model_version": "3"}),
    refused=REFUSED,
    openapi=answer(200, OPENAPI),
    metrics=answer(200, METRICS),
)
DEAD = Served(
    shown="uvicorn",
    failure=Called(argv=("uvicorn",), run=Run(argv=(), ended=Ended.EXITED, returncode=3), traceback=None),
)


def verdicts(seen: Served) -> dict[str, Outcome]:
    return {
        "health": serving.judge_health(seen, {"status": "healthy"}),
        "ready": serving.judge_ready(seen),
        "counts": serving.judge_counts(seen, "predictions"),
        "agrees": serving.judge_agrees(seen, "predictions"),
        "version": serving.judge_version(seen, "model_version"),
        "refuses": serving.judge_refuses(seen, "type", 422),
        "schema": serving.judge_schema(seen, "/predict", "features"),
        "valid": serving.judge_metrics(seen, []),
        "own": serving.judge_metrics(seen, ["python_"]),
    }


def failing(seen: Served) -> set[str]:
    return {name for name, outcome in verdicts(seen).items() if outcome.verdict is Verdict.FAILED}


def test_a_right_one() -> None:
    assert failing(SERVED) == set()


def test_one_that_does_not_boot() -> None:
    assert failing(DEAD) == set(verdicts(DEAD))
    assert {outcome.cause for outcome in verdicts(DEAD).values()} == {
        "the application never answered a request"
    }
    assert serving.judge_not_ready(DEAD).verdict is Verdict.PASSED


def test_a_prediction_that_is_not_answered_is_one_mistake() -> None:
    found = verdicts(replace(SERVED, predict=answer(500, path="POST /predict")))
    assert {name: outcome.cause for name, outcome in found.items() if outcome.cause} == dict.fromkeys(
        ("counts", "agrees", "version"), "POST /predict does not answer valid requests"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"health": answer(200, {"status": "ok"})}, {"health"}),
        ({"health": answer(500, {"status": "healthy"})}, {"health"}),
        ({"health": answer(200, '"healthy"')}, {"health"}),
        ({"ready": (answer(503),)}, {"ready"}),
        ({"predict": answer(None)}, {"counts", "agrees", "version"}),
        ({"predict": answer(200, [[0, 1, 1, 0]])}, {"counts", "agrees", "version"}),
        ({"predict": answer(200, {"predictions": [0, 1, 1]})}, {"counts", "agrees", "version"}),
        ({"predict": answer(200, {"predictions": [1, 0, 0, 1], "model_version": 1})}, {"agrees"}),
        ({"predict": answer(200, {"predictions": ["0", "1", "1", "0"], "model_version": 1})}, set()),
        ({"predict": answer(200, {"predictions": [[0.0], [1.0], [True], [0]], "model_version": 1})}, set()),
        ({"predict": answer(200, {"predictions": [[0, 1, 1, 0]], "model_version": 1})}, set()),
        (
            {"predict": answer(200, {"predictions": [{}, None, [], 0], "model_version": " "})},
            {"agrees", "version"},
        ),
        ({"predict": answer(200, {"predictions": [0, 1, 1, 0], "model_version": None})}, {"version"}),
        ({"predict_alone": answer(200, {"predictions": 1})}, {"counts", "agrees"}),
        ({"predict_alone": answer(200, {"predictions": [0, 1, 1, 0, 1]})}, {"counts", "agrees"}),
        ({"predict_alone": answer(200, {"predictions": [0]})}, {"agrees"}),
        ({"predict_alone": answer(200, {"predictions": [[1]]})}, set()),
        ({"refused": {"type": (("x", answer(422)), ("y", answer(400)))}}, {"refuses"}),
        ({"openapi": answer(404)}, {"schema"}),
        ({"openapi": answer(200, {"paths": {"/predict": {"post": {}}}})}, {"schema"}),
        ({"openapi": answer(200, {"paths": [], "components": 3})}, {"schema"}),
        ({"metrics": answer(200, json.dumps(METRICS))}, {"valid", "own"}),
        ({"metrics": answer(200, "")}, {"valid", "own"}),
        ({"metrics": answer(404, METRICS)}, {"valid", "own"}),
        ({"metrics": answer(200, "python_info 1\n")}, {"own"}),
    ],
)
def test_what_loses_what(change: dict[str, Any], expected: set[str]) -> None:
    assert failing(replace(SERVED, **change)) == expected


def test_without_a_model() -> None:
    assert (
        serving.judge_not_ready(replace(SERVED, ready=(answer(503), answer(None)))).verdict is Verdict.PASSED
    )
    outcome = serving.judge_not_ready(SERVED)
    assert outcome.findings[0].message == "GET /x answers 200 although no model is available"


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/components/schemas/R"}, {"$ref": 3}, [], {"allOf": 3, "properties": 4}]
)
def test_a_schema_that_goes_round_in_a_circle(schema: object) -> None:
    document = {
        "paths": {"/predict": {"post": {"requestBody": {"content": {"x": {"schema": schema}}}}}},
        "components": {"schemas": {"R": {"anyOf": [{"$ref": "#/components/schemas/R"}]}}},
    }
    assert list(serving.body_fields(document, "/predict")) == []


def test_schemas_that_fan_out_are_followed_once() -> None:
    fan = {
        f"S{n}": {"allOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 10, "properties": {f"p{n}": {}}}
        for n in range(30)
    }
    document = {
        "paths": {
            "/predict": {
                "post": {"requestBody": {"content": {"x": {"schema": {"$ref": "#/components/schemas/S0"}}}}}
            }
        },
        "components": {"schemas": fan},
    }
    assert list(serving.body_fields(document, "/predict")) == [f"p{n}" for n in range(30)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("from fastapi import FastAPI\napp = FastAPI()\napi = FastAPI()", Target()),
        ("service = FastAPI(title='x')", Target("service")),
        ("service: FastAPI = fastapi.FastAPI()", Target("service")),
        ("try:\n    from .main import app\nexcept ImportError:\n    from main import app", Target()),
        ("def helper(): pass\ndef create_app():\n    return FastAPI()", Target("create_app", factory=True)),
        ("def create_app():\n    return FastAPI()\napp = create_app()", Target()),
        ("", Target()),
    ],
)
def test_what_is_served(source: str, target: Target) -> None:
    assert find(ast.parse(source)) == target


def argvs(root: Path, path: str, manifest: Manifest | None = None) -> list[str]:
    what = script(make_submission(root, {path: ""}, deliverables={"api": path}, manifest=manifest), "api")
    assert what is not None
    return [" ".join(start.argv) for start in starts(what, Target(), host="h", port=1)]


def test_how_it_is_booted(root: Path) -> None:
    assert argvs(root, "src/api.py") == [
        "python -m uvicorn src.api:app --host h --port 1",
        "python -m uvicorn --app-dir src api:app --host h --port 1",
    ]
    assert argvs(root, "api.py") == ["python -m uvicorn api:app --host h --port 1"]
    assert argvs(root, "api.py", Manifest(commands={"api": ("./serve",)})) == ["./serve"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("PATH = 'artifacts/model.joblib'", ("artifacts/model.joblib",)),
        ("p = Path('artifacts') / 'v1' / 'm.pkl'", ("artifacts/v1/m.pkl", "m.pkl")),
        ("p = os.path.join(BASE, 'artifacts', 'm.pkl')", ("artifacts/m.pkl", "m.pkl")),
        ("p = '/app/m.pkl', '../m.pkl', 'api.py/m.pkl', 'lib/x.pkl', 'm.txt', 'a\\0.pkl'", ()),
    ],
)
def test_where_a_model_may_be(root: Path, source: str, expected: tuple[str, ...]) -> None:
    files = {"api.py": source, "lib/x.pkl/readme": "a folder"}
    submission = make_submission(root, files, deliverables={"api": "api.py"})
    start = submission.deliverable("api")
    assert start is not None
    assert set(serving_source.model_paths(submission, start, [".pkl", ".joblib"])) == set(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class B(BaseModel):\n    features: list\ndef f(b: B): ...", "api.py:2"),
        (
            "class C(B): ...\nclass B(BaseModel): ...\nclass D(C):\n    features: list\ndef f(d: 'D'): ...",
            "api.py:4",
        ),
        ("@dataclass(frozen=True)\nclass B:\n    features: list\ndef f(b: Annotated[B, 1]): ...", "api.py:3"),
        ("class B(BaseModel):\n    features: list", ""),
        ("class B(BaseModel):\n    features = 1\ndef f(b: B): ...", ""),
        ("class B:\n    features: list\ndef f(b: B): ...", ""),
    ],
)
def test_a_model_in_the_source(root: Path, source: str, expected: str) -> None:
    head = "from pydantic import BaseModel; from pydantic.dataclasses import dataclass\n"
    submission = make_submission(root, {"api.py": head + source}, deliverables={"api": "api.py"})
    start = submission.deliverable("api")
    assert start is not None
    assert serving_source.model_of(submission, start, "features") == expected


def test_exposition() -> None:
    assert exposition.metric_names(METRICS) == ("hits", "python_info")
    assert isinstance(exposition.metric_names("<html></html>"), str)
    assert isinstance(exposition.metric_names("hits 1\n", "application/openmetrics-text"), str)
    labels = ",".join(f'l{n}="x"' for n in range(50_000))
    assert exposition.metric_names(f"hits{{{labels}}} 1\n") == "a line has more than 10,000 characters"


def test_rows_of_both_classes_in_mixed_order() -> None:
    rows = [[float(n)] for n in range(40)]
    predicted = [0] * 20 + [1] * 20
    chosen, expected = choose(rows, predicted, 10, seed=3)
    assert [predicted[int(row[0])] for row in chosen] == list(expected)
    assert (len(chosen), sum(expected)) == (10, 5)
    assert list(expected) not in (sorted(expected), sorted(expected, reverse=True))
    assert choose(rows, predicted, 10, seed=4) != (chosen, expected)
    with pytest.raises(GraderFault, match="the same for every row"):
        choose(rows, [1] * 40, 10, seed=3)


LOGS = "import mlflow\nmlflow.sklearn.log_model(m, 'm', signature=s)\n"
ONLY_SIGNED = "'NoneType' object has no attribute 'input_names'"
ONLY_UNSIGNED = "Failed to enforce schema of data"


@pytest.mark.parametrize(
    ("train", "fails_with", "said", "tried", "answered", "remark"),
    [
        (LOGS, {}, "", [True], True, ""),
        ("", {}, "", [False], True, ""),
        (LOGS, {True}, ONLY_UNSIGNED, [True, False], False, "no signature, and the submission's own"),
        (LOGS, {True, False}, ONLY_UNSIGNED, [True, False], False, ""),
        (LOGS, {True}, "out of memory", [True], False, ""),
        ("", {False}, ONLY_SIGNED, [False, True], True, "only with a model whose signature"),
    ],
)
def test_a_model_is_served_as_training_logs_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: str,
    fails_with: set[bool],
    said: str,
    tried: list[bool],
    answered: bool,
    remark: str,
) -> None:
    asked: list[bool] = []

    def serve(_context: object, _scenario: object, *, signature: bool) -> Served:
        asked.append(signature)
        return replace(SERVED, predict=answer(500), log=said) if signature in fails_with else SERVED

    monkeypatch.setattr(scenarios, "_serve_model", serve)
    context = make_context(tmp_path, {"src/train.py": train}, deliverables={"train": "src/train.py"})
    found = scenarios.served(context, parameters("4.1", "serving.health")["scenario"])
    assert (asked, found.answered) == (tried, answered)
    assert remark in found.remark
    assert bool(found.remark) is bool(remark)


class Logging:
    """A server that writes a traceback with each error, after an old one."""

    def __init__(self) -> None:
        self.log = traceback("ValueError: of an earlier request")
        self.client = httpx.Client(transport=httpx.MockTransport(self.answer), base_url="http://x")

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(500)
        self.log += traceback("KeyError: 'features'")
        return httpx.Response(500)

    def output(self) -> str:
        return self.log


def traceback(said: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        '  File "/venv/site-packages/uvicorn.py", line 1, in run\n    app()\n'
        f'  File "/workspace/src/api.py", line 7, in predict\n    rows()\n{said}\n'
    )


def test_the_exception_behind_a_server_error() -> None:
    scenario = parameters("4.1", "serving.health")["scenario"].changed(request_seconds=5)
    client = Client(cast("Any", Logging()), "uvicorn", scenario, ("/workspace",))
    assert client.post("{}").cause == (
        "  File \"src/api.py\", line 7, in predict\n    rows()\nKeyError: 'features'"
    )
    assert client.get("/ready").cause == ""


def test_asking_what_answers_nonsense() -> None:
    def endless(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/loop":
            return httpx.Response(302, headers={"location": "/loop"})
        return httpx.Response(200, content=b"\xff\xfe{}")

    client = httpx.Client(transport=httpx.MockTransport(endless), base_url="http://x")
    assert ask(client, "GET", "/", seconds=1).json is None
    assert ask(client, "GET", "/loop", seconds=1).status is None


def test_an_answer_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "MAX_BYTES", 10)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 11))
    got = ask(httpx.Client(transport=transport, base_url="http://x"), "GET", "/", seconds=1)
    assert got == Answer(request="GET /", error="the answer has more than 10 bytes")


def test_who_is_never_in_time_is_not_asked_for_ever() -> None:
    requests: list[str] = []

    def late(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        raise httpx.ReadTimeout("late", request=request)

    app = Logging()
    app.client = httpx.Client(transport=httpx.MockTransport(late), base_url="http://x")
    scenario = parameters("4.1", "serving.health")["scenario"].changed(request_seconds=0)
    client = Client(cast("Any", app), "", scenario, ())
    answers = [client.get("/a") for _ in range(5)]
    assert requests == ["/a"] * 3
    assert answers[-1].error == "not sent, since GET /a, GET /a, GET /a got no answer in time"


# --- real applications ----------------------------------------------------------------------------

HEAD = """
import os
import joblib
import numpy as np
from fastapi import FastAPI, HTTPException, Response
from prometheus_client import Counter, generate_latest, make_asgi_app
from pydantic import BaseModel

HITS = Counter("hits", "Requests")
sort = sorted
"""
BODY = """
class Rows(BaseModel):
    features: list[list[float]]
"""
ROUTES = """
@app.get("/health")
def health():
    return {"status": "healthy"}

@app.get("/ready")
def ready(response: Response):
    if model() is None:
        response.status_code = 503
    return {"ready": model() is not None}

@app.post("/predict")
def predict(rows: Rows):
    if model() is None:
        raise HTTPException(503, "no model")
    HITS.inc()
    return {"predictions": model().predict(np.array(rows.features)).tolist(), "model_version": "1"}
"""
METRICS_ROUTE = """
@app.get("/metrics")
def metrics():
    return Response(generate_latest(), media_type="text/plain")
"""
MOUNTED_METRICS = "app.mount('/metrics', make_asgi_app())\n"
FILE_MODEL = """
_model = None
def model():
    global _model
    if _model is None and os.path.exists("models/model.pkl"):
        _model = joblib.load("models/model.pkl")
    return _model
"""
PICKLED_MODEL = "import pickle\n" + FILE_MODEL.replace(
    'joblib.load("models/model.pkl")', 'pickle.load(open("models/model.pkl", "rb"))'
)
REGISTRY_MODEL = """
import mlflow
_model = None
def model():
    global _model
    if _model is None:
        try:
            _model = mlflow.pyfunc.load_model("models:/ExamClassifier/Staging")
        except Exception:
            return None
    return _model
"""
APP = "app = FastAPI()\n"
EVERYTHING = names("4.1")

APPLICATIONS: Mapping[str, tuple[Mapping[str, str], set[str]]] = {
    "file-lazily": ({"src/api.py": HEAD + BODY + FILE_MODEL + APP + ROUTES + METRICS_ROUTE}, set()),
    "file-by-plain-pickle": (
        {
            "src/api.py": HEAD + BODY + PICKLED_MODEL
            + APP + ROUTES + METRICS_ROUTE
        },
        set(),
    ),
    "registry-by-pyfunc-and-mounted-metrics": (
        {"src/api.py": HEAD + BODY + REGISTRY_MODEL + APP + ROUTES + MOUNTED_METRICS},
        set(),
    ),
    "src-on-the-path": (
        {
            "src/api.py": "from schemas import Rows\n" + HEAD + FILE_MODEL + APP + ROUTES + METRICS_ROUTE,
            "src/schemas.py": "from pydantic import BaseModel\n" + BODY,
        },
        set(),
    ),
    "refuses-to-start-without": (
        {
            "src/api.py": HEAD + BODY + "_model = joblib.load('models/model.pkl')\n"
            + "def model(): return _model\n" + APP + ROUTES + METRICS_ROUTE
        },
        set(),
    ),
    "loads-at-the-first-prediction": (
        {
            "src/api.py": HEAD + BODY + APP + FILE_MODEL
            + ROUTES.replace("if model() is None:\n        response", "if _model is None:\n        response")
            + METRICS_ROUTE
        },
        set(),
    ),
    "factory": (
        {
            "src/api.py": HEAD + BODY + FILE_MODEL + "def create_app():\n    app = FastAPI()\n"
            + (ROUTES + METRICS_ROUTE).replace("\n", "\n    ") + "\n    return app\n"
        },
        set(),
    ),
    "always-ready": (
        {
            "src/api.py": HEAD + BODY + FILE_MODEL + APP
            + ROUTES.replace("response.status_code = 503", "pass") + METRICS_ROUTE
        },
        {"4.1.ready/without_model"},
    ),
    "no-validation": (
        {
            "src/api.py": HEAD + FILE_MODEL + APP
            + ROUTES.replace("rows: Rows", "rows: dict").replace("rows.features", "rows['features']")
            + METRICS_ROUTE
        },
        {"4.1.validation/missing", "4.1.validation/type", "4.1.validation/schema"},
    ),
    "sorted-predictions-and-json-metrics": (
        {
            "src/api.py": HEAD + BODY + FILE_MODEL + APP
            + ROUTES.replace("model().predict", "sort(model().predict").replace(".tolist()", ".tolist())")
            + "@app.get('/metrics')\ndef metrics():\n    return generate_latest().decode()\n"
        },
        {"4.1.predict/agrees", "4.1.metrics/valid", "4.1.metrics/own"},
    ),
    "crashes-at-import": (
        {"src/api.py": HEAD + BODY + "app = FastAPI()\nraise KeyError('MODEL_PATH')"},
        {name for name in EVERYTHING if name != "4.1.ready/without_model"},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_real_applications(root: Path, name: str) -> None:
    files, expected = APPLICATIONS[name]
    with live_context(root, files, deliverables={"api": "src/api.py"}) as context:
        found = lost(context, "4.1")
        assert set(found) == expected
        if name == "crashes-at-import":
            health = found["4.1.health"].findings[0]
            assert health.where == "src/api.py:15"
            assert "KeyError: 'MODEL_PATH'" in health.detail.splitlines()


def test_the_rubric_asks_for_what_the_exam_asks() -> None:
    asked = parameters("4.1", "serving.health")["scenario"]
    assert (asked.health, asked.ready, asked.predict, asked.field) == (
        "/health",
        "/ready",
        "/predict",
        "features",
    )
