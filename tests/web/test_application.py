"""What pages show and forms do."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import open_gradebook, queue
from grader.cohort.gradebook.results import Graded, commit
from grader.report.document import document
from grader.results import Finding
from grader.web import state
from tests.cohort.exports.books import decided, make_book, override
from tests.report.samples import changed
from tests.web.site import LOST, Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.results import CriterionResult, Grade, PartResult


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


def text_of(page: str) -> str:
    """What is read, without markup."""
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script|head).*?</\1>", "", page))
    return " ".join(html.unescape(plain).split())


def names(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r"data-row[^>]*>([^<]*)</a>", page)]


def test_a_search_finds_everybody_or_leads_to_one(here: Site) -> None:
    assert names(here.get("/").text) == [
        "<img src=x onerror=alert(1)>\ufffd",
        "Anna Alt",
        "Ben Bär",
        "Dan Doe",
    ]
    assert names(here.get("/?find=n").text) == [
        "<img src=x onerror=alert(1)>\ufffd",
        "Anna Alt",
        "Ben Bär",
        "Dan Doe",
    ]
    found = here.get("/?find=example.org", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, here.address("anna"))
    assert "Nobody is like that." in here.get("/?find=zzz").text


def test_who_is_selected_and_in_which_order(here: Site) -> None:
    assert names(here.get("/?only=unreadable").text) == ["Dan Doe"]
    assert names(here.get("/?only=look").text) == ["<img src=x onerror=alert(1)>\ufffd"]
    assert names(here.get("/?sort=mark").text)[0] == "<img src=x onerror=alert(1)>\ufffd"
    assert names(here.get("/?sort=mark&reverse=yes").text)[-2:] == [
        "<img src=x onerror=alert(1)>\ufffd",
        "Dan Doe",
    ]
    assert here.get("/?sort=zzz&only=%00&page=99999999999").status_code == 200


@pytest.mark.parametrize(
    "address", ["/candidate/000000x", "/candidate/../x", "/static/SHA256SUMS", "/static/..%2fx", "/x"]
)
def test_there_is_no_such_page(here: Site, address: str) -> None:
    assert here.get(address).status_code == 404


def test_nothing_of_a_candidate_is_markup(here: Site) -> None:
    for address in ("/", here.address("cleo")):
        page = here.get(address).text
        assert "<img" not in page
        assert "\u202e" not in page


def test_the_next_needing_a_look(here: Site) -> None:
    answer = here.get("/next", follow_redirects=False)
    assert answer.headers["location"] == here.address("cleo")
    alone = here.get(f"/next?after={here.address('cleo')[-6:]}", follow_redirects=False)
    assert alone.headers["location"] == "/?only=look"


def test_an_override_is_kept_with_its_reason_and_its_event(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        answer = own.post(
            f"{own.address('anna')}/override",
            target=LOST,
            points="0.5",
            reason="right all the same",
            seen=own.seen("anna"),
        )
        assert answer.status_code == 200
        assert "Done: override." in text_of(answer.text)
        assert "right all the same" in answer.text
        assert own.rows("SELECT points, author, reason FROM override") == [
            (10, "examiner", "right all the same")
        ]
        assert own.rows("SELECT who, what FROM event") == [("examiner", "override")]
        assert '<option value="right all the same">' in own.get(own.address("ben")).text
        own.post("/override/1/withdraw", reason="")
        assert own.rows("SELECT withdrawn_by FROM override") == [("examiner",)]


@pytest.mark.parametrize(
    ("points", "reason", "complaint"),
    [
        ("99", "because", "99 are too many"),
        ("-1", "because", "points cannot be"),
        ("much", "because", "are no points"),
        ("1", " ", "say why"),
    ],
)
def test_what_was_typed_stays_where_it_cannot_be_done(
    here: Site, points: str, reason: str, complaint: str
) -> None:
    answer = here.post(
        f"{here.address('anna')}/override", target=LOST, points=points, reason=reason, seen=here.seen("anna")
    )
    assert answer.status_code == 409
    assert complaint in text_of(answer.text)
    assert f'value="{points}"' in answer.text
    assert here.rows("SELECT * FROM override") == []


def test_a_decision_on_what_has_changed_since_is_asked_for_again(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        seen = own.seen("anna")
        override(own.path, "anna", "1.1", LOST, 1)
        answer = own.post(
            f"{own.address('anna')}/override", target=LOST, points="2", reason="mine", seen=seen
        )
        assert answer.status_code == 409
        assert "somebody else decided" in answer.text
        assert 'value="mine"' in answer.text
        assert len(own.rows("SELECT * FROM override")) == 1


def test_a_decision_need_not_wait_for_a_batch(tmp_path: Path) -> None:
    with site(tmp_path) as own, open_gradebook(own.path, write=True):
        own.post(f"{own.address('anna')}/flag", reason="look")
        assert own.rows("SELECT reason FROM flag") == [("look",)]


def test_a_decision_waits_for_another_machine_and_stays_typed(tmp_path: Path) -> None:
    with site(tmp_path) as own, open_gradebook(own.path, write=True):
        own.path.with_name("book.db.lock").write_text("process 5, host elsewhere, boot another\n")
        answer = own.post(f"{own.address('anna')}/flag", reason="look again")
        assert answer.status_code == 409
        assert "is being written by another grader (process 5 on elsewhere): wait for it" in answer.text
        assert 'value="look again"' in answer.text


def test_flags_are_raised_and_settled(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        assert "Done: flag." in own.post(f"{own.address('ben')}/flag", reason="copied?").text
        assert names(own.get("/?only=flagged").text) == ["Ben Bär"]
        assert "Done: flag done." in own.post("/flag/1/done").text
        assert "Nobody is like that." in own.get("/?only=flagged").text


def test_read_only_changes_nothing_and_shows_no_form(tmp_path: Path) -> None:
    with site(tmp_path, read_only=True) as own:
        page = own.get(own.address("anna")).text
        assert 'method="post"' not in page
        answer = own.post(f"{own.address('anna')}/flag", reason="x")
        assert (answer.status_code, "--read-only" in answer.text) == (400, True)
        assert own.rows("SELECT * FROM flag") == []


def test_numbers_stand_for_names_until_marks_are_published(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        own.post("/anonymous")
        for address in ("/", own.address("anna"), f"{own.address('anna')}/grade.json"):
            page = own.get(address).text
            assert "Anna" not in page
            assert "anna" not in page
        own.post("/publish")
        assert "Anna Alt" in own.get("/").text
        assert own.rows("SELECT what FROM event") == [("anonymous",), ("published",)]


def test_a_group_is_treated_and_its_label_used_again(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        page = own.get(f"/criterion/{LOST}").text
        print_ = re.search(r'name="fingerprint" value="(\w+)"', page)
        assert print_
        fingerprint = print_[1]
        assert "Keep for all 3" in page
        fields = {
            "fingerprint": fingerprint,
            "count": "3",
            "label": "",
            "points": "1",
            "reason": "the task misled",
        }
        wrong = own.post(f"/criterion/{LOST}/group", **{**fields, "count": "4"})
        assert wrong.status_code == 409
        assert "the group has 3 candidates now" in wrong.text
        assert 'value="the task misled"' in wrong.text
        done = own.post(f"/criterion/{LOST}/group", **fields)
        assert "Done for 3 candidates: override." in done.text
        assert own.rows("SELECT DISTINCT points, reason FROM live_override") == [(20, "the task misled")]
        own.post(f"/criterion/{LOST}/withdraw", fingerprint=fingerprint)
        assert own.rows("SELECT * FROM live_override") == []
        own.post(f"/criterion/{LOST}/group", **{**fields, "label": "3", "points": "", "reason": ""})
        assert own.rows("SELECT DISTINCT points, reason FROM live_override") == [(20, "the task misled")]


def test_pages_about_the_whole_cohort(here: Site) -> None:
    told = text_of(here.get("/criteria").text)
    assert LOST in told
    assert here.get("/criterion/zzz").status_code == 404
    assert here.get("/criterion/%3Cscript%3E").status_code == 404


def test_the_trail_says_who_did_what(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        assert "Nothing happened yet." in own.get("/trail").text
        own.post(f"{own.address('ben')}/flag", reason="copied?")
        own.post("/anonymous")
        own.post("/publish")
        told = text_of(own.get("/trail").text)
        assert "examiner flag Ben Bär flag 1, reason copied?" in told
        assert "copied?" not in own.get("/trail?what=published").text
        assert "copied?" in own.get("/trail?before=2").text
        assert own.get("/trail?before=x&what=%00").status_code == 200


def test_statistics_of_few_are_counts(here: Site) -> None:
    told = text_of(here.get("/statistics").text)
    assert "Of so few candidates only counts say something." in told
    assert "candidates 3" in told


def test_nothing_is_said_of_nobody(tmp_path: Path) -> None:
    with site(tmp_path, path=make_book(tmp_path / "empty.db")) as own:
        for address in ("/", "/criteria", "/statistics", "/trail", "/batch"):
            assert own.get(address).status_code == 200
        assert "There is nobody in this gradebook yet." in own.get("/").text
        assert "Nobody is graded yet." in own.get("/statistics").text


def test_statistics_of_many_are_computed_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_AT_ONCE", 0)
    with site(tmp_path) as own:
        assert "They are computed at the moment" in own.get("/statistics").text
        until = time.monotonic() + 120
        while "computed at the moment" in (told := own.get("/statistics").text):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert "only counts say something" in told
        own.post("/anonymous")
        assert "these are computed again at the moment" in own.get("/statistics").text


def test_an_override_is_stale_when_its_basis_has_changed(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        override(own.path, "anna", "1.1", LOST, 1)
        with open_gradebook(own.path, write=True) as book, book.transaction():
            key = queue.Key(submission="digest-0", exam="changed", grader="1", options={})
            job = queue.enqueue(book, key, "/in/anna")
            commit(book, job, Graded(document=json.loads(json.dumps(document(regraded())))), "worker")
        assert names(own.get("/?only=stale").text) == ["Anna Alt"]
        told = text_of(own.get(own.address("anna")).text)
        assert f"Stale: override 1 of {LOST}" in told
        assert "another reason" in told.partition("Then Now")[2].partition("Withdraw it")[0]
        assert "Since the last attempt" in told
        seen = own.seen("anna")
        wrong = own.post(f"{own.address('ben')}/override", target=LOST, renew="1", seen=own.seen("ben"))
        assert "there is no override 1 of this candidate" in text_of(wrong.text)
        own.post(f"{own.address('anna')}/override", target=LOST, renew="1", seen=seen)
        assert names(own.get("/?only=stale").text) == []
        assert own.rows("SELECT points, reason, author FROM live_override") == [(20, "looked at", "examiner")]


def regraded() -> Grade:
    """As it was, but with another finding for what was lost."""

    def change(row: CriterionResult, part: PartResult) -> PartResult:
        return replace(part, findings=(Finding(message="another reason"),)) if row.id == LOST else part

    return changed(decided(), change)
