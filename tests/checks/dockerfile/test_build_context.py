"""What `.dockerignore` keeps out, and that no pattern keeps the grader."""

from __future__ import annotations

import pytest

from grader.checks.dockerfile import build_context
from grader.checks.dockerfile.build_context import BuildContext, TooMuch, ignore_patterns, ignored

PATHS = tuple(
    sorted(
        f"{'a' * (number % 7)}b/{'c/' * (number % 30)}{'d' * (number % 50)}{number}"
        for number in range(2_000)
    )
)


@pytest.mark.parametrize(
    "patterns",
    [
        ["/".join(["**", "*"] * 100)] * 500,
        ["/".join(["**", "?*"] * 20) + "/x"] * 2_000,
        ["**/" + "*c" * 2_000 + "x"] * 100,
        [f"**/{'*[a-d]' * 30}{number}" for number in range(1_000)],
        ["**/" * 10_000 + f"*{number}" for number in range(50)],
    ],
    ids=["many parts", "many choices", "many stars", "many patterns", "many dirs"],
)
def test_patterns_without_end(patterns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_context, "MAX_STEPS", 200_000)
    context = BuildContext(PATHS, ignore_patterns("\n".join(patterns)))
    with pytest.raises(TooMuch, match="more than 200,000 steps"):
        _ = context.files


def test_sources_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_context, "MAX_STEPS", 200_000)
    context = BuildContext(PATHS)

    def ask() -> None:
        for number in range(1_000_000):
            context.source(f"{'*d' * 40}{number}")

    with pytest.raises(TooMuch):
        ask()


def test_a_long_list_counts_to_its_end() -> None:
    patterns = ignore_patterns("\n".join(f"no/{number}" for number in range(3_000)) + "\nsrc\n!src/a\n")
    assert BuildContext(("src/a", "src/b"), patterns).files == ("src/a",)


@pytest.mark.parametrize(
    ("path", "patterns", "is_ignored"),
    [
        ("a/b/c", ("**/c",), True),
        ("a/b/c", ("*/c",), False),
        ("a/b/c", ("a",), True),
        ("a/b/c", ("a", "!a/b"), False),
        ("a/b/c", ("!a/b", "a"), True),
        ("a/x.pyc", ("**.pyc",), True),
        ("a", ("a/**",), True),
        ("b", ("**/**/***",), True),
        ("ab", ("[^a]b",), False),
        ("bb", ("[^a]b",), True),
    ],
)
def test_patterns(path: str, patterns: tuple[str, ...], is_ignored: bool) -> None:
    assert ignored(path, patterns) is is_ignored
