"""Say what a tracking store in the workspace holds, in the candidate's own version of MLflow.

Request: {"uri": tracking URI, "experiment": name, "model": name}
Answer: {"runs": [{id, name, metrics}], "description": of the registered model,
         "versions": [{version, stage, run_id, source, description, aliases}], "models": {id: run}}
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"


def runs(client: Any, name: str) -> list[dict[str, Any]]:
    """The active runs of an experiment."""
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
    return [
        {"id": run.info.run_id, "name": run.info.run_name or "", "metrics": dict(run.data.metrics)}
        for run in found
    ]


def versions(client: Any, name: str) -> list[dict[str, Any]]:
    """Every version of a model."""
    return [
        {
            "version": str(each.version),
            "stage": each.current_stage or "None",
            "run_id": each.run_id or "",
            "source": each.source or "",
            "description": each.description or "",
            "aliases": [str(alias) for alias in getattr(each, "aliases", ())],
        }
        for each in client.search_model_versions(f"name='{name}'")
    ]


def logged(client: Any, name: str) -> dict[str, str]:
    """Runs of the models that MLflow 3 logs beside them."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None or not hasattr(client, "search_logged_models"):
        return {}
    found = client.search_logged_models(experiment_ids=[experiment.experiment_id])
    return {each.model_id: each.source_run_id for each in found if each.source_run_id}


def answer(request: dict[str, str]) -> dict[str, Any]:
    """Everything that was asked for."""
    import mlflow

    client = mlflow.MlflowClient(request["uri"])
    models = {each.name: each.description or "" for each in client.search_registered_models()}
    return {
        "runs": runs(client, request["experiment"]),
        "description": models.get(request["model"], ""),
        "versions": versions(client, request["model"]) if request["model"] in models else [],
        "models": logged(client, request["experiment"]),
    }


if __name__ == "__main__":
    told = answer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")
