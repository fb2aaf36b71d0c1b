#!/usr/bin/env bash
# Task 2.1: put data/train.csv under DVC. Run once, in a fresh clone with the data in place and the
# AWS credentials in the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

dvc init
dvc config core.analytics false
dvc remote add --default storage s3://mlops-exam/dvc-store

# Fails if git already tracks the CSV: then `git rm --cached data/train.csv` first.
dvc add data/train.csv
git add .dvc .dvcignore data/train.csv.dvc
git commit -m "Track data/train.csv with DVC"

dvc push
