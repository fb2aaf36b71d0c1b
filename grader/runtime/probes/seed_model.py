"""Fill a tracking server with runs, models and registry entries, in the candidate's own versions.

Pickled models need not load in other versions than they were made in, so this runs in the candidate's
environment, with whatever MLflow from 2.9 on that has.

Request:
  data: {file, target, columns?}             a CSV in the workspace, less blanks and repetitions
  estimator: {name: "module.Class", params: {...}, random_state}                 what models are
  models: {label: {labels?: "true" | "flipped" | "shuffled", params?: {...}}}  fitted on its columns as floats
  experiments: [name, ...]                                                       made first
  runs: [{experiment, name?, params?, metrics?, tags?, status?, model?: label}]  logged in this order
  versions: [{name, run: index, stage?, aliases?: [], description?}]             registered in this order
  signature: whether models have one, which names the columns
  files: {"model.pkl": label}                                                    pickled into files/
  rows: [[...], ...]                                                             for predictions
Answer: {models: {label: {predictions, classes, columns}}, runs: [{id, experiment, name}],
         versions: [{name, version, run_id, stage, aliases}], packages: {name: version}}
"""

import importlib
import importlib.metadata
import inspect
import json
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
warnings.simplefilter("ignore")

PACKAGES = ("mlflow", "mlflow-skinny", "scikit-learn", "pandas", "numpy", "joblib")
"""Those of its own that a model depends on, besides its estimator's."""


def read(data: dict[str, Any]) -> tuple[Any, Any]:
    """Features by name, as floats, and the target: whole numbers as such, though blanks made them floats."""
    import pandas

    frame = pandas.read_csv(data["file"]).dropna().drop_duplicates()
    columns = data.get("columns") or [name for name in frame.columns if name != data["target"]]
    target = frame[data["target"]]
    return frame[columns].astype(float), target if target.dtype == object else target.astype(int)


def fit(estimator: dict[str, Any], spec: dict[str, Any], features: Any, target: Any) -> Any:
    """One of the models."""
    module, _, name = estimator["name"].rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    takes = inspect.signature(cls).parameters
    usual = {"n_jobs": 1, "random_state": estimator["random_state"]}
    parameters = {name: value for name, value in usual.items() if name in takes}
    parameters |= {**estimator["params"], **spec.get("params", {})}
    labels = spec.get("labels", "true")
    if labels == "flipped":
        classes = sorted(target.unique())
        target = target.map(dict(zip(classes, reversed(classes), strict=True)))
    elif labels == "shuffled":
        # Other predictions than either of the true and the flipped labels give.
        seed = parameters.get("random_state", estimator["random_state"])
        target = target.sample(frac=1, random_state=seed).set_axis(target.index)
    return cls(**parameters).fit(features, target)


def log_model(model: Any, features: Any) -> str:
    """Log a model in the running run, with a signature if there are features; returns its URI."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    accepted = inspect.signature(mlflow.sklearn.log_model).parameters
    given: dict[str, Any] = {
        "name" if "name" in accepted else "artifact_path": "model",
        # The default of MLflow 3.17 refuses a RandomForest unless it is told to trust its types.
        "serialization_format": "cloudpickle",
        # Without these MLflow starts a second interpreter for each model, to see what it imports.
        "pip_requirements": [f"{name}=={version}" for name, version in packages().items()],
    }
    if features is not None:
        given["signature"] = infer_signature(features, model.predict(features))
    return str(mlflow.sklearn.log_model(model, **given).model_uri)


def log_run(spec: dict[str, Any], models: dict[str, Any], features: Any) -> tuple[dict[str, Any], str]:
    """Log a run; returns what to tell of it, and the URI of its model, if any."""
    import mlflow

    experiment = mlflow.set_experiment(spec["experiment"])
    run = mlflow.start_run(experiment_id=experiment.experiment_id, run_name=spec.get("name"))
    mlflow.log_params(spec.get("params", {}))
    mlflow.log_metrics(spec.get("metrics", {}))
    mlflow.set_tags(spec.get("tags", {}))
    uri = log_model(models[spec["model"]], features) if spec.get("model") else ""
    mlflow.end_run(spec.get("status", "FINISHED"))
    told = {"id": run.info.run_id, "experiment": spec["experiment"], "name": spec.get("name")}
    return told, uri


def make_experiments(names: Iterable[str]) -> None:
    """Make experiments without runs, which take their ids."""
    import mlflow

    for name in names:
        mlflow.create_experiment(name)


def register(spec: dict[str, Any], run: dict[str, Any], uri: str) -> dict[str, Any]:
    """Register a run's model as a new version."""
    import mlflow

    client = mlflow.MlflowClient()
    name = spec["name"]
    version = mlflow.register_model(uri, name, await_registration_for=60).version
    if spec.get("description"):
        client.update_model_version(name, version, description=spec["description"])
    if spec.get("stage"):
        client.transition_model_version_stage(name, version, spec["stage"])
    for alias in spec.get("aliases", ()):
        client.set_registered_model_alias(name, alias, version)
    return {
        "name": name,
        "version": str(version),
        "run_id": run["id"],
        "stage": spec.get("stage"),
        "aliases": spec.get("aliases", []),
    }


def dump(files: dict[str, str], models: dict[str, Any]) -> None:
    """Leave models as plain files, pickled: joblib reads what pickle wrote, and not the other way round."""
    import pickle

    for name, label in files.items():
        path = Path("files", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pickle.dump(models[label], file)


def predict(model: Any, rows: list[list[float]]) -> dict[str, Any]:
    """What a model says of the rows, and what it knows of its data."""
    import pandas

    frame = pandas.DataFrame(rows, columns=list(model.feature_names_in_)).astype(float)
    return {
        "predictions": model.predict(frame).tolist() if rows else [],
        "classes": model.classes_.tolist(),
        "columns": list(model.feature_names_in_),
    }


def packages() -> dict[str, str]:
    """The versions that a model depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do all that is asked, in the order of the fields above."""
    specs = request.get("models", {})
    features, target = read(request["data"]) if specs else (None, None)
    models = {label: fit(request["estimator"], spec, features, target) for label, spec in specs.items()}
    make_experiments(request.get("experiments", ()))
    signed = features if request.get("signature") else None
    logged = [log_run(spec, models, signed) for spec in request.get("runs", ())]
    versions = [register(spec, *logged[spec["run"]]) for spec in request.get("versions", ())]
    dump(request.get("files", {}), models)
    rows = request.get("rows", [])
    return {
        "models": {label: predict(model, rows) for label, model in models.items()},
        "runs": [told for told, _ in logged],
        "versions": versions,
        "packages": packages(),
    }


if __name__ == "__main__":
    told = answer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")
