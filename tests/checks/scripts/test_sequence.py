from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.scripts.sequence import in_order
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

REGISTER = "import mlflow\nmlflow.register_model('runs:/1/model', 'M')\n"
PROMOTE = "client.transition_model_version_stage('M', 1, 'Staging')\n"
CALLS = ("register_model", "transition_model_version_stage")


@pytest.mark.parametrize(
    ("files", "text", "expected"),
    [
        (
            {"a.py": PROMOTE, "b.py": REGISTER},
            {"Makefile": "all:\n\tpython a.py\n\tpython b.py\n"},
            (["a.py", "b.py"], "Makefile:2"),
        ),
        (
            {"a.py": PROMOTE, "b.py": REGISTER},
            {"README.md": "```bash\npython b.py && python -m a\n```\n"},
            (["b.py", "a.py"], "README.md:2"),
        ),
        ({"a.py": PROMOTE, "b.py": REGISTER}, {"README.md": "`python a.py`\n"}, (["b.py", "a.py"], "")),
        ({"2_b.py": REGISTER, "10_a.py": PROMOTE}, {}, (["2_b.py", "10_a.py"], "")),
        ({"1_a.py": PROMOTE, "2_b.py": REGISTER}, {}, (["1_a.py", "2_b.py"], "")),
    ],
)
def test_the_order_of_several_files(
    root: Path, files: dict[str, str], text: dict[str, str], expected: tuple[list[str], str]
) -> None:
    submission = make_submission(root, {**files, **text})
    found = [file for name in files if (file := submission.file(name)) is not None]
    ordered, where = in_order(submission, found, CALLS)
    assert ([file.name for file in ordered], where) == expected
