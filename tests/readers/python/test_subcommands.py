from __future__ import annotations

import ast

import pytest

from grader.readers.python.subcommands import Subcommand, subcommands


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@app.command()\ndef best_runs(): pass", [("best-runs", "best_runs")]),
        ("@cli.command\ndef best(): pass", [("best", "best")]),
        ("@app.command('top')\ndef best(): pass", [("top", "best")]),
        ("@app.command(name='top', hidden=True)\ndef best(): pass", [("top", "best")]),
        ("@app.command(NAME)\ndef best(): pass", [("best", "best")]),
        ("@click.command()\n@click.option('--n')\ndef main(): pass", []),
        ("@typer.command\ndef main(): pass", []),
        ("@cli.group()\ndef main(): pass", []),
        ("@command()\ndef main(): pass", []),
        (
            "parts = parser.add_subparsers()\nparts.add_parser('promote')\nparts.add_parser('best', help='')",
            [("promote", ""), ("best", "")],
        ),
        ("parts.add_parser(NAME)\nparts.add_parser()", []),
        ("@a.command()\ndef x(): pass\n@a.command()\ndef y(): pass", [("x", "x"), ("y", "y")]),
        ("", []),
    ],
)
def test_subcommands(source: str, expected: list[tuple[str, str]]) -> None:
    assert subcommands(ast.parse(source)) == tuple(Subcommand(*each) for each in expected)
