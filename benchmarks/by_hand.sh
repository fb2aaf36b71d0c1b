#!/usr/bin/env bash
# What an examiner would type to check the tasks that run, one after the other, the environment being ready.
#
#   by_hand.sh WORKSPACE PYTHON [STEP ...]
#
# WORKSPACE: a writable copy of the reference solution with the given data in it. PYTHON: its environment's.
# STEPs default to all. Prints a line `step seconds` for each.
set -euo pipefail
workspace=$1 python=$2
shift 2
steps=${*:-server repro train query register serve pytest drift batch}
cd "$workspace"
bin=$(dirname "$python")
export PATH="$bin:$PATH" MLFLOW_TRACKING_URI=http://127.0.0.1:5000 GIT_PYTHON_REFRESH=quiet DVC_NO_ANALYTICS=1
log=$workspace/../by_hand.log

# Servers get a process group each: the mlflow command starts workers that outlive a killed parent.
groups=()
trap 'for group in "${groups[@]}"; do kill -KILL -- "-$group" 2>/dev/null || true; done' EXIT
await() {
    for _ in $(seq 600); do
        curl --silent --fail --output /dev/null "$1" && return
        sleep 0.1
    done
    echo "no answer from $1" >&2
    return 1
}

server() {
    setsid "$bin/mlflow" server --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///../by_hand.db \
        --artifacts-destination ../by_hand_artifacts >>"$log" 2>&1 &
    groups+=($!)
    await http://127.0.0.1:5000/health
}
repro() { "$bin/dvc" repro --quiet; }
train() { mkdir -p data/processed && "$python" src/preprocess.py && "$python" src/train.py; }
query() { "$python" src/query_best.py; }
register() { "$python" src/register_model.py; }
serve() {
    setsid "$python" -m uvicorn src.api:app --host 127.0.0.1 --port 8000 >>"$log" 2>&1 &
    groups+=($!)
    await http://127.0.0.1:8000/health
    for path in health ready metrics; do curl --silent "http://127.0.0.1:8000/$path"; done
    curl --silent --header 'Content-Type: application/json' --data '{"features": [[40, 12, 80.0, 2]]}' \
        http://127.0.0.1:8000/predict
}
pytest() { "$python" -m pytest -q tests/test_api.py; }
drift() {
    cp data/current.csv ../drifted.csv
    cp data/baseline.csv data/current.csv
    "$python" src/detect_drift.py
    cp ../drifted.csv data/current.csv
    "$python" src/detect_drift.py || [ $? = 1 ]
}
batch() {
    "$python" - <<'PYTHON'
from mlflow import MlflowClient

client = MlflowClient()
for version in client.search_model_versions("name='ExamClassifier'"):
    client.transition_model_version_stage("ExamClassifier", version.version, "Production")
PYTHON
    "$python" src/batch_score.py
}

for step in $steps; do
    start=$(date +%s.%N)
    "$step" >>"$log" 2>&1
    printf '%s %s\n' "$step" "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.2f", b - a }')"
done
