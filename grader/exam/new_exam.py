"""The folder that an exam author starts from: a small exam, with everything that proves it."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.exam.bundled import FIXTURES
from grader.exam.check_reference import editor_schema
from grader.schemas import read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.check import Check

TEMPLATE = FIXTURES / "exams" / "new"
SCHEMAS = "schemas"
_UNNAMED = re.compile(r"[^a-z0-9]+")


def write_exam(folder: Path, checks: Mapping[str, Check]) -> tuple[str, ...]:
    """Write an exam that lints without complaint and that its own corpus proves.

    Args:
        folder: created if it does not exist, and empty otherwise; the exam is named after it.
        checks: those that the schema for editors describes.

    Returns:
        The paths written, relative to `folder`, in order.

    Raises:
        UsageError: the folder is not empty, or cannot be written.
    """
    if not TEMPLATE.is_dir():
        raise UsageError("this edition of the grader is for candidates and holds no exam to start from")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder, so nothing was written; choose a new one")
        shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
        exam = folder / "exam.yaml"
        exam.write_text(_named(exam.read_text("utf-8"), folder.resolve().name), "utf-8")
        (folder / SCHEMAS).mkdir()
        rubric = editor_schema(json.loads(read("rubric")), checks)
        for name, text in (("exam", read("exam")), ("rubric", json.dumps(rubric, indent=1))):
            (folder / SCHEMAS / f"{name}.schema.json").write_text(text.rstrip() + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def _named(text: str, name: str) -> str:
    """exam.yaml with the folder's name as id and title."""
    slug = _UNNAMED.sub("-", name.lower()).strip("-")
    if not slug:
        return text
    title = " ".join(word.capitalize() for word in slug.split("-"))
    return text.replace("id: new-exam\n", f'id: "{slug}"\n').replace(
        "title: New Exam\n", f'title: "{title}"\n'
    )
