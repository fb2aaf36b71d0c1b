from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.dockerfile import checks, configuration
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check
    from grader.results import Outcome


def _decide(check: Check, root: Path, text: str, *, name: str = "Dockerfile", **given: Any) -> Outcome:
    context = make_context(root, {name: text}, deliverables={"d": name})
    return decide(check, context, **dict(check.parameters.model_validate({"file": "d", **given})))


DOCKERFILE = """\
ARG TAG=3.12
FROM python:${TAG} AS base
ENV A=1 B="two words"
LABEL maintainer=me "org.version"='1'
USER root
CMD ["old"]
FROM base
ARG PORT=8080
ENV PORT=$PORT
WORKDIR /srv
WORKDIR app
EXPOSE $PORT 53/udp
VOLUME ["/data"]
HEALTHCHECK --interval=5s --retries=3 CMD curl -f localhost
STOPSIGNAL SIGINT
USER app:staff
ENTRYPOINT ["serve"]
"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.base", "python:3.12"),
        ("$.user", "app"),
        ("$.group", "staff"),
        ("$.exposed", ["8080/tcp", "53/udp"]),
        ("$.environment", {"A": "1", "B": "two words", "PORT": "8080"}),
        ("$.labels", {"maintainer": "me", "org.version": "1"}),
        ("$.workdir", "/srv/app"),
        ("$.volumes", ["/data"]),
        ("$.healthcheck", {"test": ["CMD-SHELL", "curl -f localhost"], "interval": "5s", "retries": "3"}),
        ("$.stopsignal", "SIGINT"),
        ("$.entrypoint", ["serve"]),
    ],
)
def test_what_an_image_is(tmp_path: Path, path: str, value: Any) -> None:
    given: dict[str, Any] = {"path": path, "expect": {"equals": value}}
    outcome = _decide(configuration.dockerfile_image, tmp_path, DOCKERFILE, **given)
    assert (outcome.verdict, outcome.findings) == (Verdict.PASSED, ())


def test_what_is_not_so_is_told_with_its_line(tmp_path: Path) -> None:
    given: dict[str, Any] = {"path": "$.user", "expect": {"equals": "1000"}}
    (finding,) = _decide(configuration.dockerfile_image, tmp_path, DOCKERFILE, **given).findings
    assert (finding.actual, finding.where) == ('"app"', "Dockerfile:16")
    (finding,) = _decide(configuration.dockerfile_image, tmp_path, DOCKERFILE, path="$.command").findings
    assert finding.message == "the image's configuration has no $.command"
    assert (
        _decide(configuration.dockerfile_image, tmp_path, "FROM x\n", path="$.user").verdict is Verdict.FAILED
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM",
        "FROM a\nENV " + "A$A" * 3_000 + "=1\n",
        "FROM a\nHEALTHCHECK NONE\nEXPOSE " + "9" * 5_000 + "\nUSER ::::\nLABEL a\nCMD []\n",
        "FROM a AS a\nFROM a AS a\n" * 50,
    ],
)
def test_a_hostile_dockerfile_breaks_nothing(tmp_path: Path, text: str) -> None:
    given: dict[str, Any] = {"path": "$.exposed[*]", "expect": {"equals": "80/tcp"}}
    assert _decide(configuration.dockerfile_image, tmp_path, text, **given).verdict is Verdict.FAILED
    _decide(configuration.dockerfile_no_secrets, tmp_path, text, names="A")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("FROM a\nENV DB_PASSWORD=x\n", "Dockerfile:2"),
        ("FROM a AS b\nARG API_KEY\nFROM c\n", "Dockerfile:2"),
        ("FROM a\nENV A=1 TOKEN=$X\n", "Dockerfile:2"),
        ("FROM a\nENV TOKEN_URL=x PASSWORD=\n", ""),
        ("FROM a\nRUN --mount=type=secret,id=token cat /run/secrets/token\n", ""),
    ],
)
def test_secrets(tmp_path: Path, text: str, where: str) -> None:
    given: dict[str, Any] = {"names": "(?i)password|token|api_?key", "allowed": ["TOKEN_URL"]}
    outcome = _decide(configuration.dockerfile_no_secrets, tmp_path, text, **given)
    assert [each.where for each in outcome.findings] == ([where] if where else [])


def test_a_pattern_that_is_none_is_the_authors_fault() -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        configuration.dockerfile_no_secrets.parameters.model_validate({"file": "d", "names": "("})


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (".git\n.env\n", True),
        ("*\n!app.py\n", True),
        (".git\n", False),
        ("*\n", False),
        (".git\n.env\n!.env\n", False),
        ("(" * 5_000, False),
    ],
)
def test_what_is_ignored(tmp_path: Path, text: str, right: bool) -> None:
    given: dict[str, Any] = {"paths": [".git/config", ".env"], "keeps": ["app.py"]}
    outcome = _decide(configuration.dockerfile_ignores, tmp_path, text, name=".dockerignore", **given)
    assert (outcome.verdict is Verdict.PASSED) is right


@pytest.mark.parametrize(
    ("command", "right"),
    [
        ('["uvicorn", "src.api:app", "--port", "80"]', True),
        ("exec gunicorn -k uvicorn.workers.UvicornWorker --bind 0.0.0.0:80 src.api:app", True),
        ('["uvicorn", "--app-dir", "src", "api:app"]', True),
        ('["python", "-m", "uvicorn", "src.api:app"]', True),
        ('["python", "src/api.py"]', True),
        ('["uvicorn", "api:app"]', False),
        ('["uvicorn", "src.other:app"]', False),
        ('["hypercorn", "src.api:app"]', False),
        ('["echo", "src.api:app"]', False),
    ],
)
def test_what_a_server_serves(tmp_path: Path, command: str, right: bool) -> None:
    files = {"Dockerfile": f"FROM a\nWORKDIR /app\nCOPY src src\nCMD {command}\n", "src/api.py": ""}
    context = make_context(tmp_path, files, deliverables={"d": "Dockerfile", "api": "src/api.py"})
    given = {"file": "d", "script": "api", "path": "src/api.py", "servers": ("uvicorn", "gunicorn")}
    assert (decide(checks.starts, context, **given).verdict is Verdict.PASSED) is right
