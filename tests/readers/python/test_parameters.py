from __future__ import annotations

import ast

import pytest

from grader.readers.python.parameters import Parameter, from_help, from_usage, parameters, words_for


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sys\nf(sys.argv[1], sys.argv[2])", [("", 1), ("", 2)]),
        ("import sys\ndef f(a, b): pass\nf(sys.argv[1], sys.argv[2])", [("a", 1), ("b", 2)]),
        ("import sys\ndef f(a, b, c='x'): pass\nf(*sys.argv[1:3])", [("a", 1), ("b", 2)]),
        ("import sys\ndef f(a, b, c='x'): pass\nf(*sys.argv[1:])", [("a", 1), ("b", 2)]),
        ("import sys\nx = sys.argv[2]\ny = sys.argv[1]", [("y", 1), ("x", 2)]),
        ("import sys\na, b = (Path(x) for x in sys.argv[1:3])", [("a", 1), ("b", 2)]),
        ("import sys\na, b = [open(x) for x in sys.argv[1:]]", [("a", 1), ("b", 2)]),
        ("import sys\na, b = map(Path, sys.argv[1:3])", [("a", 1), ("b", 2)]),
        ("from sys import argv\n_, a, b = argv", [("a", 1), ("b", 2)]),
        ("import sys\nargs = sys.argv[1:]\na = args[0]\nb = args[1]", [("a", 1), ("b", 2)]),
        ("import sys\nargs = sys.argv[1:]\na, b = args", [("a", 1), ("b", 2)]),
        ("import sys\nmatch sys.argv:\n  case [_, a, b]: pass\n  case _: pass", [("a", 1), ("b", 2)]),
        ("import sys\nif len(sys.argv) != 3: sys.exit(1)\nmain(sys.argv)", [("", 1), ("", 2)]),
        ("import sys\nargs = sys.argv[1:]\nif len(args) < 2: sys.exit(1)\nmain(args)", [("", 1), ("", 2)]),
        ("import sys\nif len(sys.argv) > 1: print(1)", []),
        ("argv = load()\nx = argv[1:]", []),
    ],
)
def test_words_of_the_command_line(source: str, expected: list[tuple[str, int]]) -> None:
    assert [(each.name, each.position) for each in parameters(ast.parse(source))] == expected


def test_two_without_a_name_are_two() -> None:
    takes = parameters(ast.parse("import sys\nf(sys.argv[1], sys.argv[2])"))
    assert words_for(takes, {"input": "in.csv", "output": "out.csv"}) == ("in.csv", "out.csv")


def test_python_fire() -> None:
    source = "import fire\ndef main(ref, cur, out='x.html'): pass\nfire.Fire(main)"
    assert parameters(ast.parse(source)) == (
        Parameter(name="ref", flag="--ref", required=True),
        Parameter(name="cur", flag="--cur", required=True),
        Parameter(name="out", flag="--out", default="x.html"),
    )


def test_a_help_page_that_repeats_the_value() -> None:
    page = "options:\n  -h, --help  show\n  -i INPUT, --input INPUT\n              what\n  -n N, --rows N\n"
    assert from_help(page) == (Parameter(name="input", flag="--input"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("usage: x.py [-h] --config CONFIG [--fast]\nx.py: error: x", [("config", "--config")]),
        (
            "Usage: python src/x.py <reference.csv> <current.csv>",
            [("reference_csv", ""), ("current_csv", "")],
        ),
        ("Usage: python -m src.x IN OUT [EXTRA]", [("in", ""), ("out", "")]),
        ("Usage: x.py [OPTIONS] INPUT_CSV\nTry 'x.py --help' for help.", [("input_csv", "")]),
        (
            "usage: x.py [-h] --one ONE\n            --two TWO\n\nmore WORDS",
            [("one", "--one"), ("two", "--two")],
        ),
        ("usage: x.py [-h] {train,test} ...", [("train_test", "")]),
        ("nothing of the kind", []),
        ("usage:", []),
    ],
)
def test_usage_lines(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(each.name, each.flag) for each in from_usage(text)] == expected


def test_a_folder_of_a_file_and_a_value_of_its_own() -> None:
    takes = (
        Parameter(name="data_dir", flag="--data-dir", required=True),
        Parameter(name="out", flag="--out"),
        Parameter(name="model", flag="--model", default="m.pkl"),
    )
    values = {"data": "data/a.csv", "out": "o.csv", "model": "n.pkl"}
    assert words_for(takes, values, spare=False) == ("--data-dir", "data")
    assert words_for(takes, values, overriding=False) == ("--data-dir", "data", "--out", "o.csv")
    assert words_for(takes, values)[4:] == ("--model", "n.pkl")
