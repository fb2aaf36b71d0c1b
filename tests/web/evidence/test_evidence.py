"""Evidence: what a document says, whatever candidates wrote, and what becomes of files that are gone."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import html5lib
import pytest

from grader.checks import ALL
from grader.exam.bundled import REFERENCE_SOLUTION, RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.report.read import parse_grade
from grader.results import Thumbnail
from grader.web import evidence
from grader.web.evidence.lines import MAX_LINES, MAX_SHOWN
from grader.web.evidence.pictures import MAX_SIDE, redraw
from tests.cohort.gradebook.books import result_document, row
from tests.report.grades import a_grade
from tests.report.html.test_page import grade_named
from tests.report.samples import changed

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from grader.exam.model import Exam

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
FORBIDDEN = {"script", "style", "object", "iframe", "embed", "link", "form", "foreignObject"}


@cache
def exam() -> Exam:
    return load_exam(RUBRICS, ALL)


def parsed(markup: str) -> list[Element]:
    """All elements, of which none may run, load or colour itself."""
    elements = [
        each
        for each in html5lib.parseFragment(markup, namespaceHTMLElements=False).iter()
        if isinstance(each.tag, str)
    ]
    assert not {each.tag for each in elements} & FORBIDDEN
    words = {(name, value) for each in elements for name, value in each.attrib.items()}
    assert not [name for name, _ in words if name == "style" or name.startswith("on")]
    assert not [value for name, value in words if name == "src" and not value.startswith("data:image/png")]
    assert not re.search("[\x00-\x08\x1b\u202a-\u202e]", markup)
    return elements


def text_of(markup: str) -> str:
    return " ".join("".join(html5lib.parseFragment(markup).itertext()).split())


@pytest.mark.parametrize("name", ["mixed", "hostile", "hostile-markup"])
def test_every_criterion_of_whole_grades(name: str) -> None:
    made = document(grade_named(name))
    for section in made["sections"]:
        for task in section["tasks"]:
            for each in task["criteria"]:
                shown = evidence.outcome(made, each["id"], exam=exam(), link="/file?path={}&line={}".format)
                parsed(shown)


def test_a_finding_has_its_line_and_a_link_to_its_file() -> None:
    made = result_document([row("1.1.a", "lost", said="`<b>` is wrong")])
    made["sections"][0]["tasks"][0]["criteria"][0]["findings"][0]["where"] = "a.py:8"
    made["places"] = {"a.py:8": [{"path": "a.py", "line": 8, "first": 7, "lines": ["x = 1", "y = '</pre>'"]}]}
    shown = evidence.outcome(made, "1.1.a", link=lambda path, line: f"/file?path={path}&line={line}")
    elements = parsed(shown)
    assert [each.get("href") for each in elements if each.tag == "a"] == ["/file?path=a.py&line=8"]
    meant = [each for each in elements if "meant" in (each.get("class") or "")]
    assert ["".join(each.itertext()).strip() for each in meant] == ["▸8this line: y = '</pre>'"]
    assert next(each.text for each in elements if each.tag == "code") == "<b>"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("GET /ready", ["request", "GET /ready", "expected", "503", "answer", "200"]),
        ("python train.py", ["command", "python train.py", "expected", "503", "found", "200"]),
    ],
)
def test_a_request_has_an_answer_and_a_command_what_it_printed(where: str, words: list[str]) -> None:
    made = result_document([row("1.1.a", "lost")])
    finding = made["sections"][0]["tasks"][0]["criteria"][0]["findings"][0]
    finding |= {"where": where, "expected": "503", "actual": "200", "detail": "\n".join(["line"] * 20)}
    shown = evidence.outcome(made, "1.1.a")
    found = ["".join(each.itertext()) for each in parsed(shown) if each.tag in ("dt", "dd")]
    assert found == words
    assert "(20 lines)" in shown


def test_an_alert_has_its_series() -> None:
    made = result_document([row("6.1.latency", "lost"), row("6.1.valid", "lost")])
    assert "<title>Series for HighLatency</title>" in evidence.outcome(made, "6.1.latency", exam=exam())
    assert "<svg" not in evidence.outcome(made, "6.1.latency") + evidence.outcome(
        made, "6.1.valid", exam=exam()
    )


def test_a_criterion_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        evidence.outcome(result_document([row("1.1.a", "lost")]), "1.1.b")


# --- files ------------------------------------------------------------------------------------------


def packed(folder: Path, into: Path) -> Path:
    with tarfile.open(into, "w:gz") as archive:
        archive.add(folder, folder.name)
    return into


@pytest.mark.parametrize("kind", ["folder", "wrapped", "archive", "revision"])
def test_files_are_read_from_where_they_were_handed_in(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "all" / "anna"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("one\ntwo\n")
    match kind:
        case "archive":
            source = str(packed(folder, tmp_path / "anna.tar.gz"))
        case "revision":
            source = f"{committed(folder)}@main"
        case _:
            source = str(folder if kind == "folder" else folder.parent)
    with evidence.open_files(source) as files:
        shown = evidence.file_view(files, "a.py", [2])
    meant = [each.get("id") for each in parsed(shown) if "meant" in (each.get("class") or "")]
    assert (meant, "one" in shown) == (["L2"], True)


def committed(folder: Path) -> Path:
    words = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for argv in (["init", "-q", "-b", "main"], ["add", "."], [*words, "commit", "-qm", "x"]):
        subprocess.run(["git", *argv], cwd=folder, check=True)
    (folder / "a.py").unlink()
    return folder


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "files are gone"),
        ("/nowhere/at/all", "files are gone"),
        ("\0", "files are gone"),
        ("https://example.org/anna.git@main", "repository elsewhere"),
    ],
)
def test_what_is_gone_is_said(source: str, said: str) -> None:
    with evidence.open_files(source) as files:
        assert isinstance(files, evidence.Gone)
        assert said in files.reason
        assert said in evidence.file_view(files, "a.py")


def test_what_cannot_be_unpacked_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + b"\0" * 400)
    for name, said in (("text.zip", "neither a folder nor an archive"), ("broken.zip", "cannot be unpacked")):
        with evidence.open_files(str(tmp_path / name)) as files:
            assert isinstance(files, evidence.Gone)
            assert said in files.reason


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "link", "nothing", "folder", HOSTILE, "\0"])
def test_no_path_leads_out_of_a_submission(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root")
    (tmp_path / "sub" / "folder").mkdir(parents=True)
    (tmp_path / "sub" / "link").symlink_to(tmp_path / "secret")
    with evidence.open_files(str(tmp_path / "sub")) as files:
        shown = evidence.file_view(files, path)
    parsed(shown)
    assert "not among the submission&#39;s files any more" in shown


def test_a_file_without_measure_is_cut(tmp_path: Path) -> None:
    (tmp_path / "line.py").write_text("x" * 5_000_000)
    (tmp_path / "lines.py").write_text("y = 1\n" * 500_000)
    (tmp_path / "wide.py").write_text(("z" * 290 + "\n") * 2000)
    (tmp_path / "huge.py").write_bytes(b"h" * 9_000_000)
    (tmp_path / "binary.py").write_bytes(b"\0\1\2")
    with evidence.open_files(str(tmp_path)) as files:
        shown = {
            name: evidence.file_view(files, f"{name}.py", [400_000]) for name in ("line", "lines", "wide")
        }
        assert {name: len(each) < 3 * MAX_SHOWN for name, each in shown.items()} == dict.fromkeys(shown, True)
        assert "399,749 lines before" in shown["lines"]
        assert shown["lines"].count('class="line') == MAX_LINES
        assert "more than 8,388,608 bytes" in evidence.file_view(files, "huge.py")
        assert "no text" in evidence.file_view(files, "binary.py")


def test_text_of_a_candidate_is_shown_and_obeyed_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<script>alert(1)</script>\n{HOSTILE}\n</pre></figure>\n")
    with evidence.open_files(str(tmp_path)) as files:
        shown = evidence.file_view(files, "a.html", [1])
    parsed(shown)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


# --- pictures ---------------------------------------------------------------------------------------


def image(width: int, height: int, form: str = "PNG") -> bytes:
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("note", HOSTILE)
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, form, **({"pnginfo": info} if form == "PNG" else {}))
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_is_drawn_anew(form: str) -> None:
    shown = evidence.picture(image(2000, 1000, form) + HOSTILE.encode(), f"{HOSTILE}.png")
    (found,) = [each for each in parsed(shown) if each.tag == "img"]
    data = base64.b64decode((found.get("src") or "").removeprefix("data:image/png;base64,"))
    assert (found.get("width"), found.get("height")) == (str(MAX_SIDE), str(MAX_SIDE // 2))
    assert data.startswith(b"\x89PNG")
    assert b"note" not in data
    assert b"onerror" not in data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "it is no image"),
        (b"\x89PNG\r\n\x1a\nrubbish", "it is no image"),
        (image(300, 300)[:200], "it cannot be decoded"),
        (b"x" * 9_000_000, "it has more than 8,388,608 bytes"),
    ],
)
def test_what_is_no_picture_is_said(content: bytes, said: str) -> None:
    found = redraw(content)
    assert isinstance(found, str)
    assert found.startswith(said)


def test_a_picture_that_was_judged_is_shown_wherever_its_document_went() -> None:
    thumbnail = Thumbnail(name=f"plots/{HOSTILE}.png", png=image(40, 30))
    grade = changed(a_grade(), lambda _, part: replace(part, thumbnails=(thumbnail,)))
    made = document(grade)
    assert document(parse_grade(json.dumps(made).encode(), "grade.json")) == made
    row = made["sections"][0]["tasks"][0]["criteria"][0]
    shown = evidence.outcome(made, row["id"])
    (found,) = [each for each in parsed(shown) if each.tag == "img"]
    assert (found.get("width"), found.get("height")) == ("40", "30")
    row["thumbnails"][0]["png"] = base64.b64encode(b"<svg onload=alert(1)>").decode()
    assert "The picture cannot be shown: it is no image." in evidence.outcome(made, row["id"])
    row["thumbnails"][0]["png"] = "a"
    assert "The picture cannot be shown: it is damaged." in evidence.outcome(made, row["id"])


def test_a_bomb_is_not_decoded() -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (6000, 6000)).save(out, "PNG")
    assert redraw(out.getvalue()) == "6,000 x 6,000 pixels are too many"


def test_no_svg_of_a_candidate_is_shown(tmp_path: Path) -> None:
    (tmp_path / "matrix.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    with evidence.open_files(str(tmp_path)) as files:
        shown = evidence.file_view(files, "matrix.svg")
    assert (text_of(shown), "<svg" in shown) == (
        "An SVG drawing of a candidate is never shown: it is a program.",
        False,
    )


# --- the reference solution -------------------------------------------------------------------------


def test_the_reference_stands_beside_what_was_handed_in(tmp_path: Path) -> None:
    text = (REFERENCE_SOLUTION / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(text.replace("0.95", "0.9"))
    made = result_document([row("6.1.latency", "lost")])
    with (
        evidence.open_files(str(tmp_path)) as files,
        evidence.open_files(str(REFERENCE_SOLUTION)) as reference,
    ):
        beside = evidence.reference_lines(exam(), "6.1.latency", made, files, reference)
        alone = evidence.reference_lines(exam(), "6.1.latency", made, evidence.Gone("gone"), reference)
        none = evidence.reference_lines(exam(), "6.1.latency", made, files, evidence.Gone("gone"))
        unknown = evidence.reference_lines(exam(), "9.9.x", made, files, reference)
    kinds = [(each.get("class") or "").removeprefix("line ") for each in parsed(beside) if each.tag == "span"]
    assert (kinds.count("removed"), kinds.count("added")) == (1, 1)
    assert len(re.findall('class="line', alone)) == len(text.splitlines())
    assert text_of(none) == "This exam has no reference solution."
    assert text_of(unknown) == "This exam has no such criterion any more."
