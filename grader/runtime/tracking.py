"""What a tracking server knows, asked of its REST interface: the grader itself never imports MLflow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from grader.errors import GraderFault
from grader.runtime.mlflow_server import ARTIFACTS, OWN_AGENT, REQUESTS, SOCKET

if TYPE_CHECKING:
    import httpx

_PROXIED = "mlflow-artifacts"
_MOST_PAGES = 50
_PAGE = 1000
_MOST_REQUESTS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that the server got."""

    method: str
    path: str
    """Without the query: `/api/2.0/mlflow/runs/search`."""
    query: Mapping[str, list[str]]
    body: Any
    """Its JSON, or None where it had none."""
    status: int
    """Of the answer."""


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
    artifact_root: Path
    """On the host. It need not exist: nothing was logged, or not to this server."""
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
    root: Path


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


class MlflowServer:
    """A running server and its store."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.socket = store / SOCKET
        self.artifacts = store / ARTIFACTS

    @cached_property
    def client(self) -> httpx.Client:
        """REST, for the grader's own questions, which `requests` leaves out."""
        import httpx

        from grader.runtime.client import PLAIN

        transport = httpx.HTTPTransport(uds=str(self.socket), verify=PLAIN)
        headers = {"User-Agent": OWN_AGENT}
        return httpx.Client(
            transport=transport, base_url="http://mlflow", headers=headers, timeout=60, trust_env=False
        )

    def close(self) -> None:
        """Drop the connections."""
        self.client.close()

    def requests(self) -> list[Request]:
        """What was asked of the server so far, in order; what the grader asked itself is left out."""
        try:
            with (self.store / REQUESTS).open(encoding="utf-8", errors="replace") as record:
                lines = [line for line in islice(record, _MOST_REQUESTS) if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [_request(entry) for entry in map(json.loads, lines) if not entry["own"]]

    def ask(self, method: str, endpoint: str, **parameters: Any) -> dict[str, Any]:
        """The JSON that `/api/2.0/mlflow/<endpoint>` answers.

        Raises:
            GraderFault: it does not answer, or with an error.
        """
        import httpx

        path = f"/api/2.0/mlflow/{endpoint}"
        try:
            if method == "GET":
                response = self.client.get(path, params=parameters)
            else:
                response = self.client.request(method, path, json=parameters)
            response.raise_for_status()
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise GraderFault(f"the tracking server does not answer {endpoint}: {error}") from error
        return answer

    def experiments(self) -> list[ExperimentInfo]:
        """Every experiment, deleted ones too."""
        return [
            ExperimentInfo(
                id=entry["experiment_id"],
                name=entry.get("name", ""),
                active=entry.get("lifecycle_stage") == "active",
                tags=_pairs(entry),
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
        models = [
            LoggedModel(
                id=entry["info"]["model_id"],
                name=entry["info"].get("name", ""),
                run_id=entry["info"].get("source_run_id", ""),
                status=entry["info"].get("status", ""),
                root=self.local(entry["info"].get("artifact_uri", "")),
            )
            for entry in self._pages("POST", "logged-models/search", "models", experiment_ids=ids)
        ]
        return [model for model in models if run_id in (None, model.run_id)]

    def model_directories(self, run: RunInfo) -> list[Path]:
        """Every model of a run (a directory with an `MLmodel`), whichever MLflow logged it."""
        inside = [path.parent for path in sorted(run.artifact_root.rglob("MLmodel")) if path.is_file()]
        beside = [model.root for model in self.logged_models(run.id) if (model.root / "MLmodel").is_file()]
        return [*inside, *beside]

    def registered_models(self) -> list[RegisteredModel]:
        """Every name in the registry."""
        return [
            RegisteredModel(
                name=entry["name"],
                description=entry.get("description", ""),
                aliases={one["alias"]: str(one["version"]) for one in entry.get("aliases", ())},
                tags=_pairs(entry),
            )
            for entry in self._pages("GET", "registered-models/search", "registered_models")
        ]

    def versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, oldest first; an unknown name has none."""
        aliases = next((one.aliases for one in self.registered_models() if one.name == name), {})
        # Not by a filter: the server's own grammar has no way to write every name.
        found = self._pages("GET", "model-versions/search", "model_versions")
        versions = [_version(entry, aliases) for entry in found if entry.get("name") == name]
        return sorted(versions, key=lambda one: int(one.version))

    def local(self, uri: str) -> Path:
        """Where an artifact URI of this server is on the host; a place that does not exist for any other."""
        parts = urlsplit(uri)
        path = PurePosixPath(unquote(parts.path).lstrip("/"))
        nowhere = self.store / "elsewhere"
        if parts.scheme != _PROXIED:
            return nowhere
        # Links would be the candidate's doing, by way of a hole in the server.
        found = (self.artifacts / path).resolve()
        return found if found.is_relative_to(self.artifacts.resolve()) else nowhere

    def _pages(self, method: str, endpoint: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        if endpoint != "logged-models/search":
            parameters["max_results"] = _PAGE
        for _ in range(_MOST_PAGES):
            answer = self.ask(method, endpoint, **parameters)
            yield from answer.get(key, ())
            if not answer.get("next_page_token"):
                return
            parameters["page_token"] = answer["next_page_token"]

    def _run(self, entry: Mapping[str, Any], names: Mapping[str, str]) -> RunInfo:
        info, data = entry["info"], entry.get("data", {})
        uri = info.get("artifact_uri", "")
        return RunInfo(
            id=info["run_id"],
            name=info.get("run_name", ""),
            status=info.get("status", ""),
            experiment=names.get(info["experiment_id"], ""),
            experiment_id=info["experiment_id"],
            params={one["key"]: one.get("value", "") for one in data.get("params", ())},
            metrics={one["key"]: _number(one.get("value")) for one in data.get("metrics", ())},
            tags=_pairs(data),
            artifact_uri=uri,
            artifact_root=self.local(uri),
            start_time=int(info.get("start_time", 0)),
            end_time=int(info.get("end_time", 0)),
            active=info.get("lifecycle_stage", "active") == "active",
        )


def _request(entry: Mapping[str, Any]) -> Request:
    return Request(
        method=entry["method"],
        path=entry["path"],
        query=parse_qs(entry["query"], keep_blank_values=True),
        body=entry["body"],
        status=entry["status"],
    )


def _version(entry: Mapping[str, Any], aliases: Mapping[str, str]) -> ModelVersion:
    version = str(entry["version"])
    return ModelVersion(
        name=entry["name"],
        version=version,
        stage=entry.get("current_stage", "None"),
        run_id=entry.get("run_id", ""),
        source=entry.get("source", ""),
        description=entry.get("description", ""),
        status=entry.get("status", ""),
        tags=_pairs(entry),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
    )


def _pairs(entry: Mapping[str, Any]) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in entry.get("tags", ())}


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
