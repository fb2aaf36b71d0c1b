"""The checks that rubrics call by name: the table of contents of this folder, written out by hand."""

from __future__ import annotations

from grader.checks import (
    batch,
    commands,
    dockerfile,
    drift,
    dvc,
    dvc_pipeline,
    dvc_runs,
    gitignore,
    kubernetes,
    lockfile,
    makefile,
    precommit,
    prometheus,
    pyproject,
    query,
    registration,
    serving,
    suite,
    training,
    workflow,
)
from grader.checks.registry import table

ALL = table(
    batch.CHECKS,
    commands.CHECKS,
    dockerfile.CHECKS,
    drift.CHECKS,
    dvc.CHECKS,
    dvc_pipeline.CHECKS,
    dvc_runs.CHECKS,
    gitignore.CHECKS,
    kubernetes.CHECKS,
    lockfile.CHECKS,
    makefile.CHECKS,
    precommit.CHECKS,
    prometheus.CHECKS,
    pyproject.CHECKS,
    query.CHECKS,
    registration.CHECKS,
    serving.CHECKS,
    suite.CHECKS,
    training.CHECKS,
    workflow.CHECKS,
)
"""Check by name."""
