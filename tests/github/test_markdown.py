"""What is above a report, and where."""

from __future__ import annotations

import json
import re
from typing import Any

from markdown_it import MarkdownIt

from grader.github.markdown import FEEDBACK, render, written
from grader.report.read import parse_grade
from tests.github.fake import document
from tests.report.grades import a_grade


def test_only_feedback_says_that_it_is_no_mark() -> None:
    grade = a_grade()
    assert render(grade, None, feedback=False) == written("markdown", grade)
    assert render(grade, None, feedback=True) == FEEDBACK + written("markdown", grade)


FORGED = "@course/teachers #1 https://evil.example www.evil.example <img src=//evil/x> <!-- ` ``` ~~~ |\n# x"
KEPT = {"status", "evidence", "isolation", "source"}
ACTIVE = re.compile(r"[@#]\w|://|\bwww\.")
CODE = re.compile(r"<code>[^<]*</code>")
TAG = re.compile(r"</?(?:details|summary|b)>")


def forged(value: Any, name: str = "") -> Any:
    """A document with a stranger's text wherever there is any."""
    match value:
        case dict():
            return {key: forged(each, key) for key, each in value.items()}
        case list():
            return [forged(each, name) for each in value]
        case str():
            return value if name in KEPT else f"{value} {FORGED}"
    return value


def test_no_text_of_a_forged_artifact_is_markup() -> None:
    """In an artifact all texts are a stranger's: ids and titles as well, which otherwise are the exam's."""
    grade = parse_grade(json.dumps(forged(json.loads(document()))).encode(), "forged")
    texts = []
    for block in MarkdownIt("commonmark").enable("table").parse(render(grade, grade, feedback=True)):
        for token in (block, *(block.children or ())):
            assert token.type not in ("html_inline", "link_open", "image")
            if token.type == "text":
                texts.append(token.content)
            if token.type == "html_block":
                texts.append(TAG.sub("", CODE.sub("", token.content)))
                assert "<" not in texts[-1]
    assert [text for text in texts if ACTIVE.search(text)] == []
