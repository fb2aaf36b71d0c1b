"""Task 3.2: print the three most accurate runs of exam-training above 0.85."""

import os

import mlflow
from mlflow.entities import Run

EXPERIMENT = "exam-training"


def best_runs(count: int = 3) -> list[Run]:
    return mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string="metrics.accuracy > 0.85",
        order_by=["metrics.accuracy DESC"],
        max_results=count,
        output_format="list",
    )


def main() -> None:
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://localhost:5000"))
    for run in best_runs():
        print(f"{run.info.run_id}  accuracy={run.data.metrics['accuracy']:.4f}")


if __name__ == "__main__":
    main()
