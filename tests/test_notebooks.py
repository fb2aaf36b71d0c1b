from __future__ import annotations

import subprocess
import sys

import pytest

from grader.notebooks import PRELUDE, program


def notebook(*cells: str) -> dict[str, object]:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return {"cells": [{"cell_type": "markdown", "source": ["# 1 + 1"]}, *code]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["x = 1\nx + 1"], "2\n"),
        (["x = 'a'", "x"], "'a'\n"),
        (["1;"], ""),
        (["None"], ""),
        (["for n in (1, 2):\n    print(n)"], "1\n2\n"),
        (["display('a', 1)"], "'a'\n1\n"),
        (["!pip install nothing-at-all\n%matplotlib inline\nprint(1)"], "1\n"),
        (["!echo a\nb = !echo c\nprint(b)"], "a\n['c']\n"),
        (["%env NAME=x\nimport os\nos.environ['NAME']"], "'x'\n"),
        (["%%bash\necho a\npip install nothing-at-all"], "a\n"),
        (["%%time\n1 + 1"], "2\n"),
        (["%time 1 + 1"], "2\n"),
        (["%%html\n<b>"], ""),
        (["print?\n?print\nprint(1)"], "1\n"),
        (["text = '''\n%d of !\n'''\nprint(text % 3)"], "\n3 of !\n\n"),
        (["%%writefile x.py\nprint(7)", "%run x.py"], "7\n"),
    ],
)
def test_a_notebook_runs_as_a_program(tmp_path: object, cells: list[str], expected: str) -> None:
    source = PRELUDE + program(notebook(*cells))
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=str(tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


@pytest.mark.parametrize("data", [None, [], {"cells": 3}, {"cells": [1, {"cell_type": "code", "source": 4}]}])
def test_what_is_no_notebook_has_no_program(data: object) -> None:
    assert program(data) == ""
