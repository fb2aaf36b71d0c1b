"""The folder that a candidate starts from: the exam, the given data, and nothing that answers a task."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.exam.model import Exam, Task

TEXT = "exam.md"
MANIFEST = "submission.yaml"
_HEAD = """\
# Optional. Where your answers are and how they are run, if they are not where the exam names them.
# Whatever is set here wins over what the grader finds by itself. `grader score .` says what it found.
# Remove the `#` of a line to use it. You may also delete this file.

# Deliverable -> the file that answers it.
#paths:
"""
_COMMANDS = """
# Deliverable -> the command that runs it from this folder. No shell reads it.
#commands:
"""
_ENVIRONMENT = """
# Variables that your programs need. MLFLOW_TRACKING_URI and the AWS_* ones are set by the grader.
#environment:
#  SOME_SETTING: value
"""


def write_starter(exam: Exam, folder: Path) -> tuple[str, ...]:
    """Write the starter folder.

    Args:
        folder: created if it does not exist; other files in it stay, but the starter's own must not exist.

    Returns:
        The paths written, relative to `folder`.

    Raises:
        UsageError: a file would be overwritten, or the folder cannot be written.
    """
    files = {name: path for name, path in exam.data.items() if path.is_file()}
    if exam.text is not None:
        files[TEXT] = exam.text
    names = (*sorted(files), MANIFEST)
    if taken := next((name for name in names if (folder / name).exists()), None):
        raise UsageError(f"{folder / taken} already exists, so nothing was written; choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        (folder / MANIFEST).write_text(manifest(exam), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return names


def manifest(exam: Exam) -> str:
    """A `submission.yaml` in which every line is a comment, made from the exam's deliverables."""
    paths = "".join(f"#  {line}\n" for task in exam.tasks for line in _paths(task))
    scripts = [entry.id for task in exam.tasks for entry in task.deliverables if entry.path.endswith(".py")]
    commands = "".join(f"#  {name}: python path/to/{name}.py --some-option\n" for name in scripts[:2])
    return f"{_HEAD}{paths}{_COMMANDS}{commands}{_ENVIRONMENT}"


def _paths(task: Task) -> Iterator[str]:
    for deliverable in task.deliverables:
        where = deliverable.path or "path/of/your/file"
        yield f"{deliverable.id}: {where}    # task {task.id}, {task.title}"
