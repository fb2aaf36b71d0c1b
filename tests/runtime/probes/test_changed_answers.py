"""What answers look like that were changed on their way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grader.runtime.probes.changed_answers import changed

BODY = b'{"predictions":[0],"model_version":"\xc3\xa9"}'
HEADERS = [(b"x-a", b"1"), (b"content-length", b"42"), (b"content-type", b"application/json"), (b"x-b", b"2")]


@pytest.mark.parametrize(
    ("fault", "body", "kind"),
    [
        ({"status": 500, "body": "broken"}, b"broken", b"text/plain"),
        ({"status": 500, "body": '{"a": [1, 2]}'}, b'{"a":[1,2]}', b"application/json"),
        ({"status": 200, "drop": "predictions"}, b'{"model_version":"\xc3\xa9"}', b"application/json"),
        ({"status": 400}, BODY, b"application/json"),
    ],
)
def test_an_answer_keeps_its_form(fault: dict[str, Any], body: bytes, kind: bytes) -> None:
    start, told = changed({"type": "http.response.start", "status": 200, "headers": HEADERS}, BODY, fault)
    assert told == {"type": "http.response.body", "body": body}
    assert start == {
        "type": "http.response.start",
        "status": fault["status"],
        "headers": [
            (b"x-a", b"1"),
            (b"content-length", str(len(body)).encode()),
            (b"content-type", kind),
            (b"x-b", b"2"),
        ],
    }


def test_json_with_blanks_stays_so() -> None:
    sent = json.dumps({"predictions": [0], "version": "1", "more": [1, 2]}).encode()
    _, told = changed({"headers": []}, sent, {"status": 200, "drop": "predictions"})
    assert told["body"] == b'{"version": "1", "more": [1, 2]}'


def test_headers_that_an_answer_lacks_are_added() -> None:
    start, _ = changed({"headers": []}, b"{}", {"status": 500, "body": "broken"})
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"6")]
