"""Fill a tracking server with finished experiments, in the candidate's own versions.

Request:
  data: {file, target, columns?}        a CSV in the workspace; rows with blanks and repeated rows are dropped
  models: {label: {labels?, params?}}   fitted as seed_model does
  names: ["model", ...]                 under which each run logs its model
  runs: [{experiment, name, params?, metrics?, status?, model?: label, deleted?: true}]    logged in this order
  rows: [[number or null, ...], ...]    for predictions
  uri?, store?: a tracking URI to fill instead of the server, and its path in the workspace; handed on in files/
  registry?: {model name: [{run: index, stage?, aliases?}, ...]}       versions, registered in this order
Answer: {runs: [{id, experiment, name, model: URI or null}], models: {label: [prediction, ...]},
         blanks: whether rows with null were predicted too, or left null}
"""

import inspect
import json
import os
import shutil
import sys

import seed_model


def log_model(model, name):
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
    return mlflow.sklearn.log_model(model, **given).model_uri


def log_run(spec, models, names, experiments):
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


def predict(model, columns, rows):
    """A prediction for each row; None for rows with blanks where this scikit-learn refuses them."""
    import pandas

    frame = pandas.DataFrame(rows, columns=columns).astype(float)
    try:
        return model.predict(frame).tolist()
    except ValueError:
        complete = frame.notna().all(axis=1)
        found = iter(model.predict(frame[complete]).tolist())
        return [next(found) if each else None for each in complete]


def register(registry, runs):
    """Versions of models, as the candidate's own client registers them."""
    for name, versions in registry.items():
        for spec in versions:
            run = runs[spec["run"]]
            seed_model.register({"name": name, **spec}, run, run["model"])


def keep(store):
    """Hand on what a store below the workspace consists of: its own path, and where MLflow puts artifacts."""
    os.makedirs("files", exist_ok=True)
    for path in {store, "mlruns"}:
        target = os.path.join("files", path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(path):
            shutil.copytree(path, target)
        elif os.path.isfile(path):
            shutil.copyfile(path, target)


def answer(request):
    """Everything that was asked for."""
    import mlflow

    if request.get("uri"):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        mlflow.set_tracking_uri(request["uri"])
    features, target = seed_model.read(request["data"])
    models = {label: seed_model.fit(spec, features, target) for label, spec in request["models"].items()}
    experiments = {}
    runs = [log_run(spec, models, request["names"], experiments) for spec in request["runs"]]
    register(request.get("registry", {}), runs)
    if request.get("uri"):
        keep(request["store"])
    rows = request.get("rows", [])
    predicted = {
        label: predict(model, list(features.columns), rows) if rows else [] for label, model in models.items()
    }
    return {
        "runs": runs,
        "models": predicted,
        "blanks": all(each is not None for found in predicted.values() for each in found),
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asked = json.load(file)
    told = answer(asked)
    with open(sys.argv[2], "w") as file:
        json.dump(told, file)
