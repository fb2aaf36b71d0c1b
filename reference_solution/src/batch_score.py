"""Score a CSV file with the Production model.

python src/batch_score.py [--input data/current.csv] [--output data/scored.csv]
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import mlflow.sklearn
import pandas as pd

MODEL_URI = "models:/ExamClassifier/Production"
CHUNK_ROWS = 10_000


def score(source: Path, target: Path) -> int:
    model = mlflow.sklearn.load_model(MODEL_URI)
    rows = 0
    with pd.read_csv(source, chunksize=CHUNK_ROWS) as chunks, target.open("w") as out:
        for number, chunk in enumerate(chunks):
            # By the names that the model was trained on: other columns may stand between them.
            features = chunk[list(model.feature_names_in_)].astype(float)
            chunk["prediction"] = model.predict(features)
            chunk["prediction_time"] = datetime.now(UTC).isoformat()
            chunk.to_csv(out, index=False, header=number == 0)
            rows += len(chunk)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=Path("data/current.csv"))
    parser.add_argument("--output", type=Path, default=Path("data/scored.csv"))
    args = parser.parse_args()

    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://localhost:5000"))
    rows = score(args.input, args.output)
    print(f"{rows} rows scored in {args.output}")


if __name__ == "__main__":
    main()
