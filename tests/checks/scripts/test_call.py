from __future__ import annotations

import ast
from typing import TYPE_CHECKING, cast

import pytest

from grader.checks.scripts.call import Called, call, script
from grader.files import open_tree
from grader.readers.python.parameters import Parameter, from_help, parameters, words_for
from grader.readers.python.tracebacks import last_traceback
from grader.runtime.sandbox.model import Ended, Run
from grader.submission.model import Manifest
from tests.builders import make_submission
from tests.checks.live import live_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from grader.runtime.cell import Cell

CRASH = """\
INFO: reading
Traceback (most recent call last):
  File "/workspace/src/train.py", line 9, in <module>
    main()
  File "/workspace/src/steps.py", line 4, in main
    frame["target"]
  File "/env/lib/python3.11/site-packages/pandas/core/frame.py", line 4102, in __getitem__
    indexer = self.columns.get_loc(key)
KeyError: 'target'
"""


class FakeCell:
    """Answers each command with the run that is written down for its words."""

    root = "/workspace"

    def __init__(self, workspace: Path, runs: Mapping[str, Run]) -> None:
        self.workspace = workspace
        self.files = open_tree(workspace)
        self.asked: list[str] = []
        self._runs = runs

    def run(self, argv: Sequence[str], **_: object) -> Run:
        self.asked.append(" ".join(argv))
        return self._runs.get(self.asked[-1], ended(0))

    def python(self, *args: str, **_: object) -> Run:
        return self.run(("python", *args))


def ended(status: int, stderr: str = "", stdout: str = "") -> Run:
    return Run(argv=("x",), ended=Ended.EXITED, returncode=status, stdout=stdout, stderr=stderr)


def called_as(
    root: Path, files: Mapping[str, str], runs: Mapping[str, Run], manifest: Manifest | None = None
) -> tuple[list[str], Called]:
    """The commands tried for src/x.py, and how it was called in the end."""
    submission = make_submission(root, files, deliverables={"x": "src/x.py"}, manifest=manifest)
    what = script(submission, "x")
    assert what is not None
    cell = FakeCell(root, runs)
    arguments = {"input data": "data/in.csv", "current new": "data/new.csv", "output out": "out.csv"}
    called = call(cast("Cell", cell), what, arguments=arguments)
    return cell.asked, called


def test_no_such_script(root: Path) -> None:
    assert script(make_submission(root, {}), "x") is None


def test_bare_is_enough(root: Path) -> None:
    asked, called = called_as(root, {"src/x.py": "print()"}, {})
    assert asked == ["python src/x.py"]
    assert called.shown == "python src/x.py"
    assert called.run.ok


def test_its_manifest_wins(root: Path) -> None:
    manifest = Manifest(commands={"x": ("make", "x")})
    asked, _ = called_as(root, {"src/x.py": ""}, {"make x": ended(1)}, manifest)
    assert asked == ["make x"]


@pytest.mark.parametrize(
    "message",
    [
        "ModuleNotFoundError: No module named 'src'",
        "ModuleNotFoundError: No module named 'src.config'; 'src' is not a package",
        "ImportError: attempted relative import with no known parent package",
        "ImportError: cannot import name 'PATH' from 'config' (/env/config.py)",
    ],
)
def test_a_neighbour_that_is_not_found_may_be_found_as_a_module(root: Path, message: str) -> None:
    files = {"src/x.py": "", "src/config.py": ""}
    asked, called = called_as(root, files, {"python src/x.py": ended(1, message_traceback(message))})
    assert asked == ["python src/x.py", "python -m src.x"]
    assert called.run.ok


def test_a_missing_library_is_not_searched_for(root: Path) -> None:
    crash = ended(1, message_traceback("ModuleNotFoundError: No module named 'lightgbm'"))
    asked, called = called_as(root, {"src/x.py": ""}, {"python src/x.py": crash})
    assert asked == ["python src/x.py"]
    assert called.crashed


def test_when_no_form_finds_it_the_first_is_told(root: Path) -> None:
    crash = ended(1, message_traceback("ModuleNotFoundError: No module named 'src'"))
    asked, called = called_as(root, {"src/x.py": ""}, {"python src/x.py": crash, "python -m src.x": crash})
    assert len(asked) == 2
    assert called.shown == "python src/x.py"


ARGPARSE = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("data_path")
    parser.add_argument("--current-file", required=True)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--rows", type=int, default=3)
"""


def test_arguments_are_given_where_they_are_wanted(root: Path) -> None:
    usage = ended(
        2,
        "usage: x.py [-h] --current-file CURRENT_FILE [-v] [--rows ROWS] data_path\n"
        "x.py: error: the following arguments are required: data_path, --current-file",
    )
    asked, called = called_as(root, {"src/x.py": ARGPARSE}, {"python src/x.py": usage})
    assert asked[1:] == ["python src/x.py --current-file data/new.csv data/in.csv"]
    assert called.run.ok


def test_an_option_keeps_its_default_where_that_is_enough(root: Path) -> None:
    source = ARGPARSE + '    parser.add_argument("--output-model", default="runs:/1/m")\n'
    asked, _ = called_as(
        root, {"src/x.py": source}, {"python src/x.py": ended(2, "usage: x.py --current-file F data_path")}
    )
    assert asked[1:] == ["python src/x.py --current-file data/new.csv data/in.csv"]


def test_an_option_is_given_where_its_default_does_not_do(root: Path) -> None:
    source = """
        import sys, argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--input", default="in.csv")
        parser.add_argument("new", nargs="?", default="new.csv")
    """
    crash = ended(1, message_traceback("FileNotFoundError: [Errno 2] No such file or directory: 'in.csv'"))
    asked, _ = called_as(root, {"src/x.py": source}, {"python src/x.py": crash})
    assert asked == ["python src/x.py", "python src/x.py --input data/in.csv data/new.csv"]


def test_what_it_needs_and_then_everything(root: Path) -> None:
    source = """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--input", required=True)
        parser.add_argument("--out")
    """
    needed = "python src/x.py --input data/in.csv"
    runs = {"python src/x.py": ended(2, "usage: x.py"), needed: ended(2, "usage: x.py: where to?")}
    asked, called = called_as(root, {"src/x.py": source}, runs)
    assert asked == ["python src/x.py", needed, f"{needed} --out out.csv"]
    assert called.run.ok


def test_arguments_that_only_the_help_page_knows(root: Path) -> None:
    usage = ended(1, stdout="Usage: x.py --data DATA --out FILE")
    page = ended(0, stdout="Usage: x.py\n\n  --data DATA  where\n  -o, --out FILE\n  --quiet  less\n")
    runs = {"python src/x.py": usage, "python src/x.py --help": page}
    asked, _ = called_as(root, {"src/x.py": "import theirs"}, runs)
    assert asked[-1] == "python src/x.py --data data/in.csv --out out.csv"


def test_a_missing_index_is_a_want_of_arguments(root: Path) -> None:
    source = "import sys\ninput_path = sys.argv[1]\nother = sys.argv[2]\n"
    crash = ended(1, message_traceback("IndexError: list index out of range"))
    asked, _ = called_as(root, {"src/x.py": source}, {"python src/x.py": crash})
    assert asked[-1] == "python src/x.py data/in.csv data/new.csv"


def test_a_refusal_for_another_reason_is_left_alone(root: Path) -> None:
    asked, called = called_as(root, {"src/x.py": ARGPARSE}, {"python src/x.py": ended(1, "drift found")})
    assert asked == ["python src/x.py"]
    assert not called.crashed


def test_click_and_typer_and_unpacking() -> None:
    click = (
        "@click.command()\n@click.option('--ref', '-r')\n@click.option('--v', is_flag=True)\n"
        "@click.argument('cur')\ndef main(): pass"
    )
    assert parameters(ast.parse(click)) == (
        Parameter(name="ref", flag="--ref", short="-r"),
        Parameter(name="cur", required=True),
    )
    typer = (
        "import typer\ndef main(ref: str, out_file: str = 'x', fast: bool = False, "
        "cur: str = typer.Option(..., '--cur')): pass\ntyper.run(main)"
    )
    assert parameters(ast.parse(typer)) == (
        Parameter(name="ref", required=True),
        Parameter(name="out_file", flag="--out-file", default="x"),
        Parameter(name="cur", flag="--cur", required=True),
    )
    unpacked = "import sys\nref, cur = sys.argv[1:]"
    assert [parameter.name for parameter in parameters(ast.parse(unpacked))] == ["ref", "cur"]


@pytest.mark.parametrize(
    "source",
    [
        "p.add_argument()",
        "p.add_argument(*names, **more)",
        "p.add_argument(1, action=2)",
        "@option\n@option()\n@argument(3)\ndef f(*a, **k): pass",
        "import typer\n@app.command()\ndef f(a, /, b=1, *c, d, e: 'x' = None, **f): pass",
        "import sys\nsys.argv[x] = sys.argv[10**100] = argv[-1]\na, *b = sys.argv[1:]",
    ],
)
def test_no_source_is_too_strange(source: str) -> None:
    words_for(parameters(ast.parse(source)), {"a": "1"})


def test_a_help_page_of_boxes() -> None:
    page = "╭─ Options ─╮\n│ --ref   TEXT  where │\n│ --help        Show │\n"
    assert from_help(page) == (Parameter(name="ref", flag="--ref"),)


def message_traceback(message: str) -> str:
    return (
        f'Traceback (most recent call last):\n  File "/workspace/src/x.py", line 1, in <module>\n{message}\n'
    )


def test_a_traceback_is_cut_to_its_authors_frames() -> None:
    seen = last_traceback(CRASH, ["/workspace"])
    assert seen is not None
    assert seen.summary == "KeyError: 'target'"
    assert seen.where == "src/steps.py:4"
    assert seen.last
    assert "site-packages" not in seen.text
    assert seen.text.splitlines()[0] == '  File "src/train.py", line 9, in <module>'


def test_a_traceback_with_something_after_it_is_not_the_end() -> None:
    seen = last_traceback(CRASH + "\nINFO: never mind\n", ["/workspace"])
    assert seen is not None
    assert not seen.last


def test_a_syntax_error_has_no_header() -> None:
    text = '  File "/workspace/src/x.py", line 3\n    def (:\n        ^\nSyntaxError: invalid syntax\n'
    seen = last_traceback(text, ["/workspace"])
    assert seen is not None
    assert (seen.exception, seen.where) == ("SyntaxError", "src/x.py:3")


@pytest.mark.parametrize(
    "text", ["", "Traceback (most recent call last):", "\n" * 99, "Error: no\n", CRASH[:200]]
)
def test_no_traceback(text: str) -> None:
    assert last_traceback(text, ["/workspace"]) is None


@pytest.mark.slow
def test_a_script_that_wants_its_package_and_arguments(root: Path) -> None:
    files = {
        "src/settings.py": "NAME = 'x'",
        "src/x.py": """
            import argparse
            from src.settings import NAME
            parser = argparse.ArgumentParser()
            parser.add_argument("--input", required=True)
            print(NAME, open(parser.parse_args().input).readline())
        """,
    }
    with live_context(root, files, deliverables={"x": "src/x.py"}) as context:
        what = script(context.submission, "x")
        assert what is not None
        with context.require_runtime().cell() as cell:
            called = call(cell, what, arguments={"input": "data/baseline.csv"})
            assert called.shown == "python -m src.x --input data/baseline.csv"
            assert called.run.stdout.startswith("x age,")
