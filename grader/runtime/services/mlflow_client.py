"""A client of a tracking server's REST API: the grader itself never imports MLflow."""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from grader.errors import GraderFault
from grader.files import NOTHING, Tree, open_tree
from grader.runtime.services.mlflow_server import ARTIFACTS, MAX_RECORD, OWN_HEADER, REQUESTS, SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import httpx

_PROXIED = "mlflow-artifacts"
_MAX_PAGES = 20
_PAGE = 1000
_MAX_ANSWER = 64 * 2**20
_MAX_LINE = 2**16
_MAX_TEXT = 20_000
_MAX_DIGITS = 300
_MAX_FIELDS = 100
_MAX_TIME = 2**63
_TOO_MUCH = 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that the server got."""

    method: str
    path: str
    """Without the query: `/api/2.0/mlflow/runs/search`."""
    status: int
    """Of the answer."""
    query_string: str = ""
    text: str = ""
    """Its body, if that was short."""

    @property
    def query(self) -> Mapping[str, list[str]]:
        """What the query says; nothing where it says too much."""
        try:
            return parse_qs(self.query_string, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError:
            return {}

    @property
    def body(self) -> Any:
        """Its JSON, or None where it had none. Made of the text each time: there may be many of them."""
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self.text, parse_int=_integer)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentInfo:
    """An experiment."""

    id: str
    name: str
    active: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run as it stands."""

    id: str
    name: str
    status: str
    """`FINISHED`, `FAILED`, `RUNNING`, …"""
    experiment: str
    experiment_id: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """Last values; what was logged as no number is NaN."""
    tags: Mapping[str, str]
    artifact_uri: str
    artifacts: Tree = NOTHING
    """There need not be any: nothing was logged, or not to this server."""
    start_time: int = 0
    end_time: int = 0
    active: bool = True
    """Not deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model that MLflow 3 logs beside a run rather than among its artifacts."""

    id: str
    name: str
    run_id: str
    status: str
    files: Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: str
    stage: str
    """`None`, `Staging`, `Production`, `Archived`."""
    run_id: str
    source: str
    description: str
    status: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A name in the registry."""

    name: str
    description: str
    aliases: Mapping[str, str]
    """Alias -> version."""
    tags: Mapping[str, str] = field(default_factory=dict)


def _nothing() -> None:
    """No server can be started anew."""


class MlflowServer:
    """A running server and its store.

    What the store holds is the candidate's: what is odd in it is read as well as can be, and a server that
    its candidate filled or brought down is started once more to be asked. Only where an empty store answers
    no better is that a fault.
    """

    def __init__(
        self,
        store: Path,
        *,
        secret: str = "",
        restart: Callable[[], None] = _nothing,
        try_another: Callable[[], None] = _nothing,
    ) -> None:
        """Ask a server that runs.

        Args:
            secret: by which it knows the grader's own questions.
            restart: starts it anew on its store.
            try_another: asks one on an empty store; both raise GraderFault.
        """
        self.store = store
        self.socket = store / SOCKET
        self.files = open_tree(store)
        self.artifacts = self.files.below(ARTIFACTS)
        self.remarks: dict[str, None] = {}
        """What of the evidence is incomplete, and why."""
        self._secret = secret
        self._restart = restart
        self._try_another = try_another
        self._restarted = False

    @cached_property
    def client(self) -> httpx.Client:
        """REST, for the grader's own questions, which `requests` leaves out."""
        import httpx

        from grader.runtime.services.http import PLAIN

        # A kept connection would not outlive a restart.
        limits = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=PLAIN, limits=limits)
        headers = {OWN_HEADER: self._secret, "Accept-Encoding": "identity"}
        return httpx.Client(
            transport=transport, base_url="http://mlflow", headers=headers, timeout=60, trust_env=False
        )

    def close(self) -> None:
        """Drop the connections."""
        self.client.close()

    def requests(self) -> list[Request]:
        """What was asked of the server so far, in order; what the grader asked itself is left out."""
        return list(self._recorded())

    def _recorded(self) -> Iterator[Request]:
        file = self.files.open(REQUESTS)
        if file is None:
            return
        with os.fdopen(file, "rb") as record:
            while (line := record.readline(_MAX_LINE)).endswith(b"\n"):
                if (request := _request(line)) is not None:
                    if request.status == _TOO_MUCH:
                        self._remark("it received more than it accepts, and rejected the rest")
                    yield request
                elif b"incomplete" in line or record.tell() > MAX_RECORD:
                    self._remark("it received more requests than are recorded")
                    return

    def _remark(self, message: str) -> None:
        self.remarks[message] = None

    def ask(self, method: str, endpoint: str, **parameters: Any) -> dict[str, Any]:
        """The JSON that `/api/2.0/mlflow/<endpoint>` answers.

        Raises:
            GraderFault: it does not answer, or with an error.
        """
        import httpx

        path = f"/api/2.0/mlflow/{endpoint}"
        content = {"params": parameters} if method == "GET" else {"json": parameters}
        try:
            with self.client.stream(method, path, **content) as response:  # type: ignore[arg-type]
                response.raise_for_status()
                answer = json.loads(_content(response), parse_int=_integer)
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise GraderFault(f"the tracking server does not answer {endpoint}: {error}") from error
        return answer if isinstance(answer, dict) else {}

    def _look(self, method: str, endpoint: str, **parameters: Any) -> dict[str, Any]:
        """The same; nothing where what the candidate made of the store lets nobody answer."""
        try:
            return self.ask(method, endpoint, **parameters)
        except GraderFault:
            if not self._is_used():
                raise
        with contextlib.suppress(GraderFault):
            if not self._restarted:
                self._restarted = True
                self._restart()
            return self.ask(method, endpoint, **parameters)
        self._try_another()
        self._remark("the submission's requests keep the tracking server from answering")
        return {}

    def _is_used(self) -> bool:
        """Whether somebody else asked it anything."""
        return bool(self.files.size(REQUESTS))

    def experiments(self) -> list[ExperimentInfo]:
        """Every experiment, deleted ones too."""
        return [
            ExperimentInfo(
                id=_text(entry.get("experiment_id")),
                name=_text(entry.get("name")),
                active=entry.get("lifecycle_stage") == "active",
                tags=_pairs(entry, "tags"),
            )
            for entry in self._pages("POST", "experiments/search", "experiments", view_type="ALL")
        ]

    def runs(self, experiment: str | None = None, *, deleted: bool = False) -> list[RunInfo]:
        """The runs of an experiment (or of all), oldest first; deleted ones only if asked for."""
        names = {one.id: one.name for one in self.experiments() if experiment in (None, one.name)}
        if not names:
            return []
        found = self._pages(
            *("POST", "runs/search", "runs"),
            experiment_ids=list(names),
            run_view_type="ALL" if deleted else "ACTIVE_ONLY",
        )
        runs = [self._run(entry, names) for entry in found]
        return sorted(runs, key=lambda run: (run.start_time, run.id))

    def logged_models(self, run_id: str | None = None) -> list[LoggedModel]:
        """The models that clients of MLflow 3 logged, of one run or of all."""
        ids = [one.id for one in self.experiments()]
        found = self._pages("POST", "logged-models/search", "models", experiment_ids=ids)
        models = [
            LoggedModel(
                id=_text(info.get("model_id")),
                name=_text(info.get("name")),
                run_id=_text(info.get("source_run_id")),
                status=_text(info.get("status")),
                files=self.local(_text(info.get("artifact_uri"))),
            )
            for info in (_mapping(entry.get("info")) for entry in found)
        ]
        return [model for model in models if run_id in (None, model.run_id)]

    def registered_models(self) -> list[RegisteredModel]:
        """Every name in the registry."""
        return [
            RegisteredModel(
                name=_text(entry.get("name")),
                description=_text(entry.get("description")),
                aliases={
                    _text(one.get("alias")): _text(one.get("version")) for one in _list(entry, "aliases")
                },
                tags=_pairs(entry, "tags"),
            )
            for entry in self._pages("GET", "registered-models/search", "registered_models")
        ]

    def versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, oldest first; an unknown name has none."""
        aliases = next((one.aliases for one in self.registered_models() if one.name == name), {})
        # Not by a filter: the server's own grammar has no way to write every name.
        found = self._pages("GET", "model-versions/search", "model_versions")
        versions = [_version(entry, aliases) for entry in found if entry.get("name") == name]
        return sorted(versions, key=lambda one: _number(one.version, math.inf))

    def local(self, uri: str) -> Tree:
        """What lies at an artifact URI of this server; nothing at any other."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(uri)
            if parts.scheme == _PROXIED:
                return self.artifacts.below(unquote(parts.path).lstrip("/"))
        return NOTHING

    def _pages(self, method: str, endpoint: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        if endpoint != "logged-models/search":
            parameters["max_results"] = _PAGE
        for _ in range(_MAX_PAGES):
            answer = self._look(method, endpoint, **parameters)
            yield from _list(answer, key)
            if not answer.get("next_page_token"):
                return
            parameters["page_token"] = answer["next_page_token"]
        self._remark(f"it has more {key.replace('_', ' ')} than are read")

    def _run(self, entry: Mapping[str, Any], names: Mapping[str, str]) -> RunInfo:
        info, data = _mapping(entry.get("info")), _mapping(entry.get("data"))
        uri, experiment = _text(info.get("artifact_uri")), _text(info.get("experiment_id"))
        return RunInfo(
            id=_text(info.get("run_id")),
            name=_text(info.get("run_name")),
            status=_text(info.get("status")),
            experiment=names.get(experiment, ""),
            experiment_id=experiment,
            params=_pairs(data, "params"),
            metrics={_text(one.get("key")): _number(one.get("value")) for one in _list(data, "metrics")},
            tags=_pairs(data, "tags"),
            artifact_uri=uri,
            artifacts=self.local(uri),
            start_time=_time(info.get("start_time")),
            end_time=_time(info.get("end_time")),
            active=info.get("lifecycle_stage", "active") == "active",
        )


def _content(response: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > _MAX_ANSWER:
            raise ValueError(f"it is longer than {_MAX_ANSWER} bytes")
    return bytes(content)


def _request(line: bytes) -> Request | None:
    """A line of the record, which a server that was taken over may have written."""
    try:
        entry = _mapping(json.loads(line, parse_int=_integer))
    except (ValueError, RecursionError):
        return None
    status = entry.get("status")
    if not isinstance(status, int):
        return None
    return Request(
        method=_text(entry.get("method")),
        path=_text(entry.get("path")),
        status=status,
        query_string=_text(entry.get("query")),
        text=_text(entry.get("body")),
    )


def _version(entry: Mapping[str, Any], aliases: Mapping[str, str]) -> ModelVersion:
    version = _text(entry.get("version"))
    return ModelVersion(
        name=_text(entry.get("name")),
        version=version,
        stage=_text(entry.get("current_stage")) or "None",
        run_id=_text(entry.get("run_id")),
        source=_text(entry.get("source")),
        description=_text(entry.get("description")),
        status=_text(entry.get("status")),
        tags=_pairs(entry, "tags"),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
    )


def _pairs(entry: Mapping[str, Any], name: str) -> dict[str, str]:
    return {_text(one.get("key")): _text(one.get("value")) for one in _list(entry, name)}


def _list(entry: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = entry.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return str(value)[:_MAX_TEXT] if isinstance(value, str | int) else ""


def _integer(digits: str) -> int | float:
    """A number of JSON. Python takes ages over long ones, and refuses to write them."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _number(value: object, odd: float = math.nan) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return odd


def _time(value: object) -> int:
    number = _number(value, 0.0)
    return int(number) if abs(number) < _MAX_TIME else 0
