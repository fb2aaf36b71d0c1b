from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import grader
from grader import process
from grader.errors import GraderFault, ToolMissing
from grader.runtime import mlflow_server, services
from grader.runtime.bubblewrap import find_bubblewrap
from grader.runtime.cache import Cache
from grader.runtime.jail import interpreter_paths, jailed
from grader.runtime.services import MlflowHost, MlflowServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bwrap() -> Path | None:
    try:
        return find_bubblewrap()
    except ToolMissing:
        return None


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, cache: Cache, bwrap: Path | None) -> Iterator[MlflowHost]:
    with MlflowHost(tmp_path_factory.mktemp("m"), cache, bwrap) as running:
        yield running


@pytest.fixture
def server(host: MlflowHost) -> Iterator[MlflowServer]:
    with host.open() as running:
        yield running


class Candidate:
    """A client as candidates have it."""

    def __init__(self, server: MlflowServer) -> None:
        transport = httpx.HTTPTransport(uds=str(server.socket))
        self.http = httpx.Client(transport=transport, base_url="http://localhost:5000", trust_env=False)

    def post(self, endpoint: str, **body: object) -> Any:
        response = self.http.post(f"/api/2.0/mlflow/{endpoint}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def run(self, experiment: str, **metrics: float | str) -> str:
        info = self.post("runs/create", experiment_id=experiment, start_time=1, run_name="mine")["run"][
            "info"
        ]
        for key, value in metrics.items():
            self.post("runs/log-metric", run_id=info["run_id"], key=key, value=value, timestamp=1)
        return str(info["run_id"])


@pytest.fixture
def candidate(server: MlflowServer) -> Iterator[Candidate]:
    client = Candidate(server)
    with client.http:
        yield client


def test_a_fresh_store_is_empty(server: MlflowServer) -> None:
    assert [(one.name, one.active) for one in server.experiments()] == [("Default", True)]
    assert server.runs() == []
    assert server.runs("no such experiment") == []
    assert server.registered_models() == []
    assert server.versions("it's") == []
    assert server.logged_models() == []


@pytest.mark.parametrize("name", ["localhost:5000", "127.0.0.1:5000", "mlflow:5000", "mlflow"])
def test_every_name_of_the_server_is_accepted(server: MlflowServer, name: str) -> None:
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert server.client.get(path, headers={"Host": name}).status_code == 200


def test_runs_are_read_back(server: MlflowServer, candidate: Candidate) -> None:
    experiment = candidate.post("experiments/create", name="exam")["experiment_id"]
    run_id = candidate.run(experiment, accuracy=0.9, odd="NaN")
    candidate.post("runs/log-parameter", run_id=run_id, key="max_depth", value="None")
    candidate.post("runs/set-tag", run_id=run_id, key="who", value="me")
    candidate.post("runs/update", run_id=run_id, status="FINISHED", end_time=5)
    candidate.run("0", accuracy=0.1)
    url = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run_id}/artifacts/a%20b/plot.png"
    assert candidate.http.put(url, content=b"picture").status_code == 200
    (run,) = server.runs("exam")
    assert (run.id, run.name, run.status, run.experiment, run.end_time) == (
        run_id,
        "mine",
        "FINISHED",
        "exam",
        5,
    )
    assert run.metrics["accuracy"] == 0.9
    assert run.metrics["odd"] != run.metrics["odd"]
    assert run.params == {"max_depth": "None"}
    assert run.tags["who"] == "me"
    assert run.artifacts.read("a b/plot.png", 100) == b"picture"
    assert len(server.runs()) == 2
    candidate.post("runs/delete", run_id=run_id)
    assert server.runs("exam") == []
    assert [one.active for one in server.runs("exam", deleted=True)] == [False]


def test_the_registry_is_read_back(server: MlflowServer, candidate: Candidate) -> None:
    run_id = candidate.run("0")
    candidate.post("registered-models/create", name="it's", description="said")
    for _ in range(11):
        source = f"mlflow-artifacts:/0/{run_id}/artifacts/model"
        candidate.post("model-versions/create", name="it's", source=source, run_id=run_id)
    candidate.post("model-versions/transition-stage", name="it's", version="2", stage="Staging")
    candidate.post("registered-models/alias", name="it's", alias="champion", version="10")
    versions = server.versions("it's")
    assert [one.version for one in versions] == [str(number) for number in range(1, 12)]
    assert [one.stage for one in versions[:3]] == ["None", "Staging", "None"]
    assert versions[9].aliases == ("champion",)
    assert versions[0].run_id == run_id
    (model,) = server.registered_models()
    assert (model.name, model.description) == ("it's", "said")


def test_what_was_asked_is_on_record_and_what_the_grader_asks_is_not(
    server: MlflowServer, candidate: Candidate
) -> None:
    candidate.post("runs/search", experiment_ids=["0"], filter="metrics.accuracy > 0.85", max_results=3)
    candidate.http.get("/api/2.0/mlflow/runs/get?run_id=none")
    candidate.http.post("/api/2.0/mlflow/runs/search", content=b'{"half":')
    server.runs()
    body = {"experiment_ids": ["0"], "filter": "metrics.accuracy > 0.85", "max_results": 3}
    search = "/api/2.0/mlflow/runs/search"
    asked = server.requests()
    assert (asked[0].method, asked[0].path, asked[0].status, asked[0].query) == ("POST", search, 200, {})
    assert asked[0].body == body
    assert (asked[1].query, asked[1].status) == ({"run_id": ["none"]}, 404)
    assert asked[2].body is None
    assert len(asked) == 3


def test_a_client_that_sends_much_is_answered_no_more_but_the_grader_is(
    server: MlflowServer, candidate: Candidate
) -> None:
    body = json.dumps({"experiment_ids": ["0"]}).encode() + b" " * 2**20
    headers = {"Content-Type": "application/json"}
    search = "/api/2.0/mlflow/runs/search"
    for _ in range(16):
        with contextlib.suppress(httpx.TransportError):  # refused before all of it was sent
            candidate.http.post(search, content=body, headers=headers)
    again = Candidate(server)
    with again.http:
        assert again.http.get("/health").status_code == 413
    assert server.runs() == []
    assert [request.status for request in server.requests()] == [200] * 15 + [413] * 2
    assert list(server.remarks) == ["it was sent more than it takes, and refused the rest"]


@pytest.mark.parametrize(("secret", "status"), [("s", 200), ("other", 413), ("", 413)])
def test_a_server_that_has_worked_for_long_answers_the_grader_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, status: int
) -> None:
    monkeypatch.setattr(mlflow_server, "MAX_WORK_SECONDS", 0.0)
    said: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        said.append(message.get("status"))

    headers = [(mlflow_server.OWN_HEADER.encode(), secret.encode())]
    scope = {"type": "http", "method": "GET", "path": "/health", "query_string": b"", "headers": headers}
    gate = mlflow_server.Gate(app, tmp_path / "record", "s")
    asyncio.run(gate(scope, None, send))
    gate._record.close()
    assert said[0] == status


def test_a_store_is_copied_and_its_copy_is_another(host: MlflowHost, tmp_path: Path) -> None:
    with host.open() as first:
        client = Candidate(first)
        client.run("0", accuracy=0.5)
        client.http.close()
        with host.open(first.store) as copy:
            (run,) = copy.runs()
            assert run.artifacts.path_in(copy.files) == f"artifacts/0/{run.id}/artifacts"
            assert copy.requests() == []
            again = Candidate(copy)
            again.run("0")
            again.http.close()
            assert (len(copy.runs()), len(first.runs())) == (2, 1)
        assert not copy.store.exists()
        assert len(first.runs()) == 1


@pytest.mark.parametrize(
    "uri",
    ["file:///etc", "/etc", "mlflow-artifacts:/../../x", "mlflow-artifacts:/%2e%2e/%2e%2e/x", "s3://x/y", ""],
)
def test_artifacts_elsewhere_are_nowhere(tmp_path: Path, uri: str) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "x").write_text("beside the artifacts")
    found = MlflowServer(tmp_path).local(uri)
    assert (list(found.walk()), found.read("", 100), found.read("passwd", 10**6)) == ([], None, None)


def test_a_link_among_the_artifacts_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/0").symlink_to("/etc")
    server = MlflowServer(tmp_path)
    assert server.local("mlflow-artifacts:/0/passwd").read("", 10**6) is None
    assert server.local("mlflow-artifacts:/0").read("passwd", 10**6) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore's unclosed socket
def test_a_server_that_is_gone_is_our_fault(host: MlflowHost) -> None:
    with host.open() as server:
        host._say({"verb": "close", "store": str(server.store)})
        with pytest.raises(GraderFault, match="does not answer"):
            server.runs()


def test_a_process_that_does_not_start_shows_its_log(
    tmp_path: Path, cache: Cache, host: MlflowHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host.open():
        pass  # so that the template is there
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such module: mlflow')")
    monkeypatch.setattr(services, "_SCRIPT", script)
    with (
        MlflowHost(tmp_path / "m", cache, None) as broken,
        pytest.raises(GraderFault) as caught,
        broken.open(),
    ):
        pass
    assert "no such module" in caught.value.log_tail


@pytest.mark.parametrize("isolated", [True, False])
def test_nothing_is_left_behind(tmp_path: Path, cache: Cache, bwrap: Path | None, isolated: bool) -> None:
    if isolated and bwrap is None:
        pytest.skip("no isolation on this machine")
    mark = str(tmp_path / "m")
    with MlflowHost(tmp_path / "m", cache, bwrap if isolated else None) as running:
        with running.open():
            pass
        running._say({"verb": "open", "store": _store(tmp_path / "m"), "secret": "s"})
    time.sleep(0.2)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if mark in line]
    assert not running._thread or not running._thread.is_alive()


def _store(directory: Path) -> str:
    store = directory / "never closed"
    store.mkdir()
    return str(store)


def test_the_server_does_not_see_what_is_none_of_its_business(tmp_path: Path, bwrap: Path | None) -> None:
    """A hole in MLflow lets a client read and write files of the server."""
    if bwrap is None:
        pytest.skip("no isolation on this machine")
    readable, hidden = interpreter_paths()
    mine = tmp_path / "mine"
    mine.mkdir()
    package = Path(grader.__file__).parent
    script = f"""
import json, os
def can(path):
    try:
        open(path, "w").close()
    except OSError:
        return False
    return True
print(json.dumps([
    os.path.exists({str(package / "runtime" / "jail.py")!r}),
    os.path.exists({str(package.parent / "rubrics")!r}),
    os.path.exists({str(Path.home() / ".cache")!r}), can("/out"), can({str(Path(sys.prefix) / "out")!r}),
    can("/proc/sys/kernel/hostname"), can({str(mine / "in")!r}),
]))
"""
    argv = jailed(
        [sys.executable, "-I", "-c", script], bwrap=bwrap, readable=readable, hidden=hidden, writable=[mine]
    )
    done = process.run(argv)
    assert json.loads(done.stdout) == [False, False, False, False, False, False, True], done.output
