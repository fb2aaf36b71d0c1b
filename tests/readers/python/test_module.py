from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from grader.readers.python.module import Module, modules
from grader.readers.python.nodes import UNKNOWN
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path


def load(root: Path, source: str, **others: str) -> Module:
    submission = make_submission(
        root, {"src/main.py": source} | {f"src/{k}.py": v for k, v in others.items()}
    )
    file = submission.file("src/main.py")
    assert file is not None
    return modules(submission, file)[0]


def shown(root: Path, source: str, **others: str) -> Any:
    """What the last call of `show` is given."""
    calls = [call for call in load(root, source, **others).calls() if call.name.endswith("show")]
    return calls[-1].value("x", 0)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("show(10_000)", 10000),
        ("N = 10 * 1000\nshow(N)", 10000),
        ("show(10 ** 4)", 10000),
        ("show(int('5') + 1)", 6),
        ("T = 0.85\nM = 'accuracy'\nshow(f'metrics.{M} > {T:.2f}')", "metrics.accuracy > 0.85"),
        ("show('metrics.%s' % 'f1')", "metrics.f1"),
        ("show(['a'] + ['b'])", ["a", "b"]),
        ("import os\nshow(os.environ.get('E', 'exam'))", "exam"),
        ("import os\nshow(os.environ.get('E') or 'exam')", "exam"),
        ("import os\nshow(os.getenv('E'))", UNKNOWN),
        ("class C:\n  N = 3\nshow(C.N)", 3),
        ("class C:\n  N: int = 3\nc = C()\nshow(c.N)", 3),
        ("def f(n=3):\n  show(n)", 3),
        ("def f(n=3):\n  show(n)\nf()\nf(3)", 3),
        ("def f(n=3):\n  show(n)\nf(4)", 4),
        ("def f(n=3):\n  show(n)\nf(4)\nf(5)", UNKNOWN),
        ("class A:\n  def f(self, n):\n    show(n)\nA().f(7)", 7),
        ("p.add_argument('--chunk-size', default=5)\nshow(p.parse_args().chunk_size)", 5),
        ("p.add_argument('--n', dest='m', default=5)\na = p.parse_args()\nshow(a.m)", 5),
        ("import click\n@click.option('--n', default=4)\ndef f(n): show(n)\nf()", 4),
        ("import typer\ndef f(n: int = typer.Option(4, help='x')): show(n)", 4),
        ("a = 1\na = 2\nshow(a)", UNKNOWN),
        ("a = 1\na += 1\nshow(a)", UNKNOWN),
        ("for a in b: show(a)", UNKNOWN),
        ("a, b = 1, 2\nshow(b)", 2),
        ("a = b\nb = a\nshow(a)", UNKNOWN),
        ("show(9 ** 9 ** 9)", UNKNOWN),
        ("show('a' * 10 ** 9)", UNKNOWN),
        ("show(1 / 0)", UNKNOWN),
        ("show(-x)", UNKNOWN),
        ("show(x=3)", 3),
        ("show(**{'x': 3})", 3),
        ("k = dict(x=3)\nshow(**k)", 3),
        ("show(*a)", UNKNOWN),
        ("show(**a)", UNKNOWN),
        ("show()", None),
    ],
)
def test_constants(tmp_path: Path, source: str, expected: object) -> None:
    assert shown(tmp_path, source) == expected


def test_constants_of_neighbours(tmp_path: Path) -> None:
    config = "import os\nNAME = 'exam'\n"
    assert shown(tmp_path, "from config import NAME\nshow(NAME)", config=config) == "exam"
    assert shown(tmp_path, "import config\nshow(config.NAME)", config=config) == "exam"
    assert shown(tmp_path, "from src import config as c\nshow(c.NAME)", config=config) == "exam"
    assert shown(tmp_path, "from src.config import NAME as N\nshow(N)", config=config) == "exam"


def test_a_parameter_that_another_module_gives(tmp_path: Path) -> None:
    submission = make_submission(
        tmp_path, {"main.py": "from lib import f\nf(7)\n", "lib.py": "def f(n):\n  show(n)\n"}
    )
    start = submission.file("main.py")
    assert start is not None
    calls = [call for module in modules(submission, start) for call in module.calls() if call.name == "show"]
    assert [call.value("x", 0) for call in calls] == [7]


def test_names_of_calls(tmp_path: Path) -> None:
    source = "import pandas as pd, a.b\nfrom m import f as g\n"
    source += "pd.read_csv()\na.b.c()\ng()\nx.y()\nf()()\nz()[0].w()\n"
    assert [call.name for call in load(tmp_path, source).calls()] == [
        "pandas.read_csv",
        "a.b.c",
        "m.f",
        "x.y",
        "",
        "f",
        "().w",
        "z",
    ]


def test_doubling_costs_nothing(tmp_path: Path) -> None:
    numbers = "".join(f"a{i + 1} = a{i} + a{i}\n" for i in range(200))
    assert shown(tmp_path, "a0 = 1\n" + numbers + "show(a200)") is UNKNOWN
    assert shown(tmp_path, "a0 = 'x'\n" + numbers + "show(a200)") is UNKNOWN


@pytest.mark.parametrize("source", ["def (", "\0", "x" + ".a" * 20_000 + "()", "[" * 150 + "]" * 150, ""])
def test_hostile_sources(tmp_path: Path, source: str) -> None:
    assert [call for call in load(tmp_path, source).calls() if call.name == "show"] == []
