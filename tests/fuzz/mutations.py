"""Malformed submissions made from the reference solution, each by a seed."""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, Any

import yaml

from grader.exam.bundled import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFERENCE = ROOT / "reference_solution"
FILES = tuple(
    sorted(
        path.relative_to(REFERENCE)
        for path in REFERENCE.rglob("*")
        if path.is_file() and path.suffix != ".csv" and "__pycache__" not in path.parts
    )
)
TASKS = {
    "pyproject.toml": "1.1",
    "requirements-lock.txt": "1.1",
    ".pre-commit-config.yaml": "1.1",
    "Dockerfile.train": "1.2",
    ".gitignore": "1.3",
    "dvc.yaml": "2.2",
    "params.yaml": "2.2",
    "k8s": "4.2",
    ".github": "5.1",
    "alerts.yml": "6.1",
    "Makefile": "B2",
    "tests": "5.2",
}
"""Tasks that read a file or folder; of any other, all that the reference answers with a program."""
PROGRAMS = ("2.1", "3.1", "3.2", "3.3", "4.1", "6.2", "B1")

HOSTILE: tuple[str, ...] = (
    *("9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 9000, "1e999999999", "1e400", "-1", "-0", "1_000", "1:1:1"),
    *("2024-99-99", "99999999999999999999d", "1e999y", "1" * 40 + "Gi", "==1." + "9" * 5000),
    *(
        ".inf",
        ".nan",
        "true",
        "null",
        "~",
        "[]",
        "{}",
        "''",
        "'",
        '"',
        "!!binary aGk=",
        "!!bool x",
        "*x",
        "&x y",
    ),
    *("<<: *x", "%", "@", "|", "\t", "\r", "\0", "\ud800", "é", "\u202e", "\u2028", "\x1b[31m", "::error::x"),
    *(
        "a" * 30_000,
        "(" * 3000,
        "[" * 3000,
        "{{" * 500,
        "-" * 3000,
        "!" * 500,
        "\\" * 999,
        "`" * 999,
        "\n" * 3000,
    ),
    *(
        "${{ " * 500,
        "$(" * 1000,
        "${" * 999 + "}" * 999,
        "$$" * 300,
        "&" * 300,
        "not " * 3000,
        "a and " * 500,
    ),
    *(
        "*" * 300 + "x",
        "[a-",
        "(a+)+" * 50,
        "(" * 5000 + ")" * 5000,
        ">=" + "1." * 3000,
        "- " * 3000,
        "a: " * 300,
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**400, 0.5, float("inf"), float("nan"), "", "x", "\x1b[31m", "9" * 5000),
    *(
        [],
        [[]],
        {},
        {"a": {}},
        {1: 2},
        [None, 1, "x", {}],
        {"": ""},
        [["x"] * 9] * 9,
        "${{ github.ref }}",
        "${a}",
    ),
)


def mutate(root: Path, seed: int) -> str:
    """Spoil one file of a copy of the reference solution, and name a task that reads it."""
    rng = random.Random(seed)
    file = rng.choice(FILES)
    path = root / file
    if rng.random() < 0.06:
        _replace(path, rng)
    elif path.suffix in (".yaml", ".yml") and rng.random() < 0.5:
        path.write_text(_wrong_types(path.read_text("utf-8"), rng), encoding="utf-8")
    else:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            path.write_bytes(rng.choice(_MUTATIONS)(path.read_bytes(), rng))
    return TASKS.get(file.name) or TASKS.get(file.parts[0]) or rng.choice(PROGRAMS)


def _replace(path: Path, rng: random.Random) -> None:
    path.unlink()
    match rng.randrange(4):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to("/etc/passwd")
        case 2:
            os.mkfifo(path)


def _wrong_types(text: str, rng: random.Random) -> str:
    """Another value at some path of every document."""
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        places = list(_places(document))
        if places:
            holder, key = rng.choice(places)
            holder[key] = rng.choice(VALUES)
    return yaml.safe_dump_all(documents)


def _places(data: Any) -> list[tuple[Any, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, value in items:
        found += [(data, key), *_places(value)]
    return found


def _hostile(rng: random.Random) -> bytes:
    return rng.choice(HOSTILE).encode("utf-8", "surrogatepass")


def _at_line(
    change: Callable[[bytes, random.Random], list[bytes]],
) -> Callable[[bytes, random.Random], bytes]:
    def apply(data: bytes, rng: random.Random) -> bytes:
        lines = data.split(b"\n")
        number = rng.randrange(len(lines))
        lines[number : number + 1] = change(lines[number], rng)
        return b"\n".join(lines)

    return apply


def _at_match(pattern: bytes) -> Callable[[bytes, random.Random], bytes]:
    def apply(data: bytes, rng: random.Random) -> bytes:
        found = list(re.finditer(pattern, data))
        if not found:
            return data
        match = rng.choice(found)
        return data[: match.start()] + _hostile(rng) + data[match.end() :]

    return apply


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _binary(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(20) + data[place:]


def _windows(data: bytes, _: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _at_line(lambda _, rng: [_hostile(rng)]),
    _at_line(lambda line, rng: [line * rng.choice((2, 300, 3000))]),
    _at_line(lambda line, rng: [line] * rng.choice((2, 500))),
    _at_line(lambda line, rng: [b" " * rng.choice((1, 2, 200)) + line]),
    _at_line(lambda line, rng: [line + b" " + _hostile(rng)]),
    _at_line(
        lambda line, rng: [re.sub(rb"[:=]", lambda sign: sign[0] + b" " + _hostile(rng), line, count=1)]
    ),
    _at_line(lambda *_: []),
    _at_match(rb"\d+(?:\.\d+)?"),
    _at_match(rb"[A-Za-z_][\w.-]*"),
    _at_match(rb"\[[^\]\n]*\]|(?<=: )\S.*|(?<== )\S.*"),
    _cut,
    _binary,
    _windows,
)
