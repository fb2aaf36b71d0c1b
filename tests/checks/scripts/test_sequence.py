from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from grader.checks.scripts.sequence import in_order, readers_of
from tests.builders import make_submission

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


def test_programs_that_go_on_from_a_file(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "fetch.py": "open('out/runs.csv', 'w')",
        "rank.py": "open('out/runs.csv')",
        "told.py": "import sys\nopen(sys.argv[1])",
        "other.py": "open('out/truns.txt')",
        "tests/test_rank.py": "open('out/runs.csv')",
        "rank.sh": "sort out/runs.csv\n",
        "README.md": "Then `python told.py --runs=out/runs.csv`. See out/runs.csv.\n",
    }
    submission = make_submission(tmp_path, files)
    found = readers_of(
        submission, ["out/runs.csv", "a", "out/.x"], {PurePosixPath("fetch.py")}, (".py", ".sh", ".ipynb")
    )
    assert [file.name for file in found] == ["rank.py", "rank.sh", "told.py"]
