"""Dockerfiles: what they are built from, what they install and copy, what the image runs."""

from __future__ import annotations

import re
from functools import wraps
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.check import CheckFunction, Deliverable, check
from grader.checks.dockerfile import build as image_build
from grader.checks.dockerfile import programs as dockerfile_programs
from grader.checks.dockerfile.build_context import BuildContext, TooMuch, ignore_patterns
from grader.checks.dockerfile.facts import read_dockerfile
from grader.checks.dockerfile.image import Builder
from grader.errors import ToolMissing
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.dockerfile.facts import Dockerfile, Stage
    from grader.context import Context


def _bounded(judge: CheckFunction) -> CheckFunction:
    """A judge to which a build that cannot be followed to its end is one that fails."""

    @wraps(judge)
    def judge_bounded(context: Context, dockerfile: Dockerfile, **parameters: Any) -> Outcome:
        try:
            return judge(context, dockerfile, **parameters)
        except TooMuch as problem:
            return failed(Finding(message=f"the build cannot be followed: {problem}"))

    return judge_bounded


@check("dockerfile.base", reads=read_dockerfile)
def base(
    _: Context, dockerfile: Dockerfile, *, repositories: tuple[str, ...], tag: str, shown: str = ""
) -> Outcome:
    """Every external base image is from one of these repositories and has a matching tag.

    Args:
        repositories: image names without a tag; each is accepted.
        tag: a regular expression that the whole tag must match.
        shown: how findings name the expected image.
    """
    outside = [stage for stage in dockerfile.stages if _from_outside(dockerfile, stage)]
    wrong = [stage for stage in outside if not _is_image(stage.image, repositories, tag)]
    expected = shown or f"{repositories[0]} with a tag like {tag}"
    findings = [
        Finding(
            message=f"the base image of stage {stage.name or stage.index} is wrong",
            expected=expected,
            actual=stage.image or "no image",
            where=dockerfile.file.where(stage.line),
        )
        for stage in wrong
    ]
    if not outside:
        findings = [Finding(message="no stage has an external base image", expected=expected)]
    return failed(*findings) if findings else passed()


def _from_outside(dockerfile: Dockerfile, stage: Stage) -> bool:
    if stage.parent is not None or stage.image == "scratch":
        return False
    last = stage.index == len(dockerfile.stages) - 1
    used = any(other.parent == stage.index for other in dockerfile.stages)
    # A stage without instructions, from which others copy, is another spelling of COPY --from=<image>.
    return bool(stage.instructions) or last or used or len(dockerfile.stages) == 1


def _is_image(image: str, repositories: Sequence[str], tag: str) -> bool:
    name, _, _digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, found = last.partition(":")
    repository = re.sub(r"^(?:(?:index\.|registry-1\.)?docker\.io/)?(?:library/)?", "", head + slash + last)
    return repository in repositories and re.fullmatch(tag, found) is not None


@check("dockerfile.multistage", reads=read_dockerfile)
def multistage(_: Context, dockerfile: Dockerfile) -> Outcome:
    """The Dockerfile has two or more stages, and the final one copies from an earlier one."""
    final = dockerfile.stages[-1]
    if len(dockerfile.stages) < 2:
        return failed(
            Finding(
                message="there is only one stage",
                expected="two stages or more",
                where=_at(dockerfile, final),
            )
        )
    if any(taken for stage in dockerfile.lineage(final) for taken in _taken(dockerfile, stage)):
        return passed()
    return failed(
        Finding(
            message="the final stage copies nothing from an earlier stage",
            expected="COPY --from=<an earlier stage>",
            where=_at(dockerfile, final),
        )
    )


def _at(dockerfile: Dockerfile, stage: Stage) -> str:
    return dockerfile.file.where(stage.line)


def _taken(dockerfile: Dockerfile, stage: Stage) -> Iterator[Stage]:
    for source, _ in image_build.sources(stage):
        if (earlier := dockerfile.stage(source, before=stage.index)) is not None:
            yield earlier


def _builder(context: Context, dockerfile: Dockerfile, *certain: str) -> Builder:
    return context.memo.once(
        ("dockerfile.image", dockerfile.file.name, certain),
        lambda: Builder(dockerfile, _build_context(context, dockerfile, *certain), certain=certain),
    )


def _build_context(context: Context, dockerfile: Dockerfile, *certain: str) -> BuildContext:
    submission = context.submission
    paths = {str(path) for path in (*submission.files, *map(PurePosixPath, submission.given))} | set(certain)
    for name in (f"{dockerfile.file.name}.dockerignore", ".dockerignore"):
        if (file := submission.file(name)) is not None and isinstance(file.text, str):
            return BuildContext(tuple(sorted(paths)), ignore_patterns(file.text))
    return BuildContext(tuple(sorted(paths)))


def _path_of(context: Context, deliverable: str, path: str) -> str:
    """The deliverable's path, else the exam's: a missing one is lost under its own criterion."""
    return str(context.submission.deliverables.get(deliverable, path))


@check("dockerfile.installs", reads=read_dockerfile)
@_bounded
def installs(context: Context, dockerfile: Dockerfile, *, lock: Deliverable, path: str) -> Outcome:
    """A stage installs from the lock file, and the file is in the stage before that command.

    Args:
        path: the lock file's path in the exam, for a submission that has none.
    """
    locked = _path_of(context, lock, path)
    builder = _builder(context, dockerfile, locked)
    missing: list[Finding] = []
    for _stage, ran in builder.ran:
        for wanted in dockerfile_programs.requirement_files(ran.command):
            there = ran.image.files.get(ran.image.path(wanted, ran.cwd))
            if there is not None and _leads_to(context, there, locked):
                return passed()
            if there is None and PurePosixPath(wanted).name == PurePosixPath(locked).name:
                missing.append(
                    Finding(
                        message=f"the command installs from {wanted}, which is not there at that point",
                        expected=f"{locked} copied or mounted to that path before the command",
                        where=dockerfile.file.where(ran.line),
                    )
                )
    return failed(
        *missing or [Finding(message=f"no stage installs from {locked}", where=dockerfile.file.where())]
    )


def _leads_to(context: Context, origin: str, locked: str) -> bool:
    """Whether a requirements file is the lock file, or includes it."""
    if origin == locked:
        return True
    file = context.submission.file(origin)
    if file is None or not isinstance(file.text, str):
        return False
    return any(str(PurePosixPath(origin).parent / name) == locked for name in included_files(file.text))


def included_files(text: str) -> list[str]:
    """The files that a requirements file includes."""
    return re.findall(r"(?m)^[^\S\n]*+(?:-r|--requirement|-c|--constraint)[ =]?[^\S\n]*+(\S++)", text)


@check("dockerfile.copies", reads=read_dockerfile)
@_bounded
def copies(context: Context, dockerfile: Dockerfile, *, script: Deliverable, path: str) -> Outcome:
    """The final stage contains the script: copied by itself, with its folder, or from another stage.

    Args:
        path: the script's path in the exam, for a submission that has none.
    """
    wanted = _path_of(context, script, path)
    final = dockerfile.stages[-1]
    if wanted in _builder(context, dockerfile, wanted).image(final).files.values():
        return passed()
    return failed(
        Finding(
            message=f"{wanted} is not in the final stage",
            expected=f"COPY {wanted} …",
            where=_at(dockerfile, final),
        )
    )


@check("dockerfile.starts", reads=read_dockerfile)
@_bounded
def starts(
    context: Context,
    dockerfile: Dockerfile,
    *,
    script: Deliverable,
    path: str,
    servers: tuple[str, ...] = (),
) -> Outcome:
    """The image's CMD, or ENTRYPOINT with CMD, runs the script at the path where it was copied.

    Args:
        path: the script's path in the exam, for a submission that has none.
        servers: programs that may serve it as `module:name` instead, such as `uvicorn` and `gunicorn`.
    """
    wanted = _path_of(context, script, path)
    final = dockerfile.stages[-1]
    image = _builder(context, dockerfile, wanted).image(final)
    if not image.argv:
        return failed(
            Finding(
                message="the final stage has neither CMD nor ENTRYPOINT",
                expected=f"a CMD that runs {wanted}",
                where=_at(dockerfile, final),
            )
        )
    if wanted in dockerfile_programs.scripts_run(context.submission, image, servers):
        return passed()
    return failed(
        Finding(
            message=f"the image does not run {wanted} at the path where it was copied",
            expected=", ".join(sorted(at for at, origin in image.files.items() if origin == wanted))
            or wanted,
            actual=f"{' '.join(image.argv)} (in {image.workdir})",
            where=dockerfile.file.where(image.command_line),
        )
    )


@check("dockerfile.builds", reads=read_dockerfile, tools=("docker",), falls_back=True)
@_bounded
def builds(
    context: Context,
    dockerfile: Dockerfile,
    *,
    images: tuple[str, ...],
    keep: tuple[str, ...],
    control: tuple[str, ...],
) -> Outcome:
    """The image builds on a Docker engine. Without one, all stages and COPY sources must exist.

    Args:
        images: single words in `COPY --from` that are images rather than stages.
        keep: repositories whose images are kept on the engine after they were pulled.
        control: a command that succeeds in the base image if builds have the network they need.
    """
    by_reading = _read(context, dockerfile, images)
    if not context.runs:
        return image_build.read_instead(by_reading, "--static builds no image")
    try:
        engine = context.tools.engine()
    except ToolMissing as missing:
        return image_build.read_instead(by_reading, str(missing))
    from grader.runtime.image_build.request import build

    if new := image_build.too_new(dockerfile, engine):
        return image_build.read_instead(by_reading, f"this engine's BuildKit is too old for {new}")
    files = _build_context(context, dockerfile)
    request = image_build.request(context, dockerfile, files, keep=keep, control=control)
    return image_build.verdict(build(request, engine), dockerfile, by_reading)


def _read(context: Context, dockerfile: Dockerfile, images: Sequence[str]) -> Outcome:
    """Why a build would fail, as far as reading shows."""
    findings = [problem.finding() for problem in dockerfile.problems]
    build_context = _build_context(context, dockerfile)
    builder = Builder(dockerfile, build_context)
    for stage in dockerfile.stages:
        findings += _unknown_stages(dockerfile, stage, images)
        findings += _missing_sources(dockerfile, stage, build_context, builder)
    return failed(*findings) if findings else passed()


def _unknown_stages(dockerfile: Dockerfile, stage: Stage, images: Sequence[str]) -> Iterator[Finding]:
    for source, line in image_build.sources(stage):
        image = re.search(r"[/:.@]", source) or source in images
        if not image and dockerfile.stage(source, before=stage.index) is None:
            yield Finding(
                message=f"no earlier stage is called {source or '(empty)'}",
                expected=", ".join(
                    other.name or str(other.index) for other in dockerfile.stages[: stage.index]
                ),
                where=dockerfile.file.where(line),
            )


def _missing_sources(
    dockerfile: Dockerfile, stage: Stage, build_context: BuildContext, builder: Builder
) -> Iterator[Finding]:
    for source, line in builder.asked(stage):
        kind, _ = build_context.source(source)
        if not kind:
            plain = source.removeprefix("./").strip("/")
            hidden = any(path == plain or path.startswith(plain + "/") for path in build_context.paths)
            yield Finding(
                message=f"{source} is not in the build context"
                + (": .dockerignore excludes it" if hidden else ""),
                where=dockerfile.file.where(line),
            )


CHECKS = (base, multistage, installs, copies, starts, builds)
