"""A mark in every place of a submission where text can stand: no report shows it in a dangerous form."""

from __future__ import annotations

import io
import json
import os
import random
import re
from typing import TYPE_CHECKING

import pytest

from grader.errors import UsageError
from grader.report.console import console
from grader.report.formats import FORMATS, Settings, write_file
from grader.report.progress import Progress
from grader.report.solution import write_solutions
from grader.report.text import summary
from grader.session import STATIC, Options, score_submission
from tests.editing import grade, reference_copy
from tests.fuzz.mutations import FILES, PROGRAMS, TASKS
from tests.report.runner import commands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from grader.results import Grade

NAME = "m4rk"
MARK = (
    f"{NAME}\x1b[31m\x9b1m\r\n::error::{NAME} ::set-output name=x::y ##[error]{NAME} ##vso[task.complete]"
    "##teamcity[x] \u202e\u2066\u200b\ufeff\u2028\U000e0041 \x1b]8;;http://x\x07<script>[link=x]"
)
DANGEROUS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
    r"|::(?:error|set-output)|##(?:\[|vso\[|teamcity\[)"
)
ROUNDS = 4
QUICK = 6


def reports(graded: Grade, tmp_path: Path) -> dict[str, str]:
    """All that anybody is shown of a grade."""
    full, answers = io.StringIO(), io.StringIO()
    FORMATS["text"].write(graded, full, Settings(verbose=True))
    write_solutions(graded, console(answers))
    for name in FORMATS:
        write_file(name, tmp_path / f"grade.{name}", graded, Settings())
    json.loads((tmp_path / "grade.json").read_bytes())
    return {
        "all": full.getvalue(),
        "solutions": answers.getvalue(),
        "summary": summary(graded).plain,
        **{name: read(name, (tmp_path / f"grade.{name}").read_bytes().decode()) for name in FORMATS},
    }


def read(name: str, text: str) -> str:
    """A report less the commands and the ends of lines that are its own."""
    if name == "github":
        return "\n".join(text for each in commands(text) for text in (*each.properties.values(), each.data))
    return text.replace("\r\n", "\n") if name == "csv" else text


def dangers(graded: Grade, tmp_path: Path) -> list[str]:
    """Where a report shows something that is obeyed."""
    return [
        f"{name}: {text[max(0, found.start() - 80) : found.end() + 40]!r}"
        for name, text in reports(graded, tmp_path).items()
        for found in DANGEROUS.finditer(text)
    ]


def taken(root: Path, task: str) -> Grade:
    with Progress(quiet=True) as progress:
        return score_submission(str(root), Options(tasks=(task,), isolation=STATIC), progress.observe)


def planted(text: str, rng: random.Random) -> str:
    """The mark in place of a word, a value or a line; raw, or as a text of YAML, TOML, JSON and Python."""
    form = rng.choice((MARK, MARK.replace("\n", " "), json.dumps(MARK), re.sub(r"[^ -~]", "", MARK)))
    words = list(re.finditer(rng.choice((r"[\w./-]+", r"(?<=[:=] )\S.*", r"(?m)^.+$")), text))
    if not words:
        return text + form
    word = rng.choice(words)
    return text[: word.start()] + form + text[word.end() :]


@pytest.mark.parametrize(
    "number",
    [*range(QUICK), *(pytest.param(each, marks=pytest.mark.slow) for each in range(QUICK, len(FILES)))],
)
def test_contents(number: int, tmp_path: Path) -> None:
    file = FILES[number]
    task = TASKS.get(file.name) or TASKS.get(file.parts[0]) or PROGRAMS[number % len(PROGRAMS)]
    text = (reference_copy(tmp_path / "whole") / file).read_text(encoding="utf-8")
    for round_ in range(ROUNDS):
        root = reference_copy(tmp_path / str(round_))
        (root / file).write_text(planted(text, random.Random(f"{number} {round_}")), encoding="utf-8")
        assert dangers(taken(root, task), tmp_path) == []


NAMES = (MARK.replace("/", ""), NAME.encode() + b"\xff\x1b[31m", f"{NAME}\n::error::x", f"\u202e{NAME}.py")


def with_names(root: Path) -> None:
    """Files, folders, links and pipes of such names."""
    for number, name in enumerate([os.fsdecode(name) for name in NAMES]):
        (root / name).write_text("import os\n")
        (root / "src" / f"{number}{name}").mkdir()
        (root / "src" / f"{number}{name}" / f"{name}.sh").write_text("dvc add data/train.csv\n")
        (root / f"link{name}").symlink_to(f"/{name}")
        os.mkfifo(root / f"pipe{name}")


def with_manifest(root: Path) -> None:
    data = {
        "deliverables": {MARK: MARK, "train": MARK},
        MARK: MARK,
        "env": {"A": MARK},
        "commands": {"x": MARK},
    }
    (root / "submission.yaml").write_text(json.dumps(data))


def with_ignores(root: Path) -> None:
    raw = MARK.replace("\n", "").replace("\r", "")
    (root / ".gitignore").write_text(f"*.csv\n!{raw}\n!data/*{'.csv'}\n")
    (root / f"data/{NAME}").mkdir()
    (root / f"data/{NAME}/.gitignore").write_text(f"{raw}\n")


def with_requirements(root: Path) -> None:
    lines = (MARK, f"{MARK}==1", f"mlflow=={MARK}", f"-r {MARK}", f"pandas @ file:///{MARK}", f"-e {MARK}")
    (root / "requirements-lock.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("plant", [with_names, with_manifest, with_ignores, with_requirements])
def test_other_places(plant: Callable[[Path], None], tmp_path: Path) -> None:
    root = reference_copy(tmp_path / os.fsdecode(NAMES[3]))
    plant(root)
    found = []
    for task in ("1.1", "1.3", "2.1", "3.2"):
        graded = taken(root, task)
        found += dangers(graded, tmp_path)
        found += [] if NAME in reports(graded, tmp_path)["json"] else [f"{task} shows no mark"]
    assert found == []


def test_what_a_refusal_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from grader.error_handler import exit_code_of

    def refuse() -> None:
        raise UsageError(f"there is nothing at {MARK}")

    exit_code_of(refuse)
    shown = capsys.readouterr()
    assert NAME in shown.err
    assert DANGEROUS.findall(shown.out + shown.err.replace("\n", " ")) == []


@pytest.mark.slow
def test_program_output(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "work")
    code = f"import sys\nmark = {MARK!r}\nprint(mark)\nprint(mark, file=sys.stderr)\nraise SystemExit(mark)\n"
    script = root / "src/register_model.py"
    script.write_text(code + script.read_text().replace("from __future__ import annotations\n", ""))
    graded = grade(root, "3.3")
    assert NAME in reports(graded, tmp_path)["json"]
    assert dangers(graded, tmp_path) == []
