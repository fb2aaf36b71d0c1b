"""The page as a real browser shows it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from grader.report.formats import Settings, write_file
from tests.report.grades import a_grade
from tests.report.html.test_page import GRADES, grade_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
"""Not the one that Playwright would fetch: Debian's comes with its updates."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (Debian package `chromium`)"),
]
NAMES = [
    "small",
    "reference",
    "empty",
    "all-lost",
    "undecided",
    "mixed",
    "hostile",
    "hostile-markup",
    "nothing",
]
NARROW = 320
"""Pixels: what WCAG asks of a page that is enlarged four times."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


class Opened:
    """A page, and what it did that nobody should notice."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked_for: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))
        page.on("request", lambda request: self.asked_for.append(request.url))

    def unfold(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    contexts = []

    def open_page(name: str, *, width: int = 1100, **options: Any) -> Opened:
        path = tmp_path / "page.html"
        write_file("html", path, grade_named(name), Settings(previous=a_grade()))
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.goto(path.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", GRADES)
def test_nothing_runs_nothing_is_fetched_and_nothing_is_complained_of(name: str, opened: Any) -> None:
    shown = opened(name)
    shown.unfold()
    shown.page.wait_for_load_state("networkidle")
    assert (shown.said, shown.asked_for) == ([], [shown.page.url])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["small", "mixed", "hostile", "reference"])
def test_axe_finds_nothing(name: str, scheme: str, opened: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(name, color_scheme=scheme)
    shown.unfold()
    found = Axe().run(shown.page).response["violations"]
    assert [
        (each["id"], each["impact"], [node["html"] for node in each["nodes"][:3]]) for each in found
    ] == []


def test_the_policy_keeps_out_what_would_get_into_the_page(opened: Any) -> None:
    shown = opened("small")
    script = """() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
        document.body.append(image);
        return window.ran === undefined;
    }"""
    assert shown.page.evaluate(script) is True
    assert len([each for each in shown.said if "Content Security Policy" in each]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_narrow_screen_needs_no_sideways_scrolling(name: str, opened: Any) -> None:
    shown = opened(name, width=NARROW)
    shown.unfold()
    assert shown.page.evaluate("document.documentElement.scrollWidth") == NARROW


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_and_shows_what_is_folded(scheme: str, opened: Any) -> None:
    shown = opened("hostile", color_scheme=scheme)
    folded = "[...document.querySelectorAll('details > :not(summary)')]"
    unseen = "!each.checkVisibility({contentVisibilityAuto: true}) || each.offsetHeight === 0"
    hidden = f"{folded}.filter(each => {unseen})"
    assert shown.page.evaluate(f"{hidden}.length === {folded}.length && {folded}.length > 0")
    shown.page.emulate_media(media="print")
    shown.page.wait_for_function(f"{hidden}.length === 0")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_keyboard_is_enough(opened: Any) -> None:
    shown = opened("mixed")
    page = shown.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    task = page.locator("details.task").first
    task.locator("summary").focus()
    page.keyboard.press("Enter")
    assert task.evaluate("each => each.open")
    link = task.locator("a").first
    link.focus()
    page.keyboard.press("Enter")
    target = page.locator(":target")
    assert target.evaluate("each => each.id") == f"c-{link.text_content()}"
    assert target.is_visible()


def test_the_picture_is_of_the_points(opened: Any) -> None:
    shown = opened("small")
    widths = shown.page.locator(".total svg.bar").evaluate(
        "each => [...each.querySelectorAll('rect')].map(rect => rect.getBBox().width / each.clientWidth)"
    )
    score = a_grade().score
    assert widths == pytest.approx([1, score.earned / score.possible, 2 / score.possible], abs=0.001)
    mark = shown.page.locator(".total line").first.evaluate("each => each.getBBox().x")
    whole = shown.page.locator(".total svg.bar").evaluate("each => each.clientWidth")
    assert mark / whole == pytest.approx(score.pass_mark / score.possible, abs=0.001)
