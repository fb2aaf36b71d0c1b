from __future__ import annotations

import json
from textwrap import dedent

import pytest

from grader.cohort.similarity.tokens import (
    MAX_BYTES,
    MAX_LINE,
    NAME,
    NUMBER,
    TEXT,
    Kind,
    Language,
    language_of,
    text_of,
    tokens,
)

PYTHON = Language("python", Kind.PROGRAM)


def words(text: str, path: str = "a.py") -> list[str]:
    language = language_of(path)
    assert language is not None
    return [word for word, _ in tokens(dedent(text), language)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\0b", "it is not text"),
        (b"x\n" * MAX_BYTES, f"it has more than {MAX_BYTES:,} characters"),
        (b"x" * (MAX_LINE + 1), f"a line has more than {MAX_LINE:,} characters"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        text_of("a.py", content)


@pytest.mark.parametrize("path", ["a.md", "a.yaml", "a.py"])
def test_too_many_tokens_are_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.cohort.similarity.tokens.MAX_TOKENS", 50)
    language = language_of(path)
    assert language is not None
    with pytest.raises(ValueError, match="more than 50 tokens"):
        tokens("a + " * 300, language)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"cells": 1}', b"{", b"[" * 5000, b'{"cells": null}']
)
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="it is not a notebook"):
        text_of("a.ipynb", content)


def test_a_notebook_is_its_code_cells() -> None:
    cells = [
        {"cell_type": "markdown", "source": "# title"},
        {"cell_type": "code", "source": ["import os\n", "x = 1"], "outputs": [{"data": "x" * 9000}]},
        {"cell_type": "code", "source": "print(x)"},
        {"cell_type": "code", "source": 3},
        7,
    ]
    assert text_of("a.ipynb", json.dumps({"cells": cells}).encode()) == "import os\nx = 1\nprint(x)\n"


@pytest.mark.parametrize(
    ("path", "alias"),
    [
        ("src/a.PY", "python"),
        ("n/a.ipynb", "python"),
        ("Dockerfile", "docker"),
        ("docker/Dockerfile.train", "docker"),
        ("api.dockerfile", "docker"),
        ("Makefile", "make"),
        (".github/workflows/ci.yml", "yaml"),
        ("README.md", "prose"),
        ("dvc.lock", None),
        ("poetry.lock", None),
        ("requirements-lock.txt", None),
        ("requirements.txt", None),
        ("package-lock.json", None),
        ("data/train.csv", None),
        ("model.pkl", None),
        ("noextension", None),
    ],
)
def test_the_name_tells_how_a_file_is_compared(path: str, alias: str | None) -> None:
    language = language_of(path)
    assert (language.alias if language else None) == alias


def test_own_names_and_literals_of_a_program_are_folded_and_others_stay() -> None:
    assert words('''
        """Says something."""
        from sklearn import svm as s  # a comment
        def fit(data, depth: int = 3):
            return s.SVC(C=depth, kernel=f"r{data}bf")
    ''') == [
        *("from", "sklearn", "import", "svm", "as", NAME),
        *("def", NAME, "(", NAME, NAME, "int", "=", NUMBER),
        *("return", NAME, ".", "SVC", "(", "C", "=", NAME, "kernel", "=", TEXT, NAME, TEXT),
    ]  # fmt: skip


def test_a_program_that_another_has_renamed_and_wrapped_is_the_same() -> None:
    one = """
        class Model(Base):
            def __init__(self, path, *, name=None):
                self.model = load(path, "rb")
            def predict(self, rows):
                for index, row in enumerate(rows):
                    with open(row) as file: yield self.model.predict([row, index], file)
    """
    other = """
        # mine
        class Thing(Base):
            def __init__(this, where, *, title = None):
                this.thing = load(
                    where,
                    'read binary',
                )

            def predict(this, lines):
                for number, line in enumerate(lines):
                    with open(line) as stream:
                        yield this.thing.predict(
                            [line, number],
                            stream,
                        )
    """
    assert words(one) == words(other)


def test_a_program_that_does_not_parse_is_read_all_the_same() -> None:
    assert words("def f(x:\n    total = x.sum(3") == [
        *("def", NAME, "(", "x", NAME, "=", "x", ".", "sum", "(", NUMBER),
    ]  # fmt: skip


def test_configuration_keeps_its_words() -> None:
    assert words("# c\nreplicas: 3\nimage: 'Registry/api:v1'\n", "a.yaml") == [
        *("replicas", "3", "image", "registry/api", "v1"),
    ]
    assert words("FROM python:3.11-slim\nRUN pip install \\\n    mlflow\n", "Dockerfile") == [
        *("from", "python", "3.11-slim", "run", "pip", "install", "\\", "mlflow"),
    ]
    assert words("train:\n\tpython train.py --depth 3\n", "Makefile") == [
        *("train", "python", "train.py", "--depth", "3"),
    ]


def test_prose_keeps_its_words() -> None:
    assert words("# How to *run*\n\nIt's `make`", "a.md") == ["how", "to", "run", "it", "s", "make"]


def test_tokens_know_their_lines() -> None:
    assert tokens("a = 1\n\n\nb = (\n 2)\n", PYTHON) == [
        *((NAME, 1), ("=", 1), (NUMBER, 1)),
        *((NAME, 4), ("=", 4), ("(", 4), (NUMBER, 5)),
    ]
