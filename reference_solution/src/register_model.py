"""Task 3.3: register the best model of exam-training and move it to Staging."""

import os

import mlflow
from mlflow import MlflowClient

EXPERIMENT = "exam-training"
MODEL_NAME = "ExamClassifier"


def main() -> None:
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://localhost:5000"))
    best = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string="metrics.accuracy > 0.85",
        order_by=["metrics.accuracy DESC"],
        max_results=1,
        output_format="list",
    )
    if not best:
        raise SystemExit(f"no run of {EXPERIMENT} has an accuracy above 0.85")
    [run] = best
    accuracy = run.data.metrics["accuracy"]

    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", MODEL_NAME).version
    client = MlflowClient()
    client.update_model_version(
        MODEL_NAME, version, description=f"Best model from exam, accuracy={accuracy:.2f}"
    )
    # Deprecated in favour of aliases since MLflow 2.9, but a stage is what was asked for.
    client.transition_model_version_stage(MODEL_NAME, version, stage="Staging")
    print(f"{MODEL_NAME} version {version} (run {run.info.run_id}) is in Staging")


if __name__ == "__main__":
    main()
