"""Makefiles as text. What following a target gives is in the tests of workflows and of `follow`."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

from grader.readers.makefile import recipe, recipe_lines

TEXT = dedent("""\
    DATA := data/train.csv  # the given one
    DVC ?= dvc
    DVC ?= other
    FLAGS = -q
    FLAGS += --jobs 2
    FLAGS := $(FLAGS) --no-run-cache
    all: $(DATA).dvc
    \t@-$(DVC) push\\
    \t   $(FLAGS)
    $(DATA).dvc: $(DATA) ; $(DVC) add $< # $@ $$HOME $(UNKNOWN)
    ifdef CI
    \tdvc status
    else
    \tdvc diff
    endif
    a b: PORT = 1
    a b:
    \tserve $@ $(PORT)
    \tdone
    raw/%.csv: %.zip
    \tunzip $<
    .c.o:
    \tcc $<
    objects: $(SOURCES:%.c=%.o) ; link
    \t# dvc init
""")


def test_every_line_of_every_recipe_with_its_number() -> None:
    assert list(recipe_lines(TEXT)) == [
        ("dvc push -q --jobs 2 --no-run-cache", 8),
        ("dvc add data/train.csv # data/train.csv.dvc $HOME $(UNKNOWN)", 10),
        ("dvc status", 12),
        ("dvc diff", 14),
        ("serve a 1", 18),
        ("serve b 1", 18),
        ("done", 19),
        ("unzip $<", 21),
        ("cc $<", 23),
        ("link", 24),
        ("# dvc init", 25),
    ]


def test_a_recipe_goes_on_behind_a_condition() -> None:
    assert recipe(TEXT, ["data/train.csv.dvc"], {}).splitlines()[1:] == ["dvc status", "dvc diff"]


@pytest.mark.parametrize(
    ("settings", "overrides", "expected"),
    [
        ("X = a\nX += b", {}, "a b"),
        ("X += b", {}, "b"),
        ("X ?= a\nX ?= b", {}, "a"),
        ("X = a # why", {}, "a"),
        (r"X = a\#b", {}, "a#b"),
        ("Y = a\nX := $(Y)\nY = b", {}, "a"),
        ("Y = a\nX = $(Y)\nY = b", {}, "b"),
        ("Y = a\nX := $(Y)", {"Y": "c"}, "c"),
        ("X := $$(pwd)\npwd = no", {}, "$(pwd)"),
        ("X := a\nX := $(X) b", {}, "a b"),
        ("X = a", {"X": "c"}, "c"),
        ("X = a\nt: X += b", {}, "a b"),
        ("X = a\nt: X ?= b", {}, "a"),
        ("X != date", {}, "$(X)"),
    ],
)
def test_variables_are_set_as_make_sets_them(settings: str, overrides: dict[str, str], expected: str) -> None:
    assert recipe(f"{settings}\nt:\n\t$(X)\n", ["t"], overrides) == expected


def test_variables_that_multiply_come_to_an_end() -> None:
    uses = 400
    grown = "".join(
        f"{name} = {f'$({inner})' * uses}\n" for name, inner in zip("abcdef", "bcdefg", strict=True)
    )
    started = time.process_time()
    for leaf in ("", "g = x\n"):
        text = f"all:\n\t$(a)\n{grown}{leaf}"
        assert recipe(text, ["all"], {}) != ""
        assert len(list(recipe_lines(text))) == 1
    assert time.process_time() - started < 10


def test_a_line_that_is_continued_without_end() -> None:
    started = time.process_time()
    assert list(recipe_lines("\t" + "a\\\n" * 200_000)) == [(" ".join("a" * 200_000), 1)]
    assert time.process_time() - started < 10
