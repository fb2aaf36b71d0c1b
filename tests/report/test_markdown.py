from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from grader.report.formats import FORMATS, Settings
from grader.report.losses import losses, place_of
from grader.report.markdown import code, fenced, prose
from grader.report.safe import one_line, points
from grader.results import Status
from tests.report.grades import a_grade
from tests.report.samples import HOSTILE, SAMPLES, changed, dearness, sample, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

    from grader.results import CriterionResult, Grade

MAX_COMMENT = 65_536
MAX_SUMMARY = 2**20
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ACTIVE = re.compile(r"[@#]\w|://|\bwww\.")


class Page(HTMLParser):
    """What is in pieces of HTML: tags, and texts that are not code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.codes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        (self.codes if self.tags[-1:] == ["code"] else self.texts).append(data)


def tokens(text: str) -> Iterator[Token]:
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


@pytest.mark.parametrize("name", SAMPLES)
def test_both_limits_of_github_are_kept(name: str) -> None:
    text = written("markdown", name)
    assert len(text.encode()) <= 60_000 < MAX_COMMENT < MAX_SUMMARY


@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_is_markup_of_its_own(name: str) -> None:
    kinds, texts, page = set(), [], Page()
    for token in tokens(written("markdown", name)):
        kinds.add(token.type.removesuffix("_open").removesuffix("_close"))
        if token.type == "html_block":
            page.feed(token.content)
        if token.type == "text":
            texts.append(token.content)
    assert kinds <= {
        *("heading", "inline", "text", "paragraph", "code_inline", "strong", "fence", "html_block"),
        *("bullet_list", "list_item"),
        *("table", "thead", "tbody", "tr", "th", "td", "softbreak"),
    }
    assert set(page.tags) <= {
        f"{end}{tag}" for tag in ("details", "summary", "b", "code") for end in ("", "/")
    }
    assert page.tags.count("details") == page.tags.count("/details")
    assert [text for text in (*texts, *page.texts) if ACTIVE.search(text)] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_table_and_fence_is_one(name: str) -> None:
    found = list(tokens(written("markdown", name)))
    rows = [token for token in found if token.type == "tr_open"]
    cells = [token for token in found if token.type in ("td_open", "th_open")]
    assert len(cells) == 4 * len(rows) == 4 * (1 + len(sample(name).sections))
    assert {token.info for token in found if token.type == "fence"} <= {"text"}


def shown(name: str) -> list[Page]:
    """The summaries of the losses."""
    pages = []
    for token in PARSER.parse(written("markdown", name)):
        if token.type == "html_block" and "<b>" in token.content:
            pages.append(Page())
            pages[-1].feed(token.content)
    return pages


def cost(*rows: CriterionResult) -> str:
    lost, still_open = dearness(*rows)
    return f"-{points(lost)}" if lost else f"?{points(still_open)}"


def is_grouped(row: CriterionResult) -> bool:
    return row.status is Status.BLOCKED or (row.status is Status.UNVERIFIED and not dearness(row)[0])


@pytest.mark.parametrize("name", ["small", "reference", "empty", "all-lost", "undecided", "mixed", "crowded"])
def test_losses_come_back_the_dearest_first(name: str) -> None:
    grade = sample(name)
    told = [
        (page.texts[1], page.codes[0], page.codes[-1], page.texts[-2].split()[-1])
        for page in shown(name)
        if page.codes
    ]
    alone = [row for row in losses(grade) if not is_grouped(row)]
    expected = []
    for row in alone:
        place = place_of(row, grade)
        where = f"{place.path}:{place.line}" if place else row.id
        expected.append((cost(row), row.id, where, row.status))
    assert told == expected[: len(told)]
    left = len(expected) - len(told)
    assert (left > 0) == (name == "crowded")
    assert (f"and {left:,} more criteria: " in written("markdown", name)) == (left > 0)


@pytest.mark.parametrize("name", ["small", "empty", "undecided", "mixed"])
def test_what_shares_a_story_is_told_together(name: str) -> None:
    grade = sample(name)
    groups = [
        [row for row in losses(grade) if is_grouped(row) and (row.status is Status.BLOCKED) == blocked]
        for blocked in (True, False)
    ]
    told = [page.texts[1] for page in shown(name) if not page.codes]
    assert told == [cost(*rows) for rows in groups if rows]
    items = [each.children or [] for each in PARSER.parse(written("markdown", name)) if each.type == "inline"]
    lines = [
        tuple(
            next(each.content for each in item if each.type == kind and each.content)
            for kind in ("text", "code_inline")
        )
        for item in items
        if any(each.type == "strong_open" for each in item)
        and any(each.type == "code_inline" for each in item)
    ]
    assert lines == [(cost(row), row.id) for rows in groups for row in rows]


def test_a_grade_without_a_loss_says_so() -> None:
    blocks = written("markdown", "reference").strip().split("\n\n")
    assert blocks[0] == "## 110 / 110: passed"
    assert blocks[1].endswith("pass mark 70, bonus 10 of 10.")
    assert blocks[3:] == ["Every criterion earned all its points."]


def report(grade: Grade, previous: Grade) -> str:
    stream = io.StringIO()
    FORMATS["markdown"].write(grade, stream, Settings(previous=previous))
    return stream.getvalue()


def test_what_changed_is_told() -> None:
    before = changed(a_grade(), lambda _, part: replace(part, status=Status.LOST))
    blocks = report(a_grade(), before).split("\n\n")
    assert blocks[0] == "## 3 / 8 (+3): passed"
    assert blocks[4].split("\n") == ["### Since the earlier grade"]
    assert blocks[5].split("\n") == [
        "- **+1** `1.1.a` lost → earned: title of 1\\.1\\.a",
        "- **+1** `1.1.c` lost → partial: title of 1\\.1\\.c",
        "- **+1** `B1.a` lost → earned: title of B1\\.a",
        "- **±0** `1.1.e` lost → unverified: title of 1\\.1\\.e",
        "- **±0** `1.1.f` lost → error: title of 1\\.1\\.f",
    ]


def test_that_nothing_changed_is_told() -> None:
    assert "### Since the earlier grade\n\nNothing changed.\n" in report(a_grade(), a_grade())


def test_changes_without_end_are_counted() -> None:
    text = report(sample("crowded"), a_grade())
    assert re.search(r"\n- and [\d,]+ more changes\n", text)
    assert len(text.encode()) <= 60_000


def inside(text: str) -> list[Token]:
    """What a paragraph has in it."""
    (paragraph,) = [each for each in PARSER.parse(text) if each.type == "inline"]
    return paragraph.children or []


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_escaped_comes_back(name: str) -> None:
    line = one_line(HOSTILE[name])
    told = "".join(each.content for each in inside(f"x{prose(line)}x"))
    assert re.sub(r"[`\s]", "", told) == "x" + re.sub(r"[`\s]", "", line) + "x"


@given(st.text("`\\*_@#:/|<>&;[]()!~-+=1.w x'\",%?$^{}", max_size=30))
def test_prose_has_no_markup_but_code(text: str) -> None:
    found = inside(f"x {prose(' '.join(text.split()))} x")
    assert {each.type for each in found} <= {"text", "code_inline"}
    assert [each.content for each in found if each.type == "text" and ACTIVE.search(each.content)] == []


@pytest.mark.parametrize(
    "text", ["a", "`", "``", "a`", "`a", " ", "a ``` b", "\\", "\\`", "<b>", "**a**", " a "]
)
def test_code_comes_back(text: str) -> None:
    (before, span, after) = inside(f"x {code(text)} x")
    assert (before.content, span.type, span.content.strip(), after.content) == (
        "x ",
        "code_inline",
        text.strip(),
        " x",
    )
    (block,) = PARSER.parse(fenced(text))
    assert (block.type, block.content) == ("fence", f"{text}\n")
