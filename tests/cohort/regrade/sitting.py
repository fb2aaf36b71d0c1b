"""A small exam of two tasks that reading decides, in a folder of its own, and a sitting of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.checks import ALL
from grader.cohort.executor.messages import Done, Seen
from grader.cohort.gradebook.results import commit
from grader.cohort.plan import plan
from grader.cohort.regrade.code import Source
from grader.cohort.regrade.fingerprints import Fingerprints, fingerprints
from grader.cohort.regrade.reuse import Regrade
from grader.cohort.sources.model import Cohort, Found, Person
from grader.exam.bundled import ROOT
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.runtime.temporary import scratch_directory
from grader.session import STATIC, Options, score_submission
from grader.submission.collect import collect

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam

SOURCE = Source()
EXAM = f"""\
id: small
title: Small exam
version: "1"
points: 4
pass_mark: 2
sections:
  - id: "1"
    title: Manifests
    tasks: [{{id: "1.1", points: 2}}, {{id: "1.2", points: 2}}]
environment:
  python: "3.11"
  lock: requirements-lock.txt
  fallback: {ROOT}/reference_solution/requirements-lock.txt
"""
TASK = """\
task: "{task}"
title: {file}
deliverables:
  {file}: {{path: {file}.yaml}}
criteria:
  - id: {task}.replicas
    points: 1
    title: Three replicas
    hint: Set the number of pods.
    check: kubernetes.replicas
    with: {{file: {file}, name: {file}, replicas: 3}}
  - id: {task}.image
    points: 1
    title: The image
    hint: Name the image.
    check: kubernetes.image
    with: {{file: {file}, name: {file}, image: "ghcr.io/exam/api:latest"}}
"""
FILES = {"1.1": "api", "1.2": "worker"}
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: api, image: "ghcr.io/exam/api:latest"}}]
"""


def write_exam(folder: Path) -> Path:
    """The exam's files."""
    folder.mkdir()
    (folder / "exam.yaml").write_text(EXAM)
    for task, file in FILES.items():
        (folder / f"{task}.yaml").write_text(TASK.format(task=task, file=file))
    return folder


def change(path: Path, old: str, new: str) -> None:
    """Put a text in the place of another one."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write_submission(folder: Path, replicas: int) -> Path:
    """What somebody hands in."""
    folder.mkdir(parents=True)
    for name in FILES.values():
        (folder / f"{name}.yaml").write_text(MANIFEST.format(name=name, replicas=replicas))
    return folder


@dataclass
class Sitting:
    """Batches, without agents."""

    book: Gradebook
    exam_folder: Path
    folder: Path
    regrade: Regrade = field(init=False)
    prints: Fingerprints = field(init=False)

    @property
    def exam(self) -> Exam:
        return load_exam(self.exam_folder, ALL)

    def batch(
        self,
        *,
        again: bool = False,
        runs: bool = True,
        tools: tuple[str, ...] = (),
        source: Source = SOURCE,
        which: str = "",
        keep: bool = True,
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        grade: bool = True,
    ) -> dict[str, tuple[str, ...]]:
        """Grade what the folder has and is not graded.

        Args:
            change: of each document, before it is kept.
            grade: else only queue it.

        Returns:
            Submission -> the tasks that were graded; empty where all were.
        """
        exam = self.exam
        self.prints = fingerprints(exam, source)
        self.regrade = Regrade(self.book, exam, self.prints, again=again, runs=runs, tools=lambda: tools)
        found = []
        seen = {}
        for path in sorted(self.folder.iterdir()):
            key, _, tag = path.name.partition("@")
            found.append(Found(people=(Person(key=key),), source=str(path), tag=tag))
            seen[str(path)] = Seen(digest=digest_of(path, exam))
        cohort = Cohort(kind="folder", root=self.folder, found=tuple(found))
        todo = plan(
            self.book,
            cohort,
            seen,
            exam=self.prints.exam,
            grader=self.prints.grader,
            options={"seed": 0},
            which=which,
            settle=self.regrade.settle,
            keep=keep,
        )
        graded = {}
        for job in sorted(todo.jobs, key=lambda job: job.source) if keep and grade else ():
            request = self.regrade.request(job)
            done = document(
                score_submission(job.source, Options(isolation=STATIC, tasks=request.tasks), exam=exam)
            )
            change(done)
            kept = self.regrade.complete(job, Done(document=done))
            with self.book.transaction():
                assert commit(self.book, job.id, kept, "here") == "first"
            graded[Path(job.source).name] = request.tasks
        return graded


def digest_of(path: Path, exam: Exam) -> str:
    """As an agent tells it."""
    with scratch_directory() as scratch:
        return collect(str(path), exam=exam, into=scratch / "copy").digest
