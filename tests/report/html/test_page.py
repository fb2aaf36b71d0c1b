from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from grader.report.document import document
from grader.report.formats import FORMATS, Settings, write_file
from grader.report.html.view import MAX_FINDINGS, MAX_ROWS
from grader.report.read import grade_of
from grader.results import Finding, Grade, Status
from tests.report.grades import HOSTILE, a_grade, part, task
from tests.report.html.pages import DANGERS, attributes, every_status, graded, page, parsed, text_of
from tests.report.samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from xml.etree.ElementTree import Element


def nothing() -> Grade:
    return replace(a_grade(), sections=(), remarks=(), calls={}, places={}, environment={})


def hostile() -> Grade:
    return every_status(Status.LOST, *DANGERS)


def read_back() -> Grade:
    return grade_of(document(hostile()))


def named_twice() -> Grade:
    grade = a_grade()
    return replace(grade, sections=(*grade.sections, *grade.sections))


GRADES: dict[str, Callable[[], Grade]] = {
    **SAMPLES,
    **{each.__name__: each for each in (nothing, hostile, read_back, named_twice)},
}
CROWDED = {"crowded", "named_twice"}
REFERRING = {"src", "srcset", "action", "formaction", "data", "poster", "ping", "background", "xlink:href"}
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


@cache
def grade_named(name: str) -> Grade:
    return GRADES[name]()


@cache
def page_of(name: str) -> str:
    return page(grade_named(name), Settings(previous=a_grade()))


@cache
def document_of(name: str) -> Element:
    return parsed(page_of(name))


@pytest.mark.parametrize("name", GRADES)
def test_nothing_in_the_page_runs_or_loads_or_points_elsewhere(name: str) -> None:
    tree = document_of(name)
    tags = {str(element.tag) for element in tree.iter() if isinstance(element.tag, str)}
    assert (
        tags & {"script", "link", "iframe", "object", "embed", "img", "base", "form", "image", "use"} == set()
    )
    wrong = [
        (tag, attribute, value)
        for tag, attribute, value in attributes(tree)
        if attribute in REFERRING | {"style"}
        or attribute.startswith("on")
        or (attribute == "href" and not value.startswith("#"))
        or ("url(" in value and value != "url(#hatch)")
    ]
    assert wrong == []
    (style,) = (element.text or "" for element in tree.iter("style"))
    assert not re.search(r"url\(|@import|expression|</", style)


@pytest.mark.parametrize("name", GRADES)
def test_the_policy_allows_this_style_alone(name: str) -> None:
    tree = document_of(name)
    (style,) = (element.text or "" for element in tree.iter("style"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (element.get("content") for element in tree.iter("meta") if element.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("name", GRADES)
def test_every_link_leads_somewhere_and_no_id_is_given_twice(name: str) -> None:
    found = attributes(document_of(name))
    ids = [value for _, attribute, value in found if attribute == "id"]
    assert sorted(ids) == sorted(set(ids))
    pointing = [value.removeprefix("#") for _, attribute, value in found if attribute == "href"]
    pointing += [value for _, attribute, value in found if attribute == "aria-labelledby"]
    assert set(pointing) - set(ids) == set()


@pytest.mark.parametrize("name", GRADES)
def test_no_text_steers_whoever_reads_it(name: str) -> None:
    assert UNSEEN.findall(page_of(name)) == []
    assert not re.search(r"::(?:error|set-output)|##\[", page_of(name))


@pytest.mark.parametrize("name", [name for name in GRADES if name not in CROWDED and "hostile-" not in name])
def test_whatever_is_not_earned_is_told_with_its_points(name: str) -> None:
    tree = document_of(name)
    told = {element.get("id"): element for element in tree.iter() if element.tag in ("article", "li")}
    for row in grade_named(name).criteria:
        if row.status is not Status.EARNED and f"c-{row.id}" in told:
            assert row.id in text_of(told[f"c-{row.id}"])
    missing = [
        row.id
        for row in grade_named(name).criteria
        if row.status is not Status.EARNED and f"c-{row.id}" not in told
    ]
    assert missing == []


def test_of_an_exam_without_end_so_much_is_told() -> None:
    assert len(page_of("crowded")) < 2_000_000
    assert "and 11,600 more criteria" in text_of(document_of("crowded"))


def test_hostile_texts_are_all_there_to_be_read() -> None:
    shown = text_of(document_of("hostile"))
    for text in (
        "<script src=//evil.example/x.js></script>",
        "<img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% include 'x' %}{# x #}",
        "javascript:alert(1)",
        "العربية עברית 漢字",
        "characters left out",
    ):
        assert text in shown


def test_a_text_of_megabytes_makes_no_page_of_megabytes() -> None:
    grade = every_status(Status.LOST, "<b>&\u202e" * 500_000)
    start = time.process_time()
    assert len(page(grade)) < 4_000_000
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.LOST, ["not passed", "✘ lost no points: the reason is told above", "Hint:"]),
        (Status.BLOCKED, ["not passed", "⊘ blocked no points: something that it needs was lost first"]),
        (Status.UNVERIFIED, ["undecided", "what it takes was missing here", "Between 0 and 110"]),
        (Status.ERROR, ["undecided", "the grader failed, not the submission", "Between 0 and 110"]),
        (Status.EARNED, ["passed", "Every point was earned."]),
    ],
)
def test_statuses_are_told_apart_in_words(status: Status, words: list[str]) -> None:
    shown = text_of(parsed(page(every_status(status))))
    assert [word for word in words if word not in shown] == []


def test_equal_grades_give_equal_pages_however_long_they_took(tmp_path: Path) -> None:
    slow = replace(a_grade(), seconds=99, tools={"git": "1"})
    write_file("html", tmp_path / "a.html", a_grade(), Settings())
    write_file("html", tmp_path / "b.html", slow, Settings())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_was_graded_and_what_its_document_tells_give_equal_pages() -> None:
    assert page(a_grade()) == page(grade_of(document(a_grade())))


def test_a_stream_that_does_not_have_every_character_gets_the_same_page() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    FORMATS["html"].write(a_grade(), stream, Settings())
    stream.flush()
    plain, whole = parsed(raw.getvalue().decode("ascii")), parsed(page(a_grade()))
    assert text_of(plain) == text_of(whole)
    assert attributes(plain) == attributes(whole)


def lost_card(grade: Grade) -> str:
    (card, *_) = (each for each in parsed(page(grade)).iter("article"))
    return text_of(card)


def test_what_a_loss_tells() -> None:
    hostile = HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    assert lost_card(a_grade()) == (
        "1.1.b title of 1.1.b \N{MINUS SIGN}2 ✘ lost 0 of 1 point; 1 more lost with it decided by running it"
        f" wrong {hostile} expected x found {hostile}"
        f" src/a.py, line 3 1import os 2 ▸3this line: {hostile} 4 5 6x = 1"
        " one two Hint: think of it"
        " Blocked: these could not be judged without it 1.1.d title of 1.1.d 1 point"
    )


def test_what_is_left_out_is_counted() -> None:
    findings = tuple(Finding(message=f"finding {n}") for n in range(MAX_FINDINGS + 7))
    parts = tuple(part(Status.LOST, f"p{n}", each) for n, each in enumerate(findings))
    assert "and 7 more findings" in lost_card(graded(*task("1.1", ("a", parts)).criteria))
    rows = [(f"r{n}", (part(Status.LOST, finding=Finding(message="one")),)) for n in range(MAX_ROWS + 2)]
    assert "and 1 more criterion" in lost_card(graded(*task("1.1", *rows).criteria))


def test_what_changed_since_an_earlier_grade() -> None:
    before = replace(a_grade(complete=True), exam={**a_grade().exam, "digest": "older"})
    tree = parsed(page(a_grade(), Settings(previous=before)))
    (changed,) = (element for element in tree.iter("section") if element.get("id") == "changes")
    assert text_of(changed) == (
        "What changed 3 → 3 points since the earlier grade. The two may not be comparable: the exam's rubrics"
        " have changed since the earlier grade. Points Criterion Before Now"
        " ±0 1.1.e title of 1.1.e not graded ? unverified"
        " ±0 1.1.f title of 1.1.f not graded ! error"
    )
    assert "No criterion changed." in page(a_grade(), Settings(previous=a_grade()))


def test_which_file_was_taken_and_how_it_was_called() -> None:
    tree = parsed(page(a_grade()))
    (files,) = (element for element in tree.iter("section") if element.get("id") == "files")
    assert text_of(files) == (
        "Files that were taken Deliverable Tasks File"
        " train \N{EN DASH} src/a.py called as python src/a.py, from dvc.yaml:7"
    )


def test_an_empty_folder() -> None:
    assert "nothing was handed in" in text_of(document_of("empty"))


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("reference", ["sections", "changes", "tasks", "files"]),
        ("empty", ["sections", "changes", "lost", "tasks", "files"]),
        ("undecided", ["sections", "changes", "undecided", "tasks", "files"]),
        ("nothing", ["sections", "changes", "tasks"]),
        (
            "hostile",
            ["sections", "changes", "lost", "tasks", "files", "remarks", "solutions"],
        ),
    ],
)
def test_what_a_page_has(name: str, sections: list[str]) -> None:
    assert [each.get("id") for each in document_of(name).iter("section")] == sections


def test_libraries_of_the_page_wait_until_there_is_a_page() -> None:
    code = (
        "import sys, grader.cli, grader.commands.score, grader.commands.report\n"
        "print([name for name in ('jinja2', 'markupsafe', 'pygments') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
