"""What an image is configured to be: its user, ports, variables, health check; and what it must not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, Example, Names, check
from grader.checks.dockerfile.build_context import BuildContext, TooMuch, ignore_patterns
from grader.checks.dockerfile.facts import assignments, expand, read_dockerfile
from grader.checks.generic.expectations import Expect, Regex, shown
from grader.checks.generic.values import Document, JsonPath, Quantifier, judge, values_at
from grader.documents import Problem
from grader.readers.regular_expressions import find
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.checks.dockerfile.facts import Dockerfile, Instruction, Stage
    from grader.context import Context
    from grader.documents import SourceFile

MAX_LISTED = 5
_FILE = """\
FROM python:3.12-slim
ENV PORT=8080
WORKDIR /app
COPY service.py .
EXPOSE $PORT
HEALTHCHECK --interval=10s CMD python -c "import service"
USER 1000:1000
CMD ["python", "service.py"]
"""
_DELIVERABLE = "deliverables: {dockerfile: {path: Dockerfile}}"


@check(
    "dockerfile.image",
    reads=read_dockerfile,
    example=Example(
        rubric=f"""
            {_DELIVERABLE}
            check: dockerfile.image
            with: {{file: dockerfile, path: $.user, expect: {{matches: "^[^0r]|^[1-9]"}}}}
        """,
        files={"Dockerfile": _FILE, "service.py": ""},
    ),
)
def dockerfile_image(
    _: Context,
    dockerfile: Dockerfile,
    *,
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in the final image's configuration is as expected.

    That is `user` (as written, without its group), `group`, `exposed` (a list of `8080/tcp`), `environment`,
    `labels`, `workdir`, `entrypoint`, `command`, `healthcheck` (`test`, a list, and its options), `volumes`,
    `stopsignal` and `base`. What a base image configures is not known; what nobody sets is left out.

    Args:
        path: a JSONPath, such as `$.environment.PYTHONUNBUFFERED` or `$.healthcheck.test`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    final = dockerfile.stages[-1]
    data, lines = configuration(dockerfile, final)
    outcome = judge((Document(dockerfile.file, data),), path, expect, quantifier)
    if not outcome.findings:
        return outcome
    found = values_at(data, path)
    key = next((key for key in data if path.startswith((f"$.{key}", f"$['{key}']"))), "")
    line = lines.get(key, final.line)
    (finding,) = outcome.findings
    there = ", ".join(data) if not found else finding.actual
    return failed(
        Finding(
            message=finding.message.replace("there is nothing at", "the image's configuration has no"),
            expected=finding.expected,
            actual=there,
            where=dockerfile.file.where(line),
        )
    )


def configuration(  # noqa: PLR0912  (one case for each instruction)
    dockerfile: Dockerfile, final: Stage
) -> tuple[dict[str, Any], dict[str, int]]:
    """An image's configuration as its Dockerfile makes it, and the line that set each key."""
    found: dict[str, Any] = {"base": dockerfile.lineage(final)[0].image}
    lines: dict[str, int] = {}
    own = False
    for stage in dockerfile.lineage(final):
        known: dict[str, str] = dict(found.get("environment", {}))
        own = False
        for instruction in stage.instructions:
            values = [expand(word, known) for word in instruction.value]
            value: Any
            match instruction.name:
                case "ARG":
                    declared = {
                        name: stage.arguments[name] for name in instruction.value if name in stage.arguments
                    }
                    known |= declared | assignments(instruction, known)
                    continue
                case "ENV":
                    said = assignments(instruction, known)
                    known |= said
                    key, value = "environment", {**found.get("environment", {}), **said}
                case "LABEL":
                    pairs = zip(values[::2], values[1::2], strict=False)
                    key, value = "labels", {**found.get("labels", {}), **dict(pairs)}
                case "USER":
                    name, _, group = " ".join(values).partition(":")
                    found.pop("group", None)
                    if group:
                        found["group"], lines["group"] = group, instruction.line
                    key, value = "user", name
                case "EXPOSE":
                    ports = [port if "/" in port else f"{port}/tcp" for port in values]
                    key, value = "exposed", list(dict.fromkeys([*found.get("exposed", []), *ports]))
                case "VOLUME":
                    key, value = "volumes", list(dict.fromkeys([*found.get("volumes", []), *values]))
                case "WORKDIR":
                    path = " ".join(values)
                    base = "" if path.startswith("/") else found.get("workdir", "/").rstrip("/") + "/"
                    key, value = "workdir", base + path
                case "STOPSIGNAL":
                    key, value = "stopsignal", " ".join(values)
                case "HEALTHCHECK":
                    key, value = "healthcheck", _health_check(instruction)
                case "ENTRYPOINT":
                    key, value = "entrypoint", _command(instruction)
                    if not own:
                        found.pop("command", None)
                case "CMD":
                    key, value, own = "command", _command(instruction), True
                case _:
                    continue
            found[key], lines[key] = value, instruction.line
    return found, lines


def _command(instruction: Instruction) -> list[str]:
    if instruction.json:
        return list(instruction.value)
    return ["/bin/sh", "-c", " ".join(instruction.value)]


def _health_check(instruction: Instruction) -> dict[str, Any]:
    words = list(instruction.value)
    if words and words[0].upper() == "NONE":
        return {"test": ["NONE"]}
    words = words[1:] if words and words[0].upper() == "CMD" else words
    test = ["CMD", *words] if instruction.json else ["CMD-SHELL", " ".join(words)]
    return {"test": test, **dict(instruction.flags)}


@check(
    "dockerfile.no_secrets",
    reads=read_dockerfile,
    example=Example(
        rubric=f"""
            {_DELIVERABLE}
            check: dockerfile.no_secrets
            with: {{file: dockerfile, names: "(?i)password|secret|token|api_?key"}}
        """,
        files={"Dockerfile": _FILE, "service.py": ""},
    ),
)
def dockerfile_no_secrets(
    _: Context, dockerfile: Dockerfile, *, names: Regex, allowed: tuple[str, ...] = ()
) -> Outcome:
    """No stage has a secret in ENV or ARG, where everybody who has the image or its history can read it.

    Args:
        names: matches the names of variables that are secrets.
        allowed: names that match and are none, such as `TOKEN_URL`.
    """
    findings = [
        Finding(
            message=f"{instruction.name} {name[:100]} is a secret that the image's history keeps",
            expected="a secret mount (RUN --mount=type=secret), or a variable that is set when it runs",
            where=dockerfile.file.where(instruction.line),
        )
        for stage in dockerfile.stages
        for instruction in stage.instructions
        for name in _variables(instruction)
        if name not in allowed and find(names, name)
    ]
    return failed(*findings[:MAX_LISTED]) if findings else passed()


def _variables(instruction: Instruction) -> Iterator[str]:
    if instruction.name == "ENV":
        pairs = zip(instruction.value[::2], instruction.value[1::2], strict=False)
        yield from (name for name, value in pairs if value.strip("\"'"))
    elif instruction.name == "ARG":
        yield from (word.partition("=")[0] for word in instruction.value)


def _ignore_file(context: Context, *, file: Deliverable) -> SourceFile | Finding:
    """The ignore file of the build context."""
    source = context.deliverable(file)
    return source.text.finding("text") if isinstance(source.text, Problem) else source


@check(
    "dockerfile.ignores",
    reads=_ignore_file,
    example=Example(
        rubric="""
            deliverables: {dockerignore: {path: .dockerignore}}
            check: dockerfile.ignores
            with: {file: dockerignore, paths: [.git/config, .env], keeps: [service.py]}
        """,
        files={".dockerignore": ".git\n*.env\n.env*\n"},
    ),
)
def dockerfile_ignores(
    _: Context, source: SourceFile, *, paths: Names, keeps: tuple[str, ...] = ()
) -> Outcome:
    """`.dockerignore` keeps all of these files out of the build context, and none of those that are needed.

    Args:
        paths: files that must not be sent to the builder; they need not exist.
        keeps: files that must be sent.
    """
    assert isinstance(source.text, str)  # noqa: S101
    try:
        sent = set(BuildContext((*paths, *keeps), ignore_patterns(source.text)).files)
    except TooMuch as problem:
        return failed(Finding(message=f"{source.name} cannot be read: {problem}", where=source.name))
    wrong = [path for path in paths if path in sent]
    lost = [path for path in keeps if path not in sent]
    findings = [
        Finding(message=f"{shown(path)} is sent to the builder", expected="ignored", where=source.name)
        for path in wrong[:MAX_LISTED]
    ]
    findings += [
        Finding(message=f"{shown(path)} is ignored", expected="sent to the builder", where=source.name)
        for path in lost[:MAX_LISTED]
    ]
    return failed(*findings) if findings else passed()


CHECKS = (dockerfile_image, dockerfile_no_secrets, dockerfile_ignores)
