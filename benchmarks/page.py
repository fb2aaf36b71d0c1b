"""Times the pages of `grader serve` over a large cohort.

    python -m benchmarks.page [--candidates N] [--rounds N] [--book FILE]

Each candidate has a full result, mixed from what reading says of the reference solution and of a known defect
of each task. From the first page on links are followed; of each kind of page a few are asked for, and the
median of the seconds until an answer is there whole is told, with its size. Last, the first page is opened in
Chromium, if there is one, and the seconds until something is painted are told.

Exit status 1: a page is slower or larger than wanted.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from grader.checks import ALL
from grader.cohort.gradebook import open_gradebook
from grader.corpus.cases import build, load_cases
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.session import STATIC, Options, score_submission
from tests.report.samples import reference
from tests.web.cohorts import fill, people

MAX_SECONDS = 0.3
MAX_BYTES = 2**20
"""Of the first page."""
MAX_PAINT = 1.0
PAINTED = """() => new Promise(tell => {
    const told = list => list.getEntriesByName("first-contentful-paint").map(each => tell(each.startTime));
    new PerformanceObserver(told).observe({type: "paint", buffered: true});
})"""
MAX_OF_A_KIND = 4
MAX_PAGES = 60


def pool() -> list[dict[str, object]]:
    """Documents of the reference solution and of one defect a task, read and not run."""
    exam = load_exam(RUBRICS, ALL)
    found = [document(reference())]
    cases = {case.name.split("/")[1]: case for case in load_cases(exam) if case.name.startswith("defects/")}
    with tempfile.TemporaryDirectory() as name:
        for task, case in sorted(cases.items()):
            folder = Path(name) / task
            build(case, folder)
            found.append(document(score_submission(str(folder), Options(isolation=STATIC), exam=exam)))
    return found


def make_book(path: Path, count: int) -> None:
    began = time.monotonic()
    with open_gradebook(path, write=True, create=True) as book:
        fill(book, people(count), pool(), random.Random(1))
    size = path.stat().st_size / 2**20
    print(f"a gradebook of {count} candidates: {size:.0f} MiB, made in {time.monotonic() - began:.0f} s")


@dataclass
class Browser:
    """What asks for pages, with the cookie."""

    host: str
    port: int
    cookie: str = ""
    links: dict[str, list[str]] = field(default_factory=dict)
    """Kind of page -> addresses."""

    def get(self, address: str) -> tuple[int, bytes, float]:
        """Status, body, and the seconds that it took."""
        connection = HTTPConnection(self.host, self.port, timeout=60)
        began = time.perf_counter()
        connection.request("GET", address, headers={"Cookie": self.cookie} if self.cookie else {})
        answer = connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        if (given := answer.getheader("Set-Cookie")) is not None:
            self.cookie = given.partition(";")[0]
        connection.close()
        return answer.status, body, took

    def follow(self, start: str) -> None:
        """Collect links from one page to the next, a few of each kind."""
        waiting, seen = [start], {start}
        while waiting and len(seen) < MAX_PAGES:
            _, body, _ = self.get(waiting.pop(0))
            for found in re.findall(r'(?:href|hx-get)="(/[^"#]*)', body.decode(errors="replace")):
                address = unescape(found)
                kind = kind_of(address)
                known = self.links.setdefault(kind, [])
                if address in seen or kind.startswith("/static") or len(known) >= MAX_OF_A_KIND:
                    continue
                seen.add(address)
                known.append(address)
                waiting.append(address)


def kind_of(address: str) -> str:
    """An address without what it names: `/candidate/…?…`."""
    parts = urlsplit(address)
    words = parts.path.split("/")
    shown = [word if place < 2 or word.isalpha() else "…" for place, word in enumerate(words)]
    return "/".join(shown) + (
        "?" + "&".join(sorted(re.findall(r"(\w+)=", parts.query))) if parts.query else ""
    )


def serve(path: Path) -> tuple[subprocess.Popen[str], str]:
    """A server, and the address with its token."""
    argv = [sys.executable, "-m", "grader", "serve", str(path), "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return process, found[0]
    raise SystemExit("the server did not start")


def first_paint(address: str) -> float | None:
    """Seconds until Chromium paints the first page; None without one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (not everybody has it)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.goto(address)
        painted = []
        for _ in range(5):
            page.reload()
            painted.append(float(page.evaluate(PAINTED)) / 1000)
        browser.close()
    return statistics.median(painted)


def measure(path: Path, rounds: int) -> int:
    process, address = serve(path)
    slow = 0
    try:
        parts = urlsplit(address)
        browser = Browser(parts.hostname or "127.0.0.1", parts.port or 80)
        browser.get(f"{parts.path}?{parts.query}")
        browser.follow("/")
        browser.links["/"] = ["/"]
        print(f"{'median':>8} {'worst':>8} {'KiB':>7}  page")
        for kind, addresses in sorted(browser.links.items()):
            answers = [browser.get(each) for each in addresses for _ in range(rounds)]
            if not answers:
                continue
            seconds = [took for _, _, took in answers]
            size = max(len(body) for _, body, _ in answers)
            statuses = {status for status, _, _ in answers}
            late = statistics.median(seconds) > MAX_SECONDS or (kind == "/" and size > MAX_BYTES)
            slow += late
            print(
                f"{statistics.median(seconds) * 1000:>5.0f} ms {max(seconds) * 1000:>5.0f} ms"
                f" {size / 1024:>7.0f}  {kind}{'' if statuses == {200} else f'  {sorted(statuses)}'}"
                f"{'  TOO MUCH' if late else ''}"
            )
        # A token is good for one exchange; the server has told another by now.
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        painted = first_paint(found[0]) if found else None
        if painted is not None:
            late = painted > MAX_PAINT
            slow += late
            print(f"first paint of the first page: {painted:.2f} s{'  TOO MUCH' if late else ''}")
    finally:
        process.terminate()
        process.wait()
    return 1 if slow else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--book", type=Path, help="made if it is not there, and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        book = options.book or Path(scratch) / "book.db"
        if not book.exists():
            make_book(book, options.candidates)
        sys.exit(measure(book, options.rounds))
