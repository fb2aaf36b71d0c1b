"""What a form sent, with bounds on all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

MAX_FIELDS = 50
MAX_VALUE = 2**14
TYPE = "application/x-www-form-urlencoded"

Form = dict[str, str]


async def read_form(request: Request) -> Form:
    """The fields of a form; of one that is there twice the last.

    Raises:
        UsageError: it is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        body = await request.body()
    except ClientDisconnect:
        raise UsageError("what was sent ended early, or is too long") from None
    if body and kind != TYPE:
        raise UsageError("this takes what a form sends")
    return fields(body)


def fields(body: bytes) -> Form:
    """The fields in a body or query."""
    try:
        found: Mapping[str, list[str]] = parse_qs(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise UsageError("a form of this page has fewer fields") from None
    return {name: values[-1][:MAX_VALUE] for name, values in found.items()}
