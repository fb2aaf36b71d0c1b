"""The checks that rubrics call by name: the table of contents of this folder, written out by hand."""

from __future__ import annotations

from grader.checks import (
    batch_source,
    commands,
    dockerfile,
    drift,
    dvc,
    dvc_pipeline,
    gitignore,
    kubernetes,
    lockfile,
    makefile,
    pending,
    precommit,
    prometheus,
    pyproject,
    query_source,
    serving,
    training,
    workflow,
)
from grader.checks.registry import table

ALL = table(
    batch_source.CHECKS,
    commands.CHECKS,
    dockerfile.CHECKS,
    drift.CHECKS,
    dvc.CHECKS,
    dvc_pipeline.CHECKS,
    gitignore.CHECKS,
    kubernetes.CHECKS,
    lockfile.CHECKS,
    makefile.CHECKS,
    pending.CHECKS,
    precommit.CHECKS,
    prometheus.CHECKS,
    pyproject.CHECKS,
    query_source.CHECKS,
    serving.CHECKS,
    training.CHECKS,
    workflow.CHECKS,
)
"""Check by name."""
