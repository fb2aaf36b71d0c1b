from __future__ import annotations

import pytest

from grader.checks.dvc.edit import Change, Place, change

NAME = "n_estimators"


def changed(text: str, *, prefer: Place = ()) -> tuple[str, str]:
    edit = change(text, NAME, lambda place: place == prefer)
    assert edit is not None
    return edit.name, text[: edit.start] + edit.new + text[edit.end :]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("n_estimators: 100\n", NAME, "n_estimators: 101\n"),
        ("a: 100\r\nn_estimators:   100  # trees\r\n", NAME, "a: 100\r\nn_estimators:   101  # trees\r\n"),
        ("train: {n_estimators: 9, depth: 9}", f"train.{NAME}", "train: {n_estimators: 10, depth: 9}"),
        ("n_estimators: '100'", NAME, "n_estimators: '101'"),
        ("n_estimators: 0x64", NAME, "n_estimators: 101"),
        ("n_estimators: 100.0", NAME, "n_estimators: 101.0"),
        ("\ufeffn_estimators: 1", NAME, "\ufeffn_estimators: 2"),
        ("é: ü\nn_estimators: 1", NAME, "é: ü\nn_estimators: 2"),
        ("---\n# none\n---\nn_estimators: 1", NAME, "---\n# none\n---\nn_estimators: 2"),
        ("models:\n- n_estimators: 1\n", f"models.0.{NAME}", "models:\n- n_estimators: 2\n"),
        ("n_estimators: &n 100\nn: *n\n", NAME, "n_estimators: &n 101\nn: *n\n"),
    ],
)
def test_only_the_number_changes(text: str, name: str, expected: str) -> None:
    assert changed(text) == (name, expected)


def test_the_one_that_is_preferred() -> None:
    text = "a: {n_estimators: 1}\nb: {n_estimators: 1}\n"
    assert changed(text, prefer=("b", NAME))[1] == "a: {n_estimators: 1}\nb: {n_estimators: 2}\n"
    assert changed(text, prefer=("c", NAME))[0] == f"a.{NAME}"


def test_every_place_that_shares_the_value() -> None:
    text = "base: &base {n_estimators: 5}\ntrain:\n  <<: *base\n"
    assert change(text, NAME, lambda place: place[0] == "train") == Change(
        start=27, end=28, old="5", new="6", places=(("base", NAME), ("train", NAME))
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n: 1",
        "n_estimators:",
        "n_estimators: auto",
        "n_estimators: true",
        "n_estimators: [100, 200]",
        "n_estimators: {low: 1}",
        'n_estimators: "1\\x30"',
        "[n_estimators, 100]",
        "n_estimators",
        "n_estimators: 1\n---\nn_estimators: 2",
        "n_estimators: [",
        "n_estimators: !!python/object:x 1",
        "a: &a [*a]",
        "&a n_estimators: 1\n? [n_estimators]\n: 1\n? {n_estimators: 1}\n: 2",
    ],
)
def test_nothing_to_change(text: str) -> None:
    edit = change(text, NAME, lambda _: False)
    assert edit is None or edit.new == "2"
