from __future__ import annotations

from typing import TYPE_CHECKING

from grader.checks.scripts.variables import (
    allowed,
    documented_variables,
    documented_wishes,
    pipeline_variables,
)
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "src/x.py": "import os\nos.environ['STAGE']\nos.getenv('LEVEL')\n"
    "os.environ['AWS_REGION']\nos.environ['PATH']",
    ".env.example": "STAGE=dev\nLEVEL=3\nAWS_REGION=eu\nPATH=/evil\n",
    "dvc.yaml": "stages: {x: {cmd: python src/x.py}}",
}


def test_what_stops_it_and_what_it_goes_on_without(root: Path) -> None:
    submission = make_submission(root, FILES)
    file = submission.file("src/x.py")
    assert file is not None
    required = [(each.name, each.value) for each in documented_variables(submission, file)]
    wished = [(each.name, each.value, each.where) for each in documented_wishes(submission, file)]
    assert (required, wished) == ([("STAGE", "dev")], [("LEVEL", "3", ".env.example:2")])


def test_the_programs_of_a_pipeline(root: Path) -> None:
    submission = make_submission(root, FILES)
    pipeline = submission.file("dvc.yaml")
    assert pipeline is not None
    assert pipeline_variables(submission, pipeline) == {"STAGE": "dev"}


def test_variables_of_a_command_that_its_program_reads(root: Path) -> None:
    submission = make_submission(root, FILES)
    given = {"STAGE": "x", "OTHER": "y", "MLFLOW_TRACKING_URI": "z", "LD_PRELOAD": "a"}
    assert allowed(submission, submission.file("src/x.py"), given) == {"STAGE": "x"}
