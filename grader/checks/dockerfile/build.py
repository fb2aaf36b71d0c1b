"""Whether an image builds: the request to the engine, and the outcome that follows from its answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.checks.dockerfile.facts import Dockerfile, Instruction, Stage, expand
from grader.results import Evidence, Finding, Outcome, failed, passed
from grader.runtime.sandbox.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from grader.checks.dockerfile.build_context import BuildContext
    from grader.context import Context
    from grader.docker_engine import Engine
    from grader.runtime.image_build.request import Built, Request, Step

MAX_LINES = 15
MAX_REASON = 300
_ONLY_BUILDKIT = {
    "RUN": frozenset({"mount", "network", "security", "device"}),
    "COPY": frozenset({"link", "chmod", "parents", "exclude"}),
    "ADD": frozenset({"link", "chmod", "checksum", "keep-git-dir", "exclude", "unpack"}),
}
"""Flags that the classic builder refuses."""
_NEEDS_ENGINE = {"heredoc": 23, "link": 23, "keep-git-dir": 23, "checksum": 24, "parents": 29, "exclude": 29}
"""Engines that know these without a frontend that the file names; others take them for mistakes."""
_OF_THE_BUILDER = re.compile(r" ---> |#\d+ sha256:")
"""Lines that differ from build to build."""
_SYNTAX = re.compile(r"#\s*syntax\s*=\s*(\S+)", re.IGNORECASE)


def verdict(built: Built, dockerfile: Dockerfile, by_reading: Outcome) -> Outcome:
    """Turn a build's result into an outcome: `by_reading`, with a reason, if the engine could not build."""
    from grader.runtime.image_build import worker as build_work

    reason = plain(built.reason).strip()[:MAX_REASON]
    if built.outcome == build_work.UNDECIDED:
        return read_instead(by_reading, reason)
    if built.outcome == build_work.BUILT:
        return passed(evidence=Evidence.RUNS)
    lines = [line for line in plain(built.log).rstrip().splitlines() if not _OF_THE_BUILDER.match(line)]
    return failed(
        Finding(
            message=f"the image does not build: {reason}",
            where=dockerfile.file.where(built.line or None),
            detail="\n".join(lines[-MAX_LINES:]),
        ),
        evidence=Evidence.RUNS,
    )


def read_instead(by_reading: Outcome, reason: str) -> Outcome:
    """Return the outcome of reading, with a remark why nothing was built."""
    remark = Finding(message=f"the Dockerfile was only read, not built: {reason}")
    return Outcome(by_reading.verdict, (*by_reading.findings, remark), Evidence.STATIC)


def request(
    context: Context,
    dockerfile: Dockerfile,
    files: BuildContext,
    *,
    keep: Sequence[str],
    control: Sequence[str],
) -> Request:
    """Make the request to the engine. Stages that the image does not need are left out, as BuildKit does."""
    from grader.runtime.image_build.request import Request

    needed = needed_stages(dockerfile)
    buildkit = any(_takes_buildkit(each) for stage in needed for each in stage.instructions)
    images = list(outside_images(dockerfile, needed))
    if buildkit and (frontend := _frontend(_text(dockerfile))):
        images.append(frontend)
    return Request(
        files=_files(context, dockerfile, files),
        dockerfile=dockerfile.file.name,
        steps=tuple(_steps(dockerfile, needed)),
        images=tuple(dict.fromkeys(images)),
        buildkit=buildkit,
        keep=tuple(image for image in images if image.partition(":")[0].partition("@")[0] in keep),
        control=tuple(control),
    )


def too_new(dockerfile: Dockerfile, engine: Engine) -> str:
    """List features that the engine's BuildKit is too old for; empty if the file names its own frontend."""
    if _frontend(_text(dockerfile)):
        return ""
    major = int(engine.version.partition(".")[0]) if engine.version[:1].isdigit() else 0
    instructions = [each for stage in needed_stages(dockerfile) for each in stage.instructions]
    used = {name for each in instructions for name, _ in each.flags}
    used |= {"heredoc"} if any(each.heredocs for each in instructions) else set()
    return ", ".join(sorted(name for name in used if _NEEDS_ENGINE.get(name, 0) > major))


def needed_stages(dockerfile: Dockerfile, wanted: Stage | None = None) -> tuple[Stage, ...]:
    """List a stage, by default the final one, and every stage that it needs, in order."""
    found: dict[int, Stage] = {}
    waiting = [wanted or dockerfile.stages[-1]]
    while waiting:
        stage = waiting.pop()
        if stage.index in found:
            continue
        found[stage.index] = stage
        if stage.parent is not None:
            waiting.append(dockerfile.stages[stage.parent])
        for source, _ in sources(stage):
            if (earlier := dockerfile.stage(source, before=stage.index)) is not None:
                waiting.append(earlier)
    return tuple(found[index] for index in sorted(found))


def sources(stage: Stage) -> Iterator[tuple[str, int]]:
    """What a stage copies or mounts from: a stage's name or index, or an image; with the line."""
    for instruction in stage.instructions:
        if instruction.name == "COPY" and (source := instruction.flag("from")):
            yield expand(source, stage.arguments), instruction.line
        for name, value in instruction.flags:
            found = re.search(r"(?:^|,)\s*from=([^,]+)", value) if name == "mount" else None
            if found:
                yield expand(found[1], stage.arguments), instruction.line


def outside_images(dockerfile: Dockerfile, stages: Sequence[Stage]) -> Iterator[str]:
    """The images that stages are built from or copy from."""
    for stage in stages:
        if stage.parent is None and stage.image not in ("", "scratch"):
            yield stage.image
    for stage in stages:
        for source, _ in sources(stage):
            if source and dockerfile.stage(source, before=stage.index) is None:
                yield source


def _takes_buildkit(instruction: Instruction) -> bool:
    flags = {name for name, _ in instruction.flags}
    return bool(instruction.heredocs) or not flags.isdisjoint(_ONLY_BUILDKIT.get(instruction.name, ()))


def _frontend(text: str) -> str:
    """The image that `# syntax=` names, which only counts among the comments at the very top."""
    for line in text.removeprefix("\ufeff").split("\n"):
        if found := _SYNTAX.match(line.strip()):
            return found[1]
        if not re.match(r"\s*#\s*\w+\s*=", line):
            break
    return ""


def _text(dockerfile: Dockerfile) -> str:
    text = dockerfile.file.text
    return text if isinstance(text, str) else ""  # it was parsed, so it is text


def _files(context: Context, dockerfile: Dockerfile, files: BuildContext) -> dict[str, Path]:
    """The files of the context; given data replaces the candidate's copies of it."""
    submission = context.submission
    kept = (path for path in files.files if path != dockerfile.file.name)
    found = {path: submission.given.get(path) or submission.root / path for path in kept}
    own_ignore = f"{dockerfile.file.name}.dockerignore"
    if submission.file(own_ignore) is not None:
        found.pop(".dockerignore", None)  # it does not count, and the classic builder would not know
    return found


def _steps(dockerfile: Dockerfile, needed: Sequence[Stage]) -> Iterator[Step]:
    """The Dockerfile's instructions as they are sent, with places for a mark after each FROM."""
    from grader.runtime.image_build.request import Step

    lines = _text(dockerfile).split("\n")
    starts = [*dockerfile.arguments_at, *(each for stage in dockerfile.stages for each in _starts(stage))]
    ends = [*starts[1:], len(lines) + 1]
    texts = {
        start: "\n".join(lines[start - 1 : end - 1]) + "\n" for start, end in zip(starts, ends, strict=True)
    }
    header = "\n".join(lines[: starts[0] - 1]) + "\n" if starts[0] > 1 else ""
    for number, start in enumerate(dockerfile.arguments_at):
        yield Step(("" if number else header) + texts[start], start)
    for stage in dockerfile.stages:
        opening = header if stage.index == 0 and not dockerfile.arguments_at else ""
        if stage not in needed:
            yield Step(f"{opening}FROM scratch{f' AS {stage.name}' if stage.name else ''}\n", stage.line)
            yield Step("")
            continue
        yield Step(opening + texts[stage.line], stage.line)
        yield Step("")
        for instruction in stage.instructions:
            yield Step(texts[instruction.line], instruction.line)


def _starts(stage: Stage) -> Iterator[int]:
    yield stage.line
    for instruction in stage.instructions:
        yield instruction.line
