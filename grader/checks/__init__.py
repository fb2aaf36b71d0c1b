"""Every check that a rubric may call, listed by hand."""

from __future__ import annotations

from grader.check import table
from grader.checks.batch import checks as batch
from grader.checks.compose import checks as compose
from grader.checks.dockerfile import checks as dockerfile
from grader.checks.dockerfile import configuration
from grader.checks.drift import checks as drift
from grader.checks.dvc import config as dvc
from grader.checks.dvc import pipeline
from grader.checks.dvc import runs as dvc_runs
from grader.checks.generic import commands, http, sqlite, values
from grader.checks.gitlab import checks as gitlab
from grader.checks.kubernetes import checks as kubernetes
from grader.checks.kubernetes import objects
from grader.checks.makefile import checks as makefile
from grader.checks.model_registry import checks as registration
from grader.checks.project import gitignore, lockfile, precommit, pyproject, recorded_commands
from grader.checks.prometheus import checks as prometheus
from grader.checks.prometheus import given_series
from grader.checks.pytest_suite import checks as suite
from grader.checks.query import checks as query
from grader.checks.serving import checks as serving
from grader.checks.training import checks as training
from grader.checks.workflow import checks as workflow

ALL = table(
    batch.CHECKS,
    recorded_commands.CHECKS,
    compose.CHECKS,
    configuration.CHECKS,
    dockerfile.CHECKS,
    drift.CHECKS,
    dvc.CHECKS,
    pipeline.CHECKS,
    dvc_runs.CHECKS,
    gitignore.CHECKS,
    gitlab.CHECKS,
    commands.CHECKS,
    http.CHECKS,
    sqlite.CHECKS,
    values.CHECKS,
    kubernetes.CHECKS,
    objects.CHECKS,
    lockfile.CHECKS,
    makefile.CHECKS,
    precommit.CHECKS,
    given_series.CHECKS,
    prometheus.CHECKS,
    pyproject.CHECKS,
    query.CHECKS,
    registration.CHECKS,
    serving.CHECKS,
    suite.CHECKS,
    training.CHECKS,
    workflow.CHECKS,
)
"""Every check by its name."""
