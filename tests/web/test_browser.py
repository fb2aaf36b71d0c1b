"""The page as a real browser shows it: the way of an examiner through it, and a cohort that wants to harm."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.decisions import flag
from grader.cohort.sources.model import Person
from tests.cohort.gradebook.books import whose
from tests.cohort.regrade.sitting import change, write_exam, write_submission
from tests.web.cohorts import documents, fill_hostile, keep, losing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

CHROMIUM = shutil.which("chromium")
"""Not the one that Playwright would fetch: Debian's comes with its updates."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (Debian package `chromium`)"),
]
LOST = "6.1.error_rate"
NARROW = 320
"""Pixels: what WCAG asks of a page that is enlarged four times."""
WAIT = 60_000
"""Milliseconds for a batch of two."""
MAX_WALKED = 60
"""Pages of a walk."""


@dataclass
class Served:
    """A server, and the browsers that it let in."""

    process: subprocess.Popen[str]
    url: str
    """With the token that lets the next browser in."""
    path: Path

    @property
    def base(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@contextlib.contextmanager
def serving(path: Path, *options: str) -> Iterator[Served]:
    argv = [sys.executable, "-m", "grader", "serve", str(path), "--port", "0", *options]
    environment = {**os.environ, "USER": "examiner", "LOGNAME": "examiner"}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        yield Served(process, url, path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


@dataclass
class Opened:
    """A page, and what it did that nobody should notice."""

    page: Page
    base: str
    said: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self._ask(request.url))

    def _dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def _ask(self, url: str) -> None:
        if not url.startswith((f"{self.base}/", "data:image/png;base64,")):
            self.elsewhere.append(url)

    def go(self, address: str) -> None:
        self.page.goto(f"{self.base}{address}")

    @property
    def noticed(self) -> tuple[list[str], list[str]]:
        return self.said, self.elsewhere


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


def let_in(browser: Browser, served: Served) -> Any:
    """What lets a browser in, once the token is used up."""
    context = browser.new_context()
    context.new_page().goto(served.url)
    state = context.storage_state()
    context.close()
    return state


def opener(browser: Browser, served: Served, state: Any, contexts: list[BrowserContext]) -> Any:
    def open_page(address: str = "/", *, width: int = 1100, **options: Any) -> Opened:
        context = browser.new_context(
            storage_state=state, viewport={"width": width, "height": 900}, base_url=served.base, **options
        )
        contexts.append(context)
        opened = Opened(context.new_page(), served.base)
        opened.watch()
        opened.go(address)
        return opened

    return open_page


@contextlib.contextmanager
def opening(browser: Browser, path: Path, *options: str) -> Iterator[tuple[Served, Any]]:
    contexts: list[BrowserContext] = []
    with serving(path, *options) as served:
        yield served, opener(browser, served, let_in(browser, served), contexts)
        for context in contexts:
            context.close()


# --- an ordinary cohort -----------------------------------------------------------------------------


def make_cohort(folder: Path) -> Path:
    """Anna, Ben and Cleo lost a criterion in the same way, Dan nothing, and Ed's is undecided."""
    whole, every = documents()
    place = {"path": "alerts.yml", "line": 2, "first": 1, "lines": ["groups:", "  - name: wrong"]}
    lost = losing(whole, LOST, "alerts.yml:2", place)
    path = folder / "book.db"
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        for key, made in (("anna", lost), ("ben", lost), ("cleo", lost), ("dan", whole), ("ed", every)):
            source = folder / key
            source.mkdir()
            (source / "alerts.yml").write_text("groups:\n  - name: wrong\n")
            person = Person(key=key, name=f"{key.title()} Alt", section="Group 1")
            keep(book, person, {**made, "submission": {"name": key, "digest": key}}, source=str(source))
        flag(book, whose(book, "dan"), author="examiner", reason="look again")
    return path


@pytest.fixture(scope="module")
def ordinary(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Any]]:
    with opening(browser, make_cohort(tmp_path_factory.mktemp("ordinary"))) as found:
        yield found


@pytest.fixture(scope="module")
def addresses(ordinary: tuple[Served, Any]) -> list[str]:
    """A page of each kind."""
    opened = ordinary[1]("/")
    found = walk(opened)
    assert opened.noticed == ([], [])
    return found


def test_the_way_of_an_examiner(browser: Browser, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    path = make_cohort(tmp_path)
    with opening(browser, path) as (_, open_page):
        opened = open_page()
        page: Page = opened.page

        # Sort, filter, and find.
        rows = page.locator("table.cohort tbody tr th a")
        expect(rows).to_have_text(["Anna Alt", "Ben Alt", "Cleo Alt", "Dan Alt", "Ed Alt"])
        page.get_by_role("link", name="Mark").click()
        expect(rows.first).to_have_text("Dan Alt")
        page.get_by_role("navigation", name="Selections").get_by_role("link", name="flagged").click()
        expect(rows).to_have_text(["Dan Alt"])
        page.get_by_label("Find a candidate").fill("anna")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Anna Alt")

        # Read the loss, its line, and the file.
        card = page.locator("article.card", has_text=LOST).first
        expect(card.locator(".line.meant")).to_contain_text("- name: wrong")
        card.get_by_role("link", name="alerts.yml").click()
        expect(page.locator("#L2")).to_contain_text("- name: wrong")
        page.go_back()
        card.get_by_role("link", name="Beside the reference solution").click()
        expect(page.locator(".line.removed", has_text="wrong")).to_be_visible()
        page.go_back()

        # Override it: the mark changes, and the history has it.
        before = page.locator(".score .number").inner_text()
        card.get_by_text(f"Override {LOST}").click()
        card.get_by_label("Points").fill("2")
        card.get_by_label("Reason").fill("the text was ambiguous")
        card.get_by_role("button", name="Keep").click()
        expect(page.get_by_role("status")).to_be_visible()
        expect(page.locator(".score .number")).not_to_have_text(before)
        expect(card.locator(".override")).to_contain_text("the text was ambiguous")
        expect(page.locator("#history table tbody tr").first).to_contain_text("override")
        expect(page.locator("#history table tbody tr").first).to_contain_text("the text was ambiguous")

        # Graded again with another outcome: the override is stale.
        regrade(path, "anna")
        page.reload()
        expect(page.locator("article.stale")).to_contain_text("the text was ambiguous")
        page.goto(f"{opened.base}/?only=stale")
        expect(rows).to_have_text(["Anna Alt"])

        # Treat all who lost it in the same way.
        page.goto(f"{opened.base}/criterion/{LOST}")
        group = page.locator("article.group", has_text=f"{LOST} is wrong").first
        expect(group).to_contain_text("3 candidates")
        group.get_by_text("Override for all 3").click()
        group.get_by_label("Points").fill("1.5")
        group.get_by_label("Reason", exact=True).fill("the check was wrong")
        group.get_by_role("button", name="Keep for all 3").click()
        expect(page.get_by_role("status")).to_contain_text("2 candidates")
        page.goto(f"{opened.base}/?find=ben")
        expect(page.locator("article.card", has_text=LOST).first.locator(".override")).to_contain_text(
            "the check was wrong"
        )
        page.get_by_role("link", name="Trail").click()
        expect(page.locator("table.trail tbody tr").first).to_contain_text("the check was wrong")

        # Take the feedback page along.
        page.goto(f"{opened.base}/?find=anna")
        with page.expect_download() as download:
            page.get_by_role("link", name="Feedback page").click()
        assert "<!DOCTYPE html>" in Path(download.value.path()).read_text()
        assert opened.noticed == ([], [])


def regrade(path: Path, key: str) -> None:
    """As a batch does under a changed rubric: another exam, another outcome."""
    whole, _ = documents()
    place = {"path": "alerts.yml", "line": 1, "first": 1, "lines": ["groups:"]}
    again = losing(whole, LOST, "alerts.yml:1", place)
    with open_gradebook(path, write=True, beside=True) as book, book.transaction():
        source = str(path.parent / key)
        made = {**again, "submission": {"name": key, "digest": key}}
        keep(book, Person(key=key, name=f"{key.title()} Alt"), made, source=source, exam="another")


def test_the_keyboard_is_enough(ordinary: tuple[Served, Any]) -> None:
    from playwright.sync_api import expect

    opened = ordinary[1]()
    page = opened.page
    heading = page.get_by_role("heading", level=1)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Anna Alt")
    page.keyboard.press("n")
    expect(heading).to_have_text("Dan Alt")
    page.keyboard.press("/")
    page.keyboard.type("ed")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Ed Alt")
    page.keyboard.press("u")
    expect(heading).to_have_text("5 candidates")
    assert opened.noticed == ([], [])


def test_everything_is_there_without_script(ordinary: tuple[Served, Any]) -> None:
    from playwright.sync_api import expect

    opened = ordinary[1]("/?only=look", java_script_enabled=False)
    page = opened.page
    page.get_by_role("link", name="Dan Alt").click()
    page.get_by_label("Somebody should look again").fill("without script")
    page.get_by_role("button", name="Flag", exact=True).click()
    expect(page.locator("#flags")).to_contain_text("without script")
    assert opened.noticed == ([], [])


def test_a_browser_without_the_cookie_gets_nothing(
    browser: Browser, ordinary: tuple[Served, Any], addresses: list[str]
) -> None:
    served, _ = ordinary
    context = browser.new_context()
    page = context.new_page()
    for address in addresses:
        answer = page.request.get(f"{served.base}{address}")
        assert answer.status == 403, address
        assert "Alt" not in answer.text(), address
    # The token that let the first browser in is used up.
    assert page.request.get(served.url).status == 403
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    scheme: str, ordinary: tuple[Served, Any], addresses: list[str], request: pytest.FixtureRequest
) -> None:
    if scheme == "dark" and not request.config.getoption("--scheduled"):
        pytest.skip("takes long: only with --scheduled")
    from axe_playwright_python.sync_playwright import Axe

    opened = ordinary[1]("/", color_scheme=scheme)
    found = {}
    for address in addresses:
        opened.go(address)
        unfold(opened.page)
        violations = Axe().run(opened.page).response["violations"]
        found[address] = [
            (each["id"], each["impact"], [node["html"] for node in each["nodes"][:3]]) for each in violations
        ]
    assert len(found) > 5
    assert {address: each for address, each in found.items() if each} == {}


def test_a_narrow_screen_needs_no_sideways_scrolling(
    ordinary: tuple[Served, Any], addresses: list[str]
) -> None:
    opened = ordinary[1]("/", width=NARROW)
    widths = {}
    for address in addresses:
        opened.go(address)
        unfold(opened.page)
        widths[address] = opened.page.evaluate("document.documentElement.scrollWidth")
    assert widths == dict.fromkeys(widths, NARROW)


# --- a batch ----------------------------------------------------------------------------------------


def test_a_batch_is_started_and_watched_and_a_changed_rubric_makes_overrides_stale(
    browser: Browser, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    rubrics = write_exam(tmp_path / "exam")
    for name, replicas in (("anna", 3), ("ben", 1)):
        write_submission(tmp_path / "in" / name, replicas)
    path = tmp_path / "book.db"
    with open_gradebook(path, write=True, create=True):
        pass
    with opening(browser, path, "--exam", str(rubrics)) as (_, open_page):
        opened = open_page("/batch")
        page: Page = opened.page
        now = page.locator("#now")
        expect(now).to_contain_text("nothing ran yet")
        page.get_by_label("Source").fill(str(tmp_path / "in"))
        page.get_by_role("button", name="Start").click()
        # No reload: the page is told.
        expect(now).to_contain_text("2 of 2 graded", timeout=WAIT)
        expect(now).to_contain_text("Nothing runs", timeout=WAIT)

        opened.go("/?find=ben")
        card = page.locator("article.card", has_text="1.1.replicas").first
        card.get_by_text("Override 1.1.replicas").click()
        card.get_by_label("Points").fill("0.5")
        card.get_by_label("Reason").fill("nearly")
        card.get_by_role("button", name="Keep").click()
        expect(page.get_by_role("status")).to_be_visible()

        change(rubrics / "1.1.yaml", "replicas: 3", "replicas: 1")
        opened.go("/batch")
        page.get_by_role("button", name="Go on").click()
        expect(now).to_contain_text("2 of 2 graded", timeout=WAIT)
        expect(now).to_contain_text("Nothing runs", timeout=WAIT)
        opened.go("/?find=ben")
        expect(page.locator("article.stale")).to_contain_text("nearly")
        assert opened.noticed == ([], [])


# --- a hostile cohort -------------------------------------------------------------------------------


def test_a_cohort_that_wants_to_harm(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        fill_hostile(book, tmp_path)
    with opening(browser, path) as (_, open_page):
        opened = open_page("/")
        addresses = walk(opened, most=5, more=hostile_files)
        assert len({kind_of(each) for each in addresses}) > 5
        assert opened.noticed == ([], [])


def hostile_files(address: str) -> list[str]:
    """The files of a candidate's page."""
    names = ("line.py", "picture.svg", "page.html", "confusion_matrix.png", "\u202egnp.exe", "../../x")
    if re.fullmatch(r"/candidate/\d+", address):
        return [f"{address}/file?path={name}" for name in names]
    return []


# --- walking ----------------------------------------------------------------------------------------


def walk(opened: Opened, *, most: int = 1, more: Callable[[str], list[str]] = lambda _: []) -> list[str]:
    """Open page after page by their links; what is only to be kept as a file is passed over.

    Args:
        most: of a kind.
        more: addresses that no link of a page may lead to.
    """
    start = urlsplit(opened.page.url)
    waiting, seen = [start.path], {start.path}
    walked: list[str] = []
    kinds: dict[str, int] = {}
    while waiting and len(walked) < MAX_WALKED:
        address = waiting.pop(0)
        kind = kind_of(address)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > most:
            continue
        opened.go(address)
        unfold(opened.page)
        walked.append(address)
        links = opened.page.evaluate(
            "[...document.querySelectorAll('a[href]:not([download])')].map(each => each.href)"
        )
        found = [link.removeprefix(opened.base) for link in links if link.startswith(f"{opened.base}/")]
        assert [link for link in links if not link.startswith(f"{opened.base}/")] == []
        for link in (*more(address), *(each.partition("#")[0] for each in found)):
            if link not in seen:
                seen.add(link)
                waiting.append(link)
    return walked


def kind_of(address: str) -> str:
    parts = urlsplit(address)
    return re.sub(r"/(candidate|criterion|reference|similar)/[^/?]+", r"/\1/*", parts.path) + (
        "?" if parts.query and "path=" not in parts.query else ""
    )


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
