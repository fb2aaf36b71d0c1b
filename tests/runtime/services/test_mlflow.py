from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import grader
from grader import command as process
from grader.errors import GraderFault, ToolMissing
from grader.runtime.cache import Cache
from grader.runtime.helpers.jail import interpreter_paths, jailed
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from grader.runtime.services import mlflow, mlflow_server
from grader.runtime.services.mlflow import MlflowHost, MlflowServer

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    assert list(server.remarks) == ["it received more than it accepts, and rejected the rest"]


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
    monkeypatch.setattr(mlflow, "_SCRIPT", script)
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


HOLE = """
    async def app(scope, receive, send):
        from urllib.parse import parse_qsl
        import socket
        acts = {
            "read": lambda path: open(path, "rb").read(1),
            "write": lambda path: open(path, "ab").close(),
            "list": os.listdir,
            "signal": lambda pid: os.kill(int(pid), 0),
            "connect": lambda port: socket.create_connection(("127.0.0.1", int(port)), 5).close(),
        }
        status = 200
        for act, value in parse_qsl(scope["query_string"].decode()):
            try:
                acts[act](value)
            except OSError:
                status = 403
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
"""
"""An MLflow that does whatever it is asked to."""
APP = "    from mlflow.server.fastapi_app import app\n"
WALL = "    confine(store)\n"


@pytest.mark.parametrize("confined", [True, False])
def test_a_server_with_a_hole_has_its_own_store_and_no_more(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, confined: bool
) -> None:
    """Without bubblewrap, so that nothing but Landlock holds; without that too, everything succeeds."""
    if ctypes.CDLL(None).syscall(mlflow_server.CREATE_RULESET, None, ctypes.c_size_t(0), 1) < 6:
        pytest.skip("this kernel's Landlock does not know of signals")
    text = mlflow._SCRIPT.read_text(encoding="utf-8")
    assert (text.count(APP), text.count(WALL)) == (1, 1)
    script = tmp_path / "server.py"
    script.write_text(text.replace(APP, HOLE).replace(WALL, WALL if confined else ""), encoding="utf-8")
    monkeypatch.setattr(mlflow, "_SCRIPT", script)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with (
        MlflowHost(tmp_path / "m", cache, None) as host,
        host.open() as mine,
        host.open() as other,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):

        def can(act: str, value: object) -> bool:
            return mine.client.get("/health", params={act: str(value)}).status_code == 200

        assert can("read", mine.store / mlflow_server.DATABASE)
        assert can("write", mine.store / "artifacts/new")
        assert can("list", mine.store)
        found = {
            "read another store": can("read", other.store / mlflow_server.DATABASE),
            "read another record": can("read", other.store / mlflow_server.REQUESTS),
            "write to another store": can("write", other.store / "artifacts/new"),
            "read the log of all": can("read", tmp_path / "m/log"),
            "list the stores": can("list", tmp_path / "m"),
            "write elsewhere": can("write", elsewhere / "new"),
            "signal the grader": can("signal", os.getpid()),
            "connect": can("connect", listener.getsockname()[1]),
        }
    assert found == dict.fromkeys(found, not confined)


def test_the_path_of_a_store_cannot_be_guessed(host: MlflowHost) -> None:
    with host.open() as one, host.open() as other:
        names = {one.store.name, other.store.name}
    assert len(names) == 2
    assert all(len(name) == 12 for name in names)


DISABLED = {
    "what calls models": (
        "/api/2.0/mlflow/gateway-proxy",
        "/ajax-api/2.0/mlflow/gateway-proxy",
        "/ajax-api/3.0/mlflow/gateway/endpoints/create",
        "/ajax-api/3.0/mlflow/gateway/secrets/create",
        "/gateway/x/mlflow/invocations",
        "/ajax-api/3.0/mlflow/scorer/invoke",
        "/ajax-api/3.0/mlflow/scorers/register",
        "/ajax-api/3.0/mlflow/genai/evaluate/invoke",
        "/ajax-api/3.0/mlflow/issues/invoke",
    ),
    "what starts jobs": (
        "/ajax-api/3.0/jobs/",
        "/ajax-api/3.0/mlflow/jobs/1",
        "/ajax-api/3.0/mlflow/prompt-optimization/jobs",
        "/ajax-api/3.0/mlflow/demo/generate",
    ),
    "what fetches addresses": ("/api/2.0/mlflow/webhooks", "/api/2.0/mlflow/webhooks/1/test"),
    "what runs a shell": ("/ajax-api/3.0/mlflow/assistant/message", "/ajax-api/3.0/mlflow/assistant/config"),
    "queries without bounds": ("/graphql",),
    "files of the interface": (
        "/static-files/index.html",
        "/static-files/../../../../etc/passwd",
        "/build/x",
    ),
    "accounts and workspaces": ("/signup", "/api/2.0/mlflow/users/create", "/api/3.0/mlflow/workspaces"),
    "what describes the server": ("/docs", "/openapi.json", "/redoc", "/metrics"),
    "ways around": ("//graphql", "/api/2.0/mlflow/../../../graphql", "/./graphql", "/%67raphql", "/GRAPHQL"),
    "ways on": ("/api/2.0/mlflow/runs%2f..%2f..%2f..%2f..%2fgraphql", "/health/", "/version/x"),
}


@pytest.mark.parametrize("paths", DISABLED.values(), ids=DISABLED)
def test_what_no_exam_needs_is_not_there(server: MlflowServer, paths: tuple[str, ...]) -> None:
    """As if MLflow had no such path: 404, whatever the method, and no word of MLflow's own."""
    for path in paths:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            said = exchange(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            if "runs%2f" in path:  # it is of the kind that is served, and then nobody's
                assert said.split()[1] in ("404", "405"), (method, path, said)
            else:
                assert said.startswith("HTTP/1.1 404 "), (method, path, said)
                assert said.lower().endswith("connection: close\r\n\r\n"), (method, path, said)


def exchange(server: MlflowServer, words: str) -> str:
    """What is answered to a request as it is written: clients tidy up paths."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(server.socket))
        connection.sendall(words.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1).encode())
        return b"".join(iter(lambda: connection.recv(2**16), b"")).decode("utf-8", "replace")


def test_every_path_of_mlflows_is_served_or_refused_by_name(tmp_path: Path) -> None:
    """A new version's new paths are none of ours until somebody has looked at them."""
    code = """
import json, os, re, sys
os.environ["_MLFLOW_SERVER_FILE_STORE"] = "sqlite:///" + sys.argv[1]
from mlflow.server import app as old
from mlflow.server.fastapi_app import app as new
paths = {str(rule) for rule in old.url_map.iter_rules()}
paths |= {path for route in new.routes if (path := getattr(route, "path", ""))}
print(json.dumps(sorted(re.sub("[<{][^>}]*[>}]", "x", path) for path in paths)))
"""
    done = process.run([sys.executable, "-c", code, tmp_path / "none.db"], timeout=180)
    assert done.returncode == 0, done.output
    paths = json.loads(done.stdout.splitlines()[-1])
    served = {path for path in paths if mlflow_server.SERVED.fullmatch(path)}
    dangerous = re.compile(
        r"gateway|webhook|scorer|job|graphql|invoke|assistant|demo|secret|workspace|users|static|optimization"
    )
    assert len(paths) > 100
    assert len(served) > 50
    assert [path for path in served if dangerous.search(path)] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore's unclosed socket
def test_a_server_that_dies_is_started_once_more(host: MlflowHost) -> None:
    """With what it held; dying again it holds nothing, as long as an empty one answers."""
    with host.open() as server:
        client = Candidate(server)
        client.run("0", accuracy=0.5)
        end_server(server)
        assert [run.metrics["accuracy"] for run in server.runs()] == [0.5]
        assert not server.remarks
        end_server(server)
        assert server.runs() == []
        assert list(server.remarks) == ["the submission's requests keep the tracking server from answering"]
        client.http.close()


def test_a_host_that_dies_is_our_fault(tmp_path: Path, cache: Cache, bwrap: Path | None) -> None:
    with MlflowHost(tmp_path / "m", cache, bwrap) as dying:
        with dying.open():
            assert dying._process is not None
        process.end_group(dying._process)  # type: ignore[arg-type]
        with pytest.raises(GraderFault, match="the tracking server has ended"), dying.open():
            pass


def end_server(server: MlflowServer) -> None:
    """Kill the process that serves a store, as a crash would."""
    log = str(server.store / mlflow_server.LOG)
    for output in Path("/proc").glob("[0-9]*/fd/1"):
        with contextlib.suppress(OSError):
            if os.fspath(output.readlink()) == log:
                os.kill(int(output.parts[2]), signal.SIGKILL)
                return
    raise AssertionError("it is not there")
