"""Whole suites run for real, in the exam's own environment."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.pytest_suite import checks as suite
from grader.checks.pytest_suite.scenarios import Suite, with_model, without_model
from grader.exam.bundled import RUBRICS
from tests.checks.live import live_context, lost, parameters

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ASKED: Suite = parameters("5.2", "tests.pass")["scenario"]
WHERE = "tests/test_api.py"
ALL_BUT_PASSING = {
    "5.2.mocks",
    "5.2.success/status",
    "5.2.success/predictions",
    "5.2.invalid/accepted",
    "5.2.invalid/exact",
}
EVERYTHING = {"5.2.passes", *ALL_BUT_PASSING}


API = """
    from contextlib import asynccontextmanager

    from fastapi import Depends, FastAPI, HTTPException
    from pydantic import BaseModel

    class Features(BaseModel):
        features: list[list[float]]

    model = None

    def load_model():
        import joblib
        return joblib.load("models/model.pkl")

    @asynccontextmanager
    async def lifespan(app):
        global model
        try:
            model = load_model()
        except OSError:
            pass
        yield
        model = None

    def get_model():
        if model is None:
            raise HTTPException(503)
        return model

    def create_app():
        app = FastAPI(lifespan=lifespan)

        @app.post("/predict")
        def predict(body: Features, model=Depends(get_model)):
            return {"predictions": [int(p) for p in model.predict(body.features)], "model_version": "1"}

        return app

    app = create_app()
"""
LOADING = """
    import mlflow
    from src import api
    mlflow.set_tracking_uri("http://localhost:5000")
    api.model = mlflow.pyfunc.load_model("models:/ExamClassifier/Production")
"""
MOCKED = """
    import pytest
    from fastapi.testclient import TestClient
    from src import api

    GOOD = {"features": [[1, 2, 3, 4], [5, 6, 7, 8]]}
    BAD = {"features": "x"}

    class Model:
        def predict(self, rows):
            return [1 for _ in rows]

    @pytest.fixture
    def client(monkeypatch):
        monkeypatch.setattr(api, "model", Model())
        return TestClient(api.app)
"""
TESTS = """
    def test_predict(client):
        response = client.post("/predict", json=GOOD)
        assert response.status_code == 200
        assert response.json()["predictions"] == [1, 1]

    def test_invalid(client):
        assert client.post("/predict", json=BAD).status_code == 422
"""
REAL = """
    from fastapi.testclient import TestClient
    from src.api import app

    def predict(body):
        with TestClient(app) as client:
            return client.post("/predict", json=body)

    def test_predict():
        answer = predict({"features": [[40, 12, 60.5, 1]]})
        assert answer.status_code == 200
        assert len(answer.json()["predictions"]) == 1

    def test_invalid():
        assert predict({}).status_code == 422
"""


def marked(mark: str) -> str:
    """The tests that need a model, marked for where there is none."""
    real = dedent(REAL).replace("\ndef test_", "\n@needs\ndef test_")
    there = "os.path.exists('models/model.pkl')"
    return f"import os, pytest\nneeds = pytest.mark.{mark}(not {there}, reason='no model')\n{real}"


def decided(root: Path, tests: str, files: dict[str, str] | None = None) -> dict[str, Any]:
    """What a suite of the small application loses; `tests` after the usual mock where they have no import."""
    whole = dedent(tests) if "import" in tests else dedent(MOCKED) + dedent(tests)
    given = {
        "src/__init__.py": "",
        "src/api.py": API,
        "src/loading.py": LOADING,
        WHERE: whole,
        **(files or {}),
    }
    with live_context(root, given, deliverables={"api_test": WHERE, "api": "src/api.py"}) as context:
        return lost(context, "5.2")


HONEST = {
    "a module global": TESTS,
    "dependency overrides": """
        from fastapi.testclient import TestClient
        from unittest.mock import MagicMock
        from src.api import app, get_model
        model = MagicMock()
        model.predict.return_value = [0]
        app.dependency_overrides[get_model] = lambda: model
        client = TestClient(app)
        def test_predict():
            answer = client.post("/predict", json={"features": [[1, 2]]})
            assert answer.status_code == 200
            assert "predictions" in answer.json()
        def test_invalid():
            assert client.post("/predict", json={"rows": 1}).status_code == 422
    """,
    "unittest and patch": """
        import unittest
        from unittest.mock import Mock, patch
        from fastapi.testclient import TestClient
        class TestApi(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.patcher = patch("src.api.load_model", return_value=Mock(predict=lambda rows: [7]))
                cls.patcher.start()
                from src.api import app
                cls.context = TestClient(app)
                cls.client = cls.context.__enter__()
            @classmethod
            def tearDownClass(cls):
                cls.context.__exit__(None, None, None)
                cls.patcher.stop()
            def test_predict(self):
                answer = self.client.post("/predict", json={"features": [[1]]})
                self.assertEqual(answer.json(), {"predictions": [7], "model_version": "1"})
            def test_invalid(self):
                for body in ({}, {"features": 3}):
                    with self.subTest(body=body):
                        self.assertEqual(self.client.post("/predict", json=body).status_code, 422)
    """,
    "an async client, and a factory": """
        import httpx, pytest
        from src import api
        pytestmark = pytest.mark.anyio
        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        @pytest.fixture
        async def client(monkeypatch):
            class Model:
                predict = staticmethod(lambda rows: [1])
            monkeypatch.setattr(api, "model", Model())
            transport = httpx.ASGITransport(app=api.create_app())
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                yield client
        async def test_predict(client):
            answer = await client.post("/predict", json={"features": [[1]]})
            answer.raise_for_status()
            assert answer.json()["predictions"] == [1]
        async def test_invalid(client):
            assert (await client.post("/predict", content=b"{")).status_code == 422
    """,
    "a factory, and the lifespan": """
        import pytest
        from unittest.mock import Mock, patch
        from fastapi.testclient import TestClient
        from src.api import create_app
        @pytest.fixture(scope="module")
        def client():
            with patch("src.api.load_model", return_value=Mock(predict=lambda rows: [3])):
                with TestClient(create_app()) as client:
                    yield client
        def test_predict(client):
            assert client.post("/predict", json={"features": [[1]]}).json()["predictions"] == [3]
        def test_invalid(client):
            assert client.post("/predict", json=[]).status_code == 422
    """,
    "a response for several tests": """
        import pytest
        from fastapi.testclient import TestClient
        from src import api
        class Model:
            predict = staticmethod(lambda rows: [1])
        @pytest.fixture(scope="module")
        def response():
            api.model = Model()
            return TestClient(api.app).post("/predict", json={"features": [[1]]})
        def test_text(response):
            assert response.text
        def test_status(response):
            assert response.status_code == 200
        def test_predictions(response):
            assert response.json().get("predictions") == [1]
        def test_invalid():
            assert TestClient(api.app).post("/predict", json={}).status_code == 422
    """,
    "requests while it is imported": """
        from fastapi.testclient import TestClient
        from src import api
        class Model:
            predict = staticmethod(lambda rows: [1])
        api.model = Model()
        client = TestClient(api.app)
        good, bad = (client.post("/predict", json=body) for body in ({"features": [[1]]}, {}))
        def test_predict():
            assert good.status_code == 200 and good.json()["predictions"]
        def test_invalid():
            assert bad.status_code == 422
    """,
    "a server of its own": """
        import threading, time
        import pytest, requests, uvicorn
        from src import api
        class Model:
            predict = staticmethod(lambda rows: [1])
        @pytest.fixture(scope="module")
        def url():
            api.model = Model()
            server = uvicorn.Server(uvicorn.Config(api.app, port=8123, lifespan="off"))
            thread = threading.Thread(target=server.run)
            thread.start()
            while not server.started:
                time.sleep(0.01)
            yield "http://127.0.0.1:8123/predict"
            server.should_exit = True
            thread.join()
        def test_predict(url):
            answer = requests.post(url, json={"features": [[1]]})
            assert answer.status_code == 200 and answer.json()["predictions"] == [1]
        def test_invalid(url):
            assert requests.post(url, json={}).status_code == 422
    """,
    "a thread that stays": """
        import threading
        from fastapi.testclient import TestClient
        from src import api
        class Model:
            predict = staticmethod(lambda rows: [1])
        api.model = Model()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        client = TestClient(api.app)
        def test_predict():
            assert client.post("/predict", json={"features": [[1]]}).json()["predictions"] == [1]
        def test_invalid():
            assert client.post("/predict", json={}).status_code == 422
            assert threading.active_count() > 1
    """,
    "a model that is loaded at import": """
        from unittest.mock import MagicMock, patch
        from fastapi.testclient import TestClient
        with patch("mlflow.pyfunc.load_model", return_value=MagicMock(**{"predict.return_value": [1]})):
            from src import loading
        client = TestClient(loading.api.app)
        def test_predict():
            assert client.post("/predict", json={"features": [[1]]}).json()["predictions"] == [1]
        def test_invalid():
            assert client.post("/predict", json={}).status_code == 422
    """,
    "files left behind": """
        from pathlib import Path
        from fastapi.testclient import TestClient
        from src import api
        class Model:
            predict = staticmethod(lambda rows: [1])
        def test_predict():
            api.model = Model()
            assert TestClient(api.app).post("/predict", json={"features": [[1]]}).json()["predictions"] == [1]
        def test_invalid():
            with Path("log.txt").open("x") as log:
                answer = TestClient(api.app).post("/predict", json={})
                log.write(answer.text)
            assert answer.status_code == 422
    """,
}


@pytest.mark.parametrize("style", HONEST)
def test_honest_suites_keep_everything(root: Path, style: str) -> None:
    assert not decided(root, HONEST[style])


@pytest.mark.parametrize(
    "files",
    [
        {"pytest.ini": "[pytest]\naddopts = -x --no-such-option\n"},
        {"setup.cfg": "[tool:pytest]\naddopts = --cov=src --cov-fail-under=99\n"},
        {"pytest.ini": "[pytest]\nfilterwarnings =\n  error\n  ignore:Using .httpx.\n"},
        {"tests/__init__.py": "", "tests/conftest.py": "import fastapi, warnings\n"},
    ],
    ids=["an unknown option", "coverage", "warnings", "packages"],
)
def test_configuration_is_honoured(root: Path, files: dict[str, str]) -> None:
    assert not decided(root, TESTS, files)


def test_sources_on_the_path(root: Path) -> None:
    tests = dedent(MOCKED).replace("from src import api", "import api") + dedent(TESTS)
    with live_context(
        root, {"src/api.py": API, WHERE: tests}, deliverables={"api_test": WHERE, "api": "src/api.py"}
    ) as context:
        assert not lost(context, "5.2")
        remark = suite.suite_passes.function(context, **parameters("5.2", "tests.pass")).findings[0]
    assert remark.message == "the tests need PYTHONPATH=src"


SUCCESS = {"5.2.success/status", "5.2.success/predictions"}
INVALID = {"5.2.invalid/accepted", "5.2.invalid/exact"}
DEFECTS: dict[str, tuple[str, set[str]]] = {
    "asserts nothing": (
        """
        def test_predict(client):
            client.post("/predict", json=GOOD)
            print("fine")
        def test_invalid(client):
            client.post("/predict", json=BAD)
        """,
        SUCCESS | INVALID,
    ),
    "no error of the server": (
        """
        def test_predict(client):
            assert client.post("/predict", json=GOOD).status_code < 500
        def test_invalid(client):
            assert client.post("/predict", json=BAD).status_code == 422
        """,
        {"5.2.success/predictions"},
    ),
    "only the answer": (
        """
        def test_predict(client):
            assert len(client.post("/predict", json=GOOD).json()["predictions"]) == 2
        def test_invalid(client):
            assert "detail" in client.post("/predict", json=BAD).json()
        """,
        {"5.2.invalid/exact"},
    ),
    "no invalid input": (
        """
        def test_predict(client):
            assert client.post("/predict", json=GOOD).json()["predictions"] == [1, 1]
        """,
        INVALID,
    ),
    "any refusal": (
        """
        def test_predict(client):
            assert client.post("/predict", json=GOOD).json()["predictions"] == [1, 1]
        def test_invalid(client):
            assert 400 <= client.post("/predict", json=BAD).status_code < 500
        """,
        {"5.2.invalid/exact"},
    ),
    "a red test": (
        TESTS + "    def test_wrong(client):\n        assert GOOD is BAD\n",
        {"5.2.passes", "5.2.mocks"},
    ),
    "a real model": (REAL, {"5.2.mocks"}),
    "skips without a model": (marked("skipif"), {"5.2.mocks"}),
    "fails as expected without a model": (
        marked("xfail") + "def test_more():\n    assert app\n",
        {"5.2.mocks"},
    ),
    "no test": ("from src.api import app\nprint('all tests passed')\n", EVERYTHING),
    "nothing true": ("import os\ndef test_predict():\n    assert True\n", ALL_BUT_PASSING),
    "a server that is not there": (
        """
        import requests
        def test_predict():
            assert requests.post("http://localhost:8000/predict", json={"features": [[1]]}).status_code == 200
        """,
        EVERYTHING,
    ),
    "a mocked client": (
        """
        from unittest.mock import Mock
        import src.api
        client = Mock()
        client.post.return_value = Mock(status_code=200, json=lambda: {"predictions": [1]})
        def test_predict():
            assert client.post("/predict").status_code == 200
        """,
        SUCCESS | INVALID,
    ),
    "an application of its own": (
        """
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        app = FastAPI()
        @app.post("/predict")
        def predict(features: list[float]):
            return {"predictions": features}
        client = TestClient(app)
        def test_predict():
            assert client.post("/predict", json=[1]).json() == {"predictions": [1]}
        def test_invalid():
            assert client.post("/predict", json={}).status_code == 422
        """,
        ALL_BUT_PASSING,
    ),
    "an early end": ("import os\ndef test_predict():\n    os._exit(0)\n", EVERYTHING),
    "cannot be imported": ("import no_such_module\ndef test_predict():\n    pass\n", EVERYTHING),
    "is no Python": ("import import\n", EVERYTHING),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_lose_what_they_lack(root: Path, defect: str) -> None:
    tests, loses = DEFECTS[defect]
    assert set(decided(root, tests)) == loses


@pytest.mark.parametrize(
    "conftest",
    [
        """
        import pytest
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            report = outcome.get_result()
            report.outcome, report.longrepr = "passed", None
        """,
        """
        def pytest_sessionfinish(session):
            session.exitstatus = 0
        """,
        """
        import pytest
        def pytest_sessionstart(session):
            pytest.exit("fine", returncode=0)
        """,
    ],
    ids=["reports", "status", "exit"],
)
def test_a_red_suite_that_calls_itself_green(root: Path, conftest: str) -> None:
    outcomes = decided(root, "def test_predict(client):\n    assert False\n", {"conftest.py": conftest})
    assert "5.2.passes" in outcomes


def test_a_suite_that_hangs(root: Path) -> None:
    tests = "import time\ndef test_predict():\n    time.sleep(600)\n"
    hurried = ASKED.changed(idle_seconds=12)
    with live_context(root, {WHERE: tests}, deliverables={"api_test": WHERE}) as context:
        outcome = suite.suite_passes.function(context, scenario=hurried)
    assert outcome.findings[0].message == "the tests do not finish"
    assert outcome.findings[0].where == f"{WHERE}::test_predict"


def test_the_reference_suite(root: Path) -> None:
    reference = RUBRICS.parent / "reference_solution"
    files = {
        str(path.relative_to(reference)): path.read_bytes()
        for path in reference.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with live_context(root, files, deliverables={"api_test": WHERE, "api": "src/api.py"}) as context:
        assert not lost(context, "5.2")
        alone, other = (look(context, ASKED) for look in (without_model, with_model))
    assert alone.clean.tests == other.clean.tests
    assert set(alone.broken) == set(ASKED.faults)
    assert [run.tests for run in alone.controls] == [alone.clean.tests] * 2
