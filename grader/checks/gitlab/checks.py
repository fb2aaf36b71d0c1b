"""Whether a GitLab pipeline is valid, and what its jobs are."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from grader.check import Deliverable, Example, check
from grader.checks.generic.expectations import Expect
from grader.checks.generic.values import Document, JsonPath, Quantifier, judge
from grader.checks.gitlab.pipeline import Pipeline, read
from grader.documents import Problem
from grader.readers.vendored_schemas import schema_errors, vendored_schema
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from grader.context import Context

MAX_MESSAGE = 300
MAX_LISTED = 8
_STAGES = (".pre", "build", "test", "deploy", ".post")
"""Those of a pipeline that names none."""


@cache
def _validator() -> Validator:
    import jsonschema

    return jsonschema.Draft7Validator(vendored_schema("gitlab-ci"))


def _pipeline(context: Context, *, file: Deliverable) -> Pipeline | Finding:
    """The pipeline."""
    found = read(context.deliverable(file))
    return found.finding("a GitLab pipeline") if isinstance(found, Problem) else found


_FILE = """\
stages: [test, publish]
.python:
  image: python:3.12
  cache: {paths: [.cache/pip]}
unit:
  extends: .python
  script: [pip install -r requirements.txt, pytest -q]
publish:
  extends: .python
  stage: publish
  needs: [unit]
  script: twine upload dist/*
  rules: [{if: $CI_COMMIT_TAG}]
"""


@check(
    "gitlab.valid",
    reads=_pipeline,
    example=Example(
        rubric="""
            deliverables: {pipeline: {path: .gitlab-ci.yml}}
            check: gitlab.valid
        """,
        files={".gitlab-ci.yml": _FILE},
    ),
)
def gitlab_valid(_: Context, found: Pipeline) -> Outcome:
    """The pipeline has a job and is valid: by GitLab's schema, and in the jobs and stages that it names."""
    findings = [
        Finding(
            message=f"not a valid pipeline: {said[:MAX_MESSAGE]}",
            where=found.where(*(step for step in place if isinstance(step, str | int))),
        )
        for place, said in schema_errors(_validator(), {**found.data, **found.jobs})
    ]
    findings += [
        Finding(message=f"job {job[:MAX_MESSAGE]} {said}", where=found.where(job))
        for job, said in found.problems
    ]
    if not findings:
        findings = [*_broken_names(found)]
    if not findings and not found.jobs:
        findings = [Finding(message="there is no job", where=found.file.name)]
    return failed(*findings[:MAX_LISTED]) if findings else passed()


def _broken_names(found: Pipeline) -> list[Finding]:
    said = found.data.get("stages")
    stages = [".pre", *said, ".post"] if isinstance(said, list) else list(_STAGES)
    findings = []
    for name, job in found.jobs.items():
        if job["stage"] not in stages:
            message = f"job {name} is in a stage that there is not"
            shown = str(job["stage"])[:MAX_MESSAGE]
            findings.append(
                Finding(
                    message=message,
                    expected=", ".join(map(str, stages)),
                    actual=shown,
                    where=found.where(name, "stage"),
                )
            )
        if not job.keys() & {"script", "trigger", "run"}:
            findings.append(Finding(message=f"job {name} has no script", where=found.where(name)))
        needs = job.get("needs")
        for need in needs if isinstance(needs, list) else []:
            needed = need.get("job") if isinstance(need, dict) else need
            elsewhere = isinstance(need, dict) and need.keys() & {"project", "pipeline", "optional"}
            if not elsewhere and needed not in found.jobs:
                message = f"job {name} needs {str(needed)[:MAX_MESSAGE]}, which is not a job"
                findings.append(Finding(message=message, where=found.where(name, "needs")))
    return findings


@check(
    "gitlab.job",
    reads=_pipeline,
    example=Example(
        rubric="""
            deliverables: {pipeline: {path: .gitlab-ci.yml}}
            check: gitlab.job
            with:
              file: pipeline
              path: $.script[*]
              expect: {matches: '\\bpytest\\b'}
        """,
        files={".gitlab-ci.yml": _FILE},
    ),
)
def gitlab_job(
    _: Context,
    found: Pipeline,
    *,
    job: str = "",
    path: JsonPath = "$",
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a job is as expected, with what the job inherits and scripts as flat lists.

    A job has what it `extends`, what `!reference` names, `default` and the pipeline's variables; its stage is
    `test` where it says none. Files that `include` names are not read.

    Args:
        job: the job's name; any job, if it is left out.
        path: a JSONPath from the job, such as `$.rules[*].if`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    those = {name: each for name, each in found.jobs.items() if job in ("", name)}
    if not those:
        message = f"there is no job {job}" if job else "there is no job"
        actual = ", ".join(found.jobs)[:MAX_MESSAGE]
        return failed(Finding(message=message, actual=actual, where=found.file.name))
    documents = tuple(Document(found.file, data, found.document, (name,)) for name, data in those.items())
    return judge(documents, path, expect, quantifier)


CHECKS = (gitlab_valid, gitlab_job)
