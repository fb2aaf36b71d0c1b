"""Fill a tracking server with finished experiments, in the candidate's own versions.

Request:
  data: {file, target, columns?}        a CSV in the workspace, less blanks and repetitions
  estimator: {name, params, random_state}   what models are
  models: {label: {labels?, params?}}   fitted as `seed_model` does
  files: {"models/model.pkl": label}    pickled into files/
  names: ["model", ...]                 under which each run logs its model
  experiments: [name, ...]              made first
  runs: [{experiment, name, params?, metrics?, status?, model?: label, deleted?: true}]  logged in this order
  rows: [[number or null, ...], ...]    for predictions
  uri?, store?                          to fill instead of the server: a tracking URI, and its path in the
                                        workspace, handed on in files/
  registry?: {model name: [{run: index, stage?, aliases?}, ...]}    versions, registered in this order
Answer: {runs: [{id, experiment, name, model: URI or null}], models: {label: [prediction, ...]},
         blanks: whether rows with null were predicted too, or left null}
"""

import importlib
import inspect
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

seed_model: Any = importlib.import_module("seed_model")
FILES = Path("files")
ARTIFACTS = "mlruns"
"""Where MLflow puts artifacts without a server, next to a database."""


def log_model(model: Any, name: str) -> str:
    """Log a model in the running run; returns its URI."""
    import mlflow.sklearn

    accepted = inspect.signature(mlflow.sklearn.log_model).parameters
    given = {
        "name" if "name" in accepted else "artifact_path": name,
        # The default of MLflow 3.17 refuses a RandomForest unless it is told to trust its types.
        "serialization_format": "cloudpickle",
        # Without these MLflow starts a second interpreter for each model, to see what it imports.
        "pip_requirements": [f"{package}=={version}" for package, version in seed_model.packages().items()],
    }
    uri: str = mlflow.sklearn.log_model(model, **given).model_uri
    return uri


def log_run(
    spec: dict[str, Any], models: dict[str, Any], names: list[str], experiments: dict[str, str]
) -> dict[str, Any]:
    """One run, from its start to its end."""
    import mlflow

    name = spec["experiment"]
    if name not in experiments:
        experiments[name] = mlflow.set_experiment(name).experiment_id
    run = mlflow.start_run(experiment_id=experiments[name], run_name=spec["name"])
    mlflow.log_params(spec.get("params", {}))
    mlflow.log_metrics(spec.get("metrics", {}))
    uris = [log_model(models[spec["model"]], each) for each in names] if spec.get("model") else [None]
    mlflow.end_run(spec.get("status", "FINISHED"))
    if spec.get("deleted"):
        mlflow.delete_run(run.info.run_id)
    return {"id": run.info.run_id, "experiment": name, "name": spec["name"], "model": uris[0]}


def predict(model: Any, columns: list[str], rows: list[list[float | None]]) -> list[Any]:
    """A prediction for each row; None for rows with blanks where this scikit-learn refuses them."""
    import pandas

    frame = pandas.DataFrame(rows, columns=columns).astype(float)
    try:
        return list(model.predict(frame).tolist())
    except ValueError:
        complete = frame.notna().all(axis=1)
        found = iter(model.predict(frame[complete]).tolist())
        return [next(found) if each else None for each in complete]


def register(registry: dict[str, list[dict[str, Any]]], runs: list[dict[str, Any]]) -> None:
    """Versions of models, as the candidate's own client registers them."""
    for name, versions in registry.items():
        for spec in versions:
            run = runs[spec["run"]]
            seed_model.register({"name": name, **spec}, run, run["model"])


def keep(store: str) -> None:
    """Hand on what a store below the workspace consists of."""
    for path in {Path(store), Path(ARTIFACTS)}:
        target = FILES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target)
        elif path.is_file():
            shutil.copyfile(path, target)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Everything that was asked for."""
    import mlflow

    if request.get("uri"):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        Path(request["store"]).parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(request["uri"])
    features, target = seed_model.read(request["data"])
    estimator, specs = request["estimator"], request["models"]
    models = {label: seed_model.fit(estimator, spec, features, target) for label, spec in specs.items()}
    seed_model.make_experiments(request.get("experiments", ()))
    experiments: dict[str, str] = {}
    runs = [log_run(spec, models, request["names"], experiments) for spec in request["runs"]]
    register(request.get("registry", {}), runs)
    seed_model.dump(request.get("files", {}), models)
    if request.get("uri"):
        keep(request["store"])
    columns, rows = list(features.columns), request["rows"]
    predicted = {label: predict(model, columns, rows) for label, model in models.items()}
    return {
        "runs": runs,
        "models": predicted,
        "blanks": all(each is not None for found in predicted.values() for each in found),
    }


if __name__ == "__main__":
    told = answer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")
