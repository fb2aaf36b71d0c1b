"""The application: which address is which page, and what its forms do."""

from __future__ import annotations

import contextlib
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from grader.cohort.gradebook.decisions import flag, group, override, settle, target, twentieths_of, withdraw
from grader.cohort.gradebook.results import document_of
from grader.errors import GraderFault, UsageError
from grader.report.safe import clean, counted, one_line
from grader.web import forms, templates
from grader.web.pages import batch, candidate, cohort, criterion, files, statistics, trail
from grader.web.security import Guard, Sessions
from grader.web.state import ANONYMOUS, State
from grader.web.work import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam
    from grader.web.forms import Form
    from grader.web.state import Cohort, Person

STATIC = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "hx-sse.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
MAX_STREAMS = 20
STREAM_SECONDS = 1.0
MAX_AGE = 30.0
"""Seconds that names on what changes by itself may be old."""


def application(
    state: State,
    sessions: Sessions,
    *,
    names: frozenset[str] = frozenset(),
    exam: Exam | None = None,
    exam_folder: str = "",
) -> ASGIApp:
    """All pages of a gradebook, behind their guard.

    Args:
        names: host names by which this machine may be called beside `localhost`.
        exam: what submissions were graded by, if it is known.
        exam_folder: by which a batch grades that is started here; empty for the bundled exam.
    """
    site = Site(state, exam, exam_folder)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            site.close()

    routes = [
        Route("/", site.page(site.cohort)),
        Route("/next", site.page(site.next)),
        Route("/candidate/{number}", site.page(site.candidate)),
        Route("/candidate/{number}/file", site.page(site.file)),
        Route("/candidate/{number}/reference/{criterion}", site.page(site.reference)),
        Route("/candidate/{number}/grade.json", site.page(site.grade)),
        Route("/candidate/{number}/feedback.html", site.page(site.feedback)),
        Route("/candidate/{number}/override", site.form(site.override), methods=["POST"]),
        Route("/candidate/{number}/flag", site.form(site.flag), methods=["POST"]),
        Route("/criteria", site.page(site.criteria)),
        Route("/criterion/{name}", site.page(site.criterion)),
        Route("/criterion/{name}/group", site.form(site.group), methods=["POST"]),
        Route("/criterion/{name}/withdraw", site.form(site.withdraw_group), methods=["POST"]),
        Route("/similar", site.page(site.similar)),
        Route("/similar/compare", site.form(site.compare), methods=["POST"]),
        Route("/similar/{number:int}", site.page(site.pair)),
        Route("/statistics", site.page(site.statistics)),
        Route("/trail", site.page(site.trail)),
        Route("/override/{id:int}/withdraw", site.form(site.withdraw), methods=["POST"]),
        Route("/flag/{id:int}/done", site.form(site.flag_done), methods=["POST"]),
        Route("/anonymous", site.form(partial(site.names, anonymous=True)), methods=["POST"]),
        Route("/publish", site.form(partial(site.names, anonymous=False)), methods=["POST"]),
        Route("/batch", site.page(site.batch)),
        Route("/batch/now", site.page(site.batch_now)),
        Route("/batch/stream", site.batch_stream),
        Route("/batch/start", site.form(site.batch_start), methods=["POST"]),
        Route("/batch/pause", site.form(partial(site.batch_end, now=False)), methods=["POST"]),
        Route("/batch/stop", site.form(partial(site.batch_end, now=True)), methods=["POST"]),
        Route("/static/{name}", static),
    ]
    handlers: Mapping[Any, Any] = {
        UsageError: site.refused,
        GraderFault: site.failed,
        HTTPException: site.missing,
        Exception: site.surprised,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    return Guard(app, sessions, names=names)


def static(request: Request) -> Response:
    """A file that pages refer to, out of a list."""
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    data = templates.stylesheet() if name == "style.css" else templates.static(name)
    return Response(data, media_type=STATIC[name], headers={"Cache-Control": "private, max-age=600"})


class Site:
    """What the pages share."""

    def __init__(self, state: State, exam: Exam | None, exam_folder: str) -> None:
        """Serve a gradebook."""
        self.state = state
        self.exam = exam
        self.exam_folder = exam_folder
        self.work = Work()
        self._streams = 0

    def close(self) -> None:
        """End what was started here, and let go of everything."""
        self.work.close()
        self.state.close()

    # --- what answers a request ---------------------------------------------------------------------

    @staticmethod
    def page(read: Callable[..., Response]) -> Any:
        """An endpoint that reads; in a thread, since SQLite waits."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(read, request)

        return endpoint

    def form(self, write: Callable[[Request, Form], Response]) -> Any:
        """An endpoint that changes something, unless nothing may be changed."""

        async def endpoint(request: Request) -> Response:
            if self.state.read_only:
                raise UsageError("this page was started with --read-only: nothing can be changed by it")
            return await run_in_threadpool(write, request, await forms.read_form(request))

        return endpoint

    def refused(self, _: Request, error: Exception) -> Response:
        """What a user can put right."""
        return self._show("message", status=400, here="none", title="Not done", complaint=str(error))

    def failed(self, _: Request, error: Exception) -> Response:
        """What failed here."""
        return self._show("message", status=500, here="none", title="Failed", complaint=str(error))

    def surprised(self, _: Request, error: Exception) -> Response:
        """A fault of ours: the page says so, the terminal where."""
        told = "".join(traceback.format_exception(error))
        sys.stderr.write(f"{clean(told)}\n")
        return self._show("message", status=500, here="none", title="Failed", complaint=type(error).__name__)

    def missing(self, _: Request, error: Exception) -> Response:
        """What there is not."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = {404: "There is no such page.", 405: "This takes what a form sends."}.get(status, "It failed.")
        return self._show("message", status=status, here="none", title=said, complaint="")

    def _show(
        self, template: str, age: float = 0.0, /, *, status: int = 200, here: str, **values: Any
    ) -> Response:
        whole = self.state.cohort(seconds=age)
        common = {
            "book": self.state.path.name,
            "cohort": whole,
            "names": whole.names,
            "href": templates.Links(),
            "asset": lambda name: f"/static/{name}",
            "here": here,
            "may_write": not self.state.read_only,
            "forced_anonymous": self.state.forced_anonymous,
            "static_copy": False,
            "notes": self._notes(whole),
            "said": "",
            "complaint": "",
        }
        return HTMLResponse(templates.render(template, **{**common, **values}), status)

    def _notes(self, whole: Cohort) -> list[str]:
        notes = ["read only"] if self.state.read_only else []
        return notes + (["anonymous"] if whole.names.anonymous else [])

    def _said(self, request: Request) -> str:
        """What a form did, as the audit trail has it: the address names the events."""
        first, _, last = request.query_params.get("done", "").partition("-")
        if not (first.isascii() and first.isdigit() and len(first) < 12):
            return ""
        with self.state.reading() as book:
            rows = book.rows("SELECT * FROM event WHERE id = ?", int(first))
            if not rows:
                return ""
            if last.isascii() and last.isdigit() and len(last) < 12 and last != first:
                number = int(last) - int(first) + 1
                return f"Done for {counted(number, 'candidate', 'candidates')}: {rows[0]['what']}."
            return f"Done: {rows[0]['what']}."

    # --- pages ------------------------------------------------------------------------------------------

    def cohort(self, request: Request) -> Response:
        """Everybody; a search that finds one leads there."""
        whole = self.state.cohort()
        query = cohort.Query.of(request.query_params)
        found = cohort.selected(whole, query) if query.find and not query.only else []
        if len(found) == 1 and "stay" not in request.query_params:
            return RedirectResponse(f"/candidate/{found[0].number}", 303)
        return self._show("cohort", here="", said=self._said(request), **cohort.read(whole, query))

    def next(self, request: Request) -> Response:
        """The next one who needs a look."""
        whole = self.state.cohort()
        person = whole.after(whole.by_number.get(request.query_params.get("after", "")))
        return RedirectResponse(f"/candidate/{person.number}" if person else "/?only=look", 303)

    def candidate(self, request: Request) -> Response:
        """One candidate."""
        return self._candidate(self._person(request), said=self._said(request))

    def _candidate(
        self, person: Person, *, status: int = 200, retry: Mapping[str, str] | None = None, **said: str
    ) -> Response:
        whole = self.state.cohort()
        person = whole.by_number.get(person.number, person)
        with self.state.reading() as book, book.snapshot():
            values = candidate.read(
                book, whole, person, exam=self.exam, link=partial(_file_address, person.number)
            )
            values["has_reference"] = self.exam is not None and self.exam.reference is not None
            values["seen"] = _seen(book, person)
        return self._show("candidate", status=status, here="candidate", retry=retry or {}, **values, **said)

    def _person(self, request: Request) -> Person:
        person = self.state.cohort().by_number.get(request.path_params["number"])
        if person is None:
            raise HTTPException(404)
        return person

    def file(self, request: Request) -> Response:
        """A file that somebody handed in."""
        person, asked = self._person(request), request.query_params
        with self.state.reading() as book, book.snapshot():
            values = files.read(
                book, self.state.cohort(), person, path=asked.get("path", ""), line=asked.get("line", "")
            )
        return self._show("file", here="file", **values)

    def reference(self, request: Request) -> Response:
        """What a mark rests on, beside the reference solution's lines."""
        person, name = self._person(request), request.path_params["criterion"]
        with self.state.reading() as book, book.snapshot():
            values = files.beside(book, self.state.cohort(), person, name, self.exam)
        if values is None:
            raise HTTPException(404)
        return self._show("reference", here="reference", **values)

    def grade(self, request: Request) -> Response:
        """The result that counts, to be kept as a file."""
        import json

        person, document = self._document(request)
        data = json.dumps(document, ensure_ascii=True, indent=1).encode()
        return _attachment(data, f"grade-{person.number}.json", "application/json")

    def feedback(self, request: Request) -> Response:
        """The report of the result that counts, to be kept as a file."""
        import io

        from grader.report.formats import Settings
        from grader.report.html.page import write_html
        from grader.report.read import grade_of

        person, document = self._document(request)
        text = io.StringIO()
        write_html(grade_of(document), text, Settings())
        return _attachment(
            text.getvalue().encode(errors="replace"), f"feedback-{person.number}.html", "text/html"
        )

    def _document(self, request: Request) -> tuple[Person, dict[str, Any]]:
        person = self._person(request)
        if person.standing.result is None:
            raise HTTPException(404)
        names = self.state.cohort().names
        with self.state.reading() as book:
            found = document_of(book, person.standing.result)
            return person, candidate.hidden(found, names, candidate.together(book, person))

    def criteria(self, _: Request) -> Response:
        """All criteria."""
        whole = self.state.cohort()
        if "criteria" not in whole.memory:
            with self.state.reading() as book, book.snapshot():
                whole.memory["criteria"] = criterion.overview(book, whole)
        return self._show("criteria", here="criteria", **whole.memory["criteria"])

    def criterion(self, request: Request) -> Response:
        """One criterion across the cohort."""
        return self._criterion(request.path_params["name"], said=self._said(request))

    def _criterion(
        self, name: str, *, status: int = 200, retry: Mapping[str, str] | None = None, **said: str
    ) -> Response:
        with self.state.reading() as book, book.snapshot():
            values = criterion.read(book, self.state.cohort(), name, exam=self.exam)
        if values is None:
            raise HTTPException(404)
        return self._show("criterion", status=status, here="criterion", retry=retry or {}, **values, **said)

    def trail(self, request: Request) -> Response:
        """What happened."""
        with self.state.reading() as book, book.snapshot():
            values = trail.read(book, self.state.cohort(), request.query_params)
        return self._show("trail", here="trail", **values)

    def statistics(self, _: Request) -> Response:
        """What the marks say together."""
        found, fresh = self.state.statistics()
        with self.state.reading() as book, book.snapshot():
            values = statistics.read(
                book, self.state.cohort(), found, partial(templates.Links(), "criterion")
            )
        return self._show("statistics", here="statistics", fresh=fresh, **values)

    def similar(self, _: Request) -> Response:
        """The pairs that somebody should look at."""
        return self._similar()

    def _similar(self, *, status: int = 200, **said: str) -> Response:
        child = self.work.child
        runs = child if child is not None and child.name == "comparison" else None
        lines = [self.state.cohort().names.text(line) for line in runs.lines()] if runs else []
        return self._show("similar", status=status, here="similar", comparison=runs, lines=lines, **said)

    def pair(self, request: Request) -> Response:
        """Two works side by side."""
        number = request.path_params["number"]
        pairs = self.state.cohort().pairs.get("pairs", ())
        if not 1 <= number <= len(pairs):
            raise HTTPException(404)
        return self._show("pair", here="similar", number=number, pairs=pairs, pair=pairs[number - 1])

    def compare(self, _: Request, __: Form) -> Response:
        """Compare all submissions, aside."""
        words = ["gradebook", "similar", f"--gradebook={self.state.path.resolve()}", "--keep"]
        try:
            self.work.start(
                "comparison", words + ([f"--exam={self.exam_folder}"] if self.exam_folder else [])
            )
        except UsageError as error:
            return self._similar(status=409, complaint=f"Not done: {one_line(str(error))}")
        return RedirectResponse("/similar", 303)

    # --- the batch --------------------------------------------------------------------------------------

    def batch(self, _: Request) -> Response:
        """The batch as it runs, and the form that starts one."""
        return self._batch()

    def _batch(self, *, status: int = 200, retry: Mapping[str, str] | None = None, **said: str) -> Response:
        return self._show("batch", status=status, here="batch", retry=retry or {}, **self._now(), **said)

    def _now(self) -> dict[str, Any]:
        with self.state.reading() as book, book.snapshot():
            return batch.read(book, self.state.cohort(seconds=MAX_AGE), self.work.child)

    def batch_now(self, _: Request) -> Response:
        """The part of the page that changes by itself."""
        return self._show("now", MAX_AGE, here="batch", **self._now())

    async def batch_stream(self, request: Request) -> Response:
        """The same, each time that it has changed."""
        if self._streams >= MAX_STREAMS:
            raise HTTPException(503)

        async def messages() -> AsyncIterator[str]:
            self._streams += 1
            last = ""
            try:
                while not await request.is_disconnected():
                    answer = await run_in_threadpool(self.batch_now, request)
                    text = bytes(answer.body).decode()
                    if text != last:
                        last = text
                        yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
                    await anyio.sleep(STREAM_SECONDS)
            finally:
                self._streams -= 1

        return StreamingResponse(messages(), media_type="text/event-stream")

    def batch_start(self, _: Request, form: Form) -> Response:
        """Grade what is not graded yet."""
        try:
            if not form.get("source", "").strip():
                raise UsageError("name a source: a folder of submissions, or a roster")
            path = str(self.state.path.resolve())
            self.work.start("batch", batch.arguments(form, path, self.exam_folder))
        except UsageError as error:
            return self._batch(status=409, retry=form, complaint=f"Not done: {one_line(str(error))}")
        return RedirectResponse("/batch", 303)

    def batch_end(self, _: Request, __: Form, *, now: bool) -> Response:
        """Finish what runs, or end at once."""
        try:
            self.work.interrupt(now=now)
        except UsageError as error:
            return self._batch(status=409, complaint=f"Not done: {one_line(str(error))}")
        return RedirectResponse("/batch", 303)

    # --- decisions --------------------------------------------------------------------------------------

    def override(self, request: Request, form: Form) -> Response:
        """Give points by hand. What cannot be done is said, and what was typed stays."""
        person = self._person(request)
        try:
            with self.state.deciding() as book:
                points, reason = _decision(book, person, form)
                if form.get("seen") != _seen(book, person):
                    raise UsageError(
                        "somebody else decided, or it was graded again, since this page was opened: look at"
                        " what is there now, and keep yours again if it still holds"
                    )
                what = target(book, person.standing.candidate, form.get("target", ""))
                override(book, what, points, author=self.state.author, reason=reason)
                done = _last_event(book)
        except UsageError as error:
            typed = {name: form.get(name, "") for name in ("target", "points", "reason")}
            return self._retry(person, typed, error)
        return _back(f"/candidate/{person.number}?done={done}", form.get("target", ""))

    def group(self, request: Request, form: Form) -> Response:
        """Give points to all who lost a criterion in the same way."""
        name, fingerprint = request.path_params["name"], form.get("fingerprint", "")
        try:
            with self.state.deciding() as book:
                points, reason = self._labelled(book, name, form)
                found = group(book, name, fingerprint, points)
                told = len(found.targets) + len(found.kept) + len(found.done)
                if form.get("count") != str(told):
                    raise UsageError(
                        f"the group has {told} candidates now, and had another number when this page was"
                        " opened: look at who they are, and keep it again"
                    )
                if not found.targets:
                    raise UsageError("there is nobody left in this group to be overridden")
                before = _last_event(book)
                for each in found.targets:
                    author = self.state.author
                    override(book, each, points, author=author, reason=reason, fingerprint=fingerprint)
                done = f"{before + 1}-{_last_event(book)}"
        except UsageError as error:
            typed = {key: form.get(key, "") for key in ("fingerprint", "points", "reason", "label")}
            complaint = f"Not done: {one_line(str(error))}"
            return self._criterion(name, status=409, retry=typed, complaint=complaint)
        return self._to_group(name, fingerprint, done)

    @staticmethod
    def _labelled(book: Gradebook, name: str, form: Form) -> tuple[int, str]:
        """Points and reason as typed; what is left out is that of the label."""
        points, reason, label = (form.get(key, "").strip() for key in ("points", "reason", "label"))
        if label.isascii() and label.isdigit() and len(label) < 12:
            for row in book.rows(
                "SELECT points, reason FROM override WHERE id = ? AND criterion = ?", int(label), name
            ):
                return twentieths_of(points) if points else row["points"], reason or row["reason"]
        return twentieths_of(points), reason

    def withdraw_group(self, request: Request, form: Form) -> Response:
        """Let all overrides that were made for a group count no more."""
        name, fingerprint = request.path_params["name"], form.get("fingerprint", "")
        with self.state.deciding() as book:
            numbers = book.rows(
                "SELECT id FROM live_override WHERE criterion = ? AND fingerprint = ? AND fingerprint <> ''",
                *(name, fingerprint),
            )
            if not numbers:
                raise UsageError("there is no override of this group any more")
            before = _last_event(book)
            for row in numbers:
                withdraw(book, row["id"], author=self.state.author, reason=form.get("reason", ""))
            done = f"{before + 1}-{_last_event(book)}"
        return self._to_group(name, fingerprint, done)

    @staticmethod
    def _to_group(name: str, fingerprint: str, done: str) -> Response:
        anchor = templates.word(fingerprint)
        return RedirectResponse(f"{templates.Links()('criterion', name)}?done={done}#g-{anchor}", 303)

    def _retry(self, person: Person, typed: Mapping[str, str], error: UsageError) -> Response:
        return self._candidate(person, status=409, retry=typed, complaint=f"Not done: {one_line(str(error))}")

    def flag(self, request: Request, form: Form) -> Response:
        """Say that somebody should look again."""
        person = self._person(request)
        try:
            with self.state.deciding() as book:
                flag(book, person.standing.candidate, author=self.state.author, reason=form.get("reason", ""))
                done = _last_event(book)
        except UsageError as error:
            return self._retry(person, {"target": "flag", "reason": form.get("reason", "")}, error)
        return RedirectResponse(f"/candidate/{person.number}?done={done}#flags", 303)

    def withdraw(self, request: Request, form: Form) -> Response:
        """Let an override count no more."""
        number = request.path_params["id"]
        with self.state.deciding() as book:
            withdraw(book, number, author=self.state.author, reason=form.get("reason", ""))
            whose = book.rows("SELECT candidate FROM override WHERE id = ?", number)[0]["candidate"]
            done = _last_event(book)
        return RedirectResponse(f"{self._address_of(whose)}?done={done}", 303)

    def flag_done(self, request: Request, form: Form) -> Response:
        """Say that a flag is done."""
        number = request.path_params["id"]
        with self.state.deciding() as book:
            settle(book, number, author=self.state.author, reason=form.get("reason", ""))
            whose = book.rows("SELECT candidate FROM flag WHERE id = ?", number)[0]["candidate"]
            done = _last_event(book)
        return RedirectResponse(f"{self._address_of(whose)}?done={done}", 303)

    def _address_of(self, candidate_: int) -> str:
        person = self.state.cohort().by_id.get(candidate_)
        return f"/candidate/{person.number}" if person else "/"

    def names(self, _: Request, __: Form, *, anonymous: bool) -> Response:
        """Show numbers instead of names until marks are published, or publish them."""
        with self.state.deciding() as book:
            book.set(ANONYMOUS, "yes" if anonymous else "")
            book.record("anonymous" if anonymous else "published", who=self.state.author)
        return RedirectResponse("/", 303)


def _seen(book: Gradebook, person: Person) -> str:
    """What decisions about somebody are made on: another when that has changed."""
    row = book.rows(
        "SELECT (SELECT result FROM chosen WHERE candidate = ?1) AS result,"
        " (SELECT max(id) FROM override WHERE candidate = ?1) AS override,"
        " (SELECT count(*) FROM live_override WHERE candidate = ?1) AS live",
        person.standing.candidate,
    )[0]
    return f"{row['result'] or 0}-{row['override'] or 0}-{row['live']}"


def _file_address(number: str, path: str, line: int | None) -> str:
    query = urlencode({"path": path, "line": line} if line else {"path": path}, errors="replace")
    return f"/candidate/{number}/file?{query}#L{line or 1}"


def _decision(book: Gradebook, person: Person, form: Form) -> tuple[int, str]:
    """Points and reason as they were typed, or those of an override that is made anew, word by word."""
    if renew := form.get("renew", ""):
        number = int(renew) if renew.isascii() and renew.isdigit() and len(renew) < 12 else 0
        for row in book.rows(
            "SELECT points, reason FROM override WHERE id = ? AND candidate = ?",
            *(number, person.standing.candidate),
        ):
            return row["points"], row["reason"]
        raise UsageError(f"there is no override {one_line(renew)} of this candidate")
    return twentieths_of(form.get("points", "")), form.get("reason", "")


def _last_event(book: Gradebook) -> int:
    return int(book.rows("SELECT coalesce(max(id), 0) FROM event")[0][0])


def _back(address: str, target_: str) -> Response:
    anchor = templates.word(target_)
    return RedirectResponse(f"{address}#c-{anchor}" if anchor else address, 303)


def _attachment(data: bytes, name: str, kind: str) -> Response:
    """Never shown by the browser that is let in here: it could be a page of somebody else's making."""
    return Response(
        data,
        media_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )
