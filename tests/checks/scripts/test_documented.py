"""Scripts in the styles of public repositories, called for real in a plain folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from grader.checks.scripts.call import Called, call, made_files, script
from grader.errors import NotSearched
from grader.files import open_tree
from grader.readers import invocations
from grader.runtime.sandbox.model import Ended, Run
from tests.builders import make_submission
from tests.checks.live import live_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.runtime.cell import Cell

VALUES = {
    "input in source data csv file": "data/in.csv",
    "output out save result": "out.csv",
    "chunk size rows": "10",
}


class PlainCell:
    """Runs commands in the folder itself."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.files = open_tree(workspace)
        self.root = str(workspace)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, limits: object = None) -> Run:
        del limits
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            argv,
            cwd=self.workspace,
            env={"PATH": path, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        ended = (done.returncode, done.stdout, done.stderr)
        return Run(
            argv=tuple(argv), ended=Ended.EXITED, returncode=ended[0], stdout=ended[1], stderr=ended[2]
        )

    def python(self, *args: str, **more: object) -> Run:
        return self.run((sys.executable, *args), env=cast("Mapping[str, str]", more.get("env")))


def called(root: Path, files: Mapping[str, str], *, swaps: bool = True) -> Called:
    given = {"data/in.csv": "a\n1\n", "params.yaml": "x: 1\n"}
    submission = make_submission(root, {**given, **files}, deliverables={"x": "src/x.py"})
    what = script(submission, "x")
    assert what is not None
    written = root / "out.csv"
    enough = lambda _: written.exists() or (root / "scored").exists()  # noqa: E731
    return call(cast("Cell", PlainCell(root)), what, arguments=VALUES, enough=enough, swaps=swaps)


COPY = "\ndef copy(source, target):\n    open(target, 'w').write(open(source).read())\n"
ARGPARSE = COPY + (
    "import argparse\nparser = argparse.ArgumentParser()\n{options}\nargs = parser.parse_args()\n{act}\n"
)
CONFIG = ARGPARSE.format(
    options="parser.add_argument('--config', required=True)",
    act="open(args.config).read(); copy('data/in.csv', 'out.csv')",
)
BOTH = ARGPARSE.format(
    options="parser.add_argument('-i', '--input', required=True)\n"
    "parser.add_argument('-o', '--output', required=True)",
    act="copy(args.input, args.output)",
)
TWO = COPY + "import sys\ncopy(sys.argv[1], sys.argv[2])\n"
ENVIRONMENT = COPY + "import os\ncopy(os.environ['SOURCE_DATA'], os.environ['OUT_FILE'])\n"
DEMANDING = COPY + (
    "import os, sys\nfor name in ('SOURCE_DATA', 'OUT_FILE'):\n"
    "    if not os.environ.get(name, ''):\n        sys.exit(f'{name} must be set')\n"
    "copy(os.environ['SOURCE_DATA'], os.environ['OUT_FILE'])\n"
)
OVERRIDES = COPY + (
    "import sys\nchosen = dict(word.split('=') for word in sys.argv[1:])\n"
    "copy(chosen['input'], chosen['output'])\n"
)
STREAMS = "import sys\ntext = sys.stdin.read()\nif not text:\n    sys.exit(1)\nsys.stdout.write(text)\n"
STAGE = COPY + "import os\nos.environ['STAGE']\ncopy('data/in.csv', 'out.csv')\n"


@pytest.mark.parametrize(
    ("files", "command", "origin"),
    [
        (
            {"src/x.py": CONFIG, "dvc.yaml": "stages: {x: {cmd: python -m src.x --config params.yaml}}"},
            "python -m src.x --config params.yaml",
            "dvc.yaml:1",
        ),
        ({"src/x.py": CONFIG}, "python src/x.py --config params.yaml", "its usage line"),
        (
            {"src/x.py": CONFIG, "conf/x.yaml": "", "README.md": "`python src/x.py --config=conf/x.yaml`"},
            "python src/x.py --config=conf/x.yaml",
            "README.md:1",
        ),
        (
            {"src/x.py": BOTH, "README.md": "    $ python src/x.py -i <your file> -o scored\n"},
            "python src/x.py -i data/in.csv -o scored",
            "README.md:1",
        ),
        (
            {"src/x.py": BOTH, "Makefile": "IN ?= data/new.csv\nx:\n\tpython src/x.py -i $(IN) -o scored\n"},
            "python src/x.py -i data/in.csv -o scored",
            "Makefile:3",
        ),
        ({"src/x.py": TWO}, "python src/x.py data/in.csv out.csv", "its parameters"),
        (
            {"src/x.py": TWO, "run.sh": 'python src/x.py "$1" "${2:-scored}"\n'},
            "python src/x.py data/in.csv scored",
            "run.sh:1",
        ),
        (
            {
                "src/x.py": COPY + "import sys\nif len(sys.argv) < 3:\n"
                "    print('Usage: python src/x.py <input.csv> <output.csv>')\n    sys.exit(1)\n"
                "copy(*sys.argv[1:3])\n",
            },
            "python src/x.py data/in.csv out.csv",
            "its usage line",
        ),
        (
            {
                "src/x.py": "from src.cli import main\nmain()\n",
                "src/cli.py": "def main():\n" + "".join(f"    {line}\n" for line in BOTH.splitlines()),
            },
            "python -m src.x -i data/in.csv -o out.csv",
            "its usage line",
        ),
        (
            {"src/x.py": OVERRIDES, "README.md": "    python src/x.py input=data/new.csv output=scored\n"},
            "python src/x.py input=data/in.csv output=scored",
            "README.md:1",
        ),
        (
            {"src/x.py": OVERRIDES, "Makefile": "x:\n\tpython src/x.py input=$(IN) output=$(OUT)\n"},
            "python src/x.py input=data/in.csv output=out.csv",
            "Makefile:2",
        ),
        (
            {"src/x.py": TWO, "README.md": "    cat new.csv | python src/x.py - scored\n"},
            "python src/x.py data/in.csv scored",
            "README.md:1",
        ),
        (
            {
                "src/x.py": ENVIRONMENT,
                "justfile": "x in out:\n    SOURCE_DATA={{in}} OUT_FILE={{out}} python src/x.py\n",
            },
            "python src/x.py",
            "justfile:2",
        ),
        ({"src/x.py": ENVIRONMENT}, "python src/x.py", ""),
        ({"src/x.py": DEMANDING}, "python src/x.py", ""),
        ({"src/x.py": STREAMS}, 'sh -c "python src/x.py < data/in.csv > out.csv"', "its source"),
        (
            {"src/x.py": STAGE, ".env.example": "STAGE=dev\n"},
            "python src/x.py",
            "",
        ),
        (
            {"src/x.py": STAGE, "Makefile": "x:\n\tSTAGE=dev python src/x.py\n"},
            "python src/x.py",
            "",
        ),
        (
            {
                "src/x.py": COPY + "import os\nstage = os.getenv('STAGE')\n"
                "copy({'dev': 'data/in.csv'}[stage], 'out.csv')\n",
                "k8s/job.yaml": "containers:\n- env:\n  - {name: STAGE, value: dev}\n",
            },
            "python src/x.py",
            "",
        ),
        (
            {
                "src/x.py": COPY + "copy('../data/in.csv', '../out.csv')\n",
                "README.md": "`cd src && python x.py`",
            },
            "cd src && python x.py",
            "README.md:1",
        ),
        (
            {
                "src/x.py": COPY + "def main():\n    copy('data/in.csv', 'out.csv')\n",
                "src/__init__.py": "",
                "pyproject.toml": "[project.scripts]\nrun-x = 'src.x:main'\n",
            },
            'python -c "import sys; from src.x import main as main; sys.exit(main())"',
            "pyproject.toml:2",
        ),
        (
            {
                "src/x.py": ARGPARSE.format(
                    options="sub = parser.add_subparsers(dest='do', required=True)\nsub.add_parser('check')\n"
                    "one = sub.add_parser('x')\none.add_argument('--input', required=True)",
                    act="copy(args.input, 'out.csv')",
                )
            },
            "python src/x.py x --input data/in.csv",
            "its usage line",
        ),
        (
            {
                "src/x.py": "import typer\nfrom pathlib import Path\napp = typer.Typer()\n"
                + COPY
                + "@app.command()\ndef main(input_csv: Path, out: Path = typer.Option(...)):\n"
                "    copy(input_csv, out)\napp()\n"
            },
            "python src/x.py --out out.csv data/in.csv",
            "its parameters",
        ),
        (
            {
                "src/x.py": BOTH,
                "Dockerfile": 'FROM x\nWORKDIR /app\nENTRYPOINT ["python", "src/x.py"]\n'
                'CMD ["-i", "/app/data/x.csv", "-o", "/app/scored"]\n',
            },
            "python src/x.py -i data/in.csv -o scored",
            "Dockerfile:4",
        ),
        (
            {
                "src/x.py": ARGPARSE.format(
                    options="parser.add_argument('--data-dir', required=True)",
                    act="copy(args.data_dir + '/in.csv', 'out.csv')",
                )
            },
            "python src/x.py --data-dir data",
            "its usage line",
        ),
    ],
)
def test_how_it_is_called(root: Path, files: dict[str, str], command: str, origin: str) -> None:
    seen = called(root, files)
    assert seen.run.ok, seen.run.tail()
    assert (seen.shown.replace("'", '"'), seen.origin) == (command, origin)


def test_its_own_default_is_another_file(root: Path) -> None:
    source = ARGPARSE.format(
        options="parser.add_argument('--input', default='data/mine.csv')", act="copy(args.input, 'out.csv')"
    )
    seen = called(root, {"src/x.py": source})
    assert (seen.shown, seen.overridden) == (
        "python src/x.py --input data/in.csv",
        {"data/mine.csv": "data/in.csv"},
    )


def test_data_that_are_there_stay_where_they_are_not_exchanged(root: Path) -> None:
    files = {
        "src/x.py": BOTH,
        "data/mine.csv": "",
        "README.md": "`python src/x.py -i data/mine.csv -o scored`",
    }
    assert called(root, files, swaps=False).shown == "python src/x.py -i data/mine.csv -o scored"


def test_what_still_wants_something_shows_what_was_tried(root: Path) -> None:
    source = ARGPARSE.format(options="parser.add_argument('--wish', required=True)", act="")
    seen = called(root, {"src/x.py": source, "README.md": "`python src/x.py --wish <unknown>`"})
    finding = seen.finding()
    assert not seen.run.ok
    assert "tried: `python src/x.py`" in finding.detail
    assert "submission.yaml" in finding.detail


@pytest.mark.slow
def test_a_notebook_runs_where_it_stands_in_a_cell(root: Path) -> None:
    files = {
        "notebooks/x.ipynb": json.dumps(
            {"cells": [{"cell_type": "code", "source": ["open('../data/baseline.csv').readline()"]}]}
        ),
    }
    with live_context(root, files, deliverables={"x": "notebooks/x.ipynb"}) as context:
        what, file = script(context.submission, "x"), context.submission.deliverable("x")
        assert what is not None
        assert file is not None
        with context.require_runtime().cell(files=made_files(file)) as cell:
            seen = call(cell, what)
            assert (seen.shown, seen.run.stdout[:5]) == ("cd notebooks && python x.ipynb", "'age,")


def test_a_call_that_may_stand_in_what_was_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocations, "MAX_FILES", 2)
    wants = (
        "import sys\nif '--mode' not in sys.argv:\n    sys.exit('--mode is required')\nopen('scored', 'w')\n"
    )
    files = {"src/x.py": wants, "Makefile": "", "notes/call.md": "`python src/x.py --mode fast`\n"}
    with pytest.raises(NotSearched, match="of 4 files were not searched for commands"):
        called(root, files)
    monkeypatch.setattr(invocations, "MAX_FILES", 4)
    assert called(root / "b", files).run.ok
