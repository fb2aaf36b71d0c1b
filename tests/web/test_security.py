"""Who is let in, and what a browser may do with what it gets."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from grader.web.security import HEADERS, MAX_BODY, NO_COOKIE, Sessions, names_of
from tests.web.site import BASE, Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


def told(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.text


def test_a_browser_without_the_cookie_gets_nothing(here: Site) -> None:
    for address in ("/", "/static/style.css", here.address("anna"), "/nothing"):
        here_cookies = here.client.cookies
        here.client.cookies = {}
        try:
            assert told(here.get(address)) == (403, NO_COOKIE)
        finally:
            here.client.cookies = here_cookies


def test_a_token_lets_in_once(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        first = own.sessions.token
        own.client.cookies.clear()
        answer = own.get("/enter", params={"token": first}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert own.get("/").status_code == 200
        assert own.sessions.token != first
        own.client.cookies.clear()
        assert told(own.get("/enter", params={"token": first})) == (403, NO_COOKIE)


def test_a_wrong_token_changes_nothing() -> None:
    sessions = Sessions()
    token = sessions.token
    assert [sessions.enter(each) for each in ("", "x", "ü", token[:-1])] == [""] * 4
    assert sessions.token == token


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.0.2.1", "", "[::1", "127.0.0.1.nip.io"]
)
def test_another_name_for_this_machine_is_refused(here: Site, host: str) -> None:
    assert here.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1:8765", "[::1]:9"])
def test_this_machine_is_known_whatever_a_tunnel_makes_of_the_port(here: Site, host: str) -> None:
    assert here.get("/", headers={"host": host}).status_code == 200


def test_names_beyond_this_machine() -> None:
    assert names_of("127.0.0.1") == frozenset()
    assert names_of("Grading.example") == {"grading.example"}
    assert "evil.example" not in names_of("0.0.0.0")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": BASE},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
    ],
)
def test_only_our_own_pages_write(here: Site, headers: dict[str, str]) -> None:
    answer = here.client.post("/anonymous", headers=headers)
    assert told(answer) == (403, "Only this page's own forms may change something.\n")


@pytest.mark.parametrize(
    ("origin", "status"),
    [(BASE, 303), ("http://evil.example", 403), ("null", 403), ("", 403), (f"{BASE}1", 403)],
)
def test_a_browser_that_says_no_site_says_an_origin(tmp_path: Path, origin: str, status: int) -> None:
    with site(tmp_path) as own:
        del own.client.headers["sec-fetch-site"]
        answer = own.client.post(
            "/anonymous", data={"x": ""}, headers={"origin": origin}, follow_redirects=False
        )
        assert answer.status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(here: Site, method: str) -> None:
    assert here.client.request(method, "/").status_code == 405


def test_sizes_are_capped(here: Site) -> None:
    assert here.client.post("/anonymous", content=b"x" * (MAX_BODY + 1)).status_code == 413
    assert here.get("/", params={"find": "x" * 5000}).status_code == 414
    assert here.get(f"/{'x' * 2000}").status_code == 414
    assert here.client.post("/anonymous", data={f"f{number}": "" for number in range(100)}).status_code == 400
    assert here.client.post("/anonymous", json={}).status_code == 400


def test_a_body_without_a_length_is_capped_too(here: Site) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * (MAX_BODY // 4)

    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = here.client.post("/anonymous", content=chunks(), headers=kind)
    assert answer.status_code == 400
    assert "ended early, or is too long" in answer.text


def test_every_answer_says_what_a_browser_may_do(here: Site) -> None:
    for answer in (here.get("/"), here.get("/nothing"), here.get("/static/page.js"), here.client.put("/")):
        kept = {name: answer.headers.get(name) for name in HEADERS if name != "Cache-Control"}
        assert kept == {name: value for name, value in HEADERS.items() if name != "Cache-Control"}


def test_what_candidates_made_is_kept_as_a_file(here: Site) -> None:
    for name in ("grade.json", "feedback.html"):
        answer = here.get(f"{here.address('cleo')}/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_scripts_of_others_are_what_they_were() -> None:
    folder = files("grader.web") / "static"
    lines = (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums}
    assert found == sums
    assert sorted(sums) == ["htmx.LICENSE", "htmx.min.js", "hx-sse.min.js"]
    assert "Zero-Clause BSD" in (folder / "htmx.LICENSE").read_text(encoding="utf-8")
