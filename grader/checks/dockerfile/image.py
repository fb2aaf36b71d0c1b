"""The files that an image would contain: every COPY followed from stage to stage.

Only files that come from the build context are followed; what a RUN makes is not known.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.dockerfile.facts import Dockerfile, Instruction, Stage, assignments, expand
from grader.readers.shell.parser import Command, commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.dockerfile.build_context import BuildContext

_USUAL_DIRECTORIES = frozenset(
    "/" + name for name in ("", "bin", "etc", "home", "mnt", "opt", "root", "srv", "tmp", "usr", "var")
) | {"/usr/local", "/usr/src", "/usr/bin", "/usr/local/bin"}
"""What any base image has."""
_REMOTE = re.compile(r"(https?|git|ssh)://|git@")


@dataclass(slots=True)
class Image:
    """The state of an image after some instructions."""

    files: dict[str, str] = field(default_factory=dict)
    """Path in the image -> path in the build context, or the key of a text in `written`."""
    written: dict[str, str] = field(default_factory=dict)
    """What heredocs of COPY hold, and what RUNs print into files; shared by all images of a Dockerfile."""
    directories: set[str] = field(default_factory=lambda: set(_USUAL_DIRECTORIES))
    workdir: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    """ENV, and ARG as far as declared."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    command_line: int = 0
    own_command: bool = False
    """CMD stands in this very stage."""
    shell: tuple[str, ...] = ("/bin/sh", "-c")

    def path(self, text: str, start: str | None = None) -> str:
        """Make a path absolute and normalize it."""
        base = self.workdir if start is None else start
        parts: list[str] = []
        for part in PurePosixPath(base, text or ".").parts[1:]:
            if part == "..":
                parts[-1:] = []
            else:
                parts.append(part)
        return "/" + "/".join(parts)

    def is_directory(self, path: str) -> bool:
        """Whether a directory is known to be there."""
        return path in self.directories or any(name.startswith(path.rstrip("/") + "/") for name in self.files)

    def below(self, path: str) -> tuple[tuple[str, str], ...]:
        """Files at or below a path: what is left of their path, and where they come from."""
        if path in self.files:
            return ((PurePosixPath(path).name, self.files[path]),)
        prefix = path.rstrip("/") + "/"
        return tuple(
            (name[len(prefix) :], source) for name, source in self.files.items() if name.startswith(prefix)
        )

    @property
    def argv(self) -> tuple[str, ...]:
        """What a container of the image runs."""
        return (*self.entrypoint, *self.command)


@dataclass(frozen=True, slots=True)
class Ran:
    """One command of a RUN, with the files that are there for it."""

    command: Command
    image: Image
    cwd: str
    line: int


_WRITES = re.compile(
    r"\bcat\s{1,9}(?:>\s{0,9}(?P<to>[^\s;&|<>]{1,500})\s{1,9}<<-?\s{0,9}['\"]?(?P<name>\w{1,99})"
    r"|<<-?\s{0,9}['\"]?(?P<first>\w{1,99})['\"]?\s{0,9}>\s{0,9}(?P<last>[^\s;&|<>]{1,500}))"
)
"""A RUN that writes a heredoc to a file: `cat <<EOF > /start`, `cat > /start <<EOF`."""
_PRINTS = re.compile(
    r"\b(?:printf|echo)\s{1,9}(?:-[en]{1,2}\s{1,9})?"
    r"(?:'(?P<single>[^']{1,4000})'|\"(?P<double>(?:[^\"\\]|\\.){1,4000})\")"
    r"\s{0,9}(?P<how>>{1,2})\s{0,9}(?P<to>[^\s;&|<>]{1,500})",
    re.DOTALL,
)
"""A RUN that prints text to a file: `printf '#!/bin/sh\\n…' > /start`, `echo "…" >> /start`."""
MAX_SHEBANG = 200
MAX_PLACED = 50_000
"""Files that all COPY together may put: beyond, nothing more is followed."""
MAX_WRITES = 200
"""Files that RUNs write, and lines that they add to them, which are followed."""
MAX_WRITTEN = 20_000
"""Characters of a file that RUNs write, which is followed."""
MAX_CARRIED = 1_000_000
"""The same for files that are carried on, from stage to stage and into each RUN."""


class Builder:
    """Follows the instructions of a Dockerfile, without running any."""

    def __init__(self, dockerfile: Dockerfile, context: BuildContext, *, certain: Sequence[str] = ()) -> None:
        self._dockerfile = dockerfile
        self._context = context
        self._certain = frozenset(certain)
        """Files taken for there when they are named outright: whether they are is another question."""
        self._images: dict[int, Image] = {}
        self._written: dict[str, str] = {}
        self._placeable = MAX_PLACED
        self._carriable = MAX_CARRIED
        self._asked: dict[int, list[tuple[str, int]]] = {}
        self.ran: list[tuple[Stage, Ran]] = []
        for stage in dockerfile.stages:
            self._images[stage.index] = self._build(stage)

    def asked(self, stage: Stage) -> tuple[tuple[str, int], ...]:
        """What a stage copies out of the build context, with the line."""
        return tuple(self._asked.get(stage.index, ()))

    def image(self, stage: Stage) -> Image:
        """The image at the end of a stage."""
        return self._images[stage.index]

    def _build(self, stage: Stage) -> Image:
        image = Image(written=self._written)
        if stage.parent is not None:
            image = self._copied(self._images[stage.parent])
            image.own_command = False
        for instruction in stage.instructions:
            self._apply(stage, image, instruction)
        return image

    def _copied(self, image: Image) -> Image:
        self._carriable -= len(image.files) + len(image.directories) + len(image.variables)
        if self._carriable < 0:
            return Image()
        return replace(
            image,
            files=dict(image.files),
            directories=set(image.directories),
            variables=dict(image.variables),
        )

    def _apply(self, stage: Stage, image: Image, instruction: Instruction) -> None:
        match instruction.name:
            case "ARG":
                declared = {
                    name: stage.arguments[name] for name in instruction.value if name in stage.arguments
                }
                image.variables |= declared | assignments(instruction, image.variables)
            case "ENV":
                image.variables |= assignments(instruction, image.variables)
            case "WORKDIR":
                image.workdir = image.path(expand(" ".join(instruction.value), image.variables))
                image.directories.add(image.workdir)
            case "COPY" | "ADD" if len(instruction.value) > 1:
                self._copy(stage, image, instruction)
            case "RUN":
                self._run(stage, image, instruction)
            case "SHELL":
                image.shell = instruction.value
            case "CMD" | "ENTRYPOINT":
                _set_command(image, instruction)

    def _copy(self, stage: Stage, image: Image, instruction: Instruction) -> None:
        *sources, destination = (expand(word, image.variables) for word in instruction.value)
        heredocs = dict(instruction.heredocs)
        target = image.path(destination)
        into = destination.endswith(("/", "/.")) or destination in (".", "..") or len(sources) > 1
        for source in sources:
            if _REMOTE.match(source):
                continue
            if source.startswith("<<") and (name := source.lstrip("<-")) in heredocs:
                key = f"{instruction.line}:{source}"
                image.written[key] = heredocs[name]
                image.files[_joined(target, name if into or image.is_directory(target) else "")] = key
                continue
            kind, found = self._found(stage, image, instruction, source)
            if kind == "file" and not (into or image.is_directory(target)):
                found = tuple((origin, "") for origin, _ in found)
            keeps = instruction.flag("parents") is not None
            start = image.path(posixpath.dirname(source.strip("/")), target) if keeps else target
            for origin, rest in found:
                image.files[_joined(start, rest)] = origin

    def _found(
        self, stage: Stage, image: Image, instruction: Instruction, source: str
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What a source stands for: `file`, `directory`, `glob` or nothing, and (origin, rest of path)s."""
        kind, found = self._looked_up(stage, image, instruction, source)
        self._placeable -= len(found)
        return (kind, found) if self._placeable >= 0 else ("", ())

    def _looked_up(
        self, stage: Stage, image: Image, instruction: Instruction, source: str
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        name = instruction.flag("from")
        if name is None:
            self._asked.setdefault(stage.index, []).append((source, instruction.line))
            kind, found = self._context.source(source)
            plain = source.removeprefix("./").lstrip("/")
            if not kind and plain in self._certain:
                return "file", ((plain, PurePosixPath(plain).name),)
            return kind, found
        other = self._dockerfile.stage(
            expand(name, image.variables | dict(stage.arguments)), before=stage.index
        )
        if other is None:
            return "", ()
        there = self._images[other.index]
        path = there.path(source, "/")
        kind = "file" if path in there.files else "directory"
        return kind, tuple((origin, rest) for rest, origin in there.below(path))

    def _run(self, stage: Stage, image: Image, instruction: Instruction) -> None:
        seen = self._copied(image)
        for name, value in instruction.flags:
            if name == "mount":
                self._mount(stage, seen, value, instruction.line)
        cwd = image.workdir
        for number, (to, text, adds) in enumerate(_written(instruction)):
            if len(image.written) >= MAX_WRITES:
                break
            path = image.path(expand(to, image.variables))
            before = image.written.get(image.files.get(path, ""), "") if adds else ""
            key = f"{instruction.line}:{number}:{path}"
            image.written[key] = (before + text)[:MAX_WRITTEN]
            image.files[path] = key
        for command in run_commands(instruction, image):
            line = instruction.line + command.line - 1
            self.ran.append((stage, Ran(command, seen, cwd, line)))
            if command.program == "cd" and command.arguments:
                cwd = image.path(command.arguments[0], cwd)
            for path, origin in _moved(command, seen, cwd):
                image.files[path] = seen.files[path] = origin
        image.directories |= seen.directories

    def _mount(self, stage: Stage, seen: Image, value: str, line: int) -> None:
        pairs = (part.strip().strip('"').partition("=") for part in value.split(","))
        options = {key.lower(): expand(text, seen.variables) for key, _, text in pairs}
        if options.get("type", "bind") != "bind":
            return
        target = seen.path(options.get("target") or options.get("dst") or options.get("destination") or "/")
        source = options.get("source") or options.get("src") or "."
        flags = (("from", options["from"]),) if "from" in options else ()
        kind, found = self._found(stage, seen, Instruction("RUN", flags, (), False, line), source)
        for origin, rest in found:
            seen.files[target if kind == "file" else _joined(target, rest)] = origin


def _joined(directory: str, rest: str) -> str:
    """Join paths as PurePosixPath does, but ten times as fast."""
    return directory.rstrip("/") + "/" + rest if rest else directory


def run_commands(instruction: Instruction, image: Image) -> tuple[Command, ...]:
    """The commands of a RUN, in exec form, shell form or heredocs."""
    known = image.variables
    if instruction.json:
        return commands(quoted(instruction.value), known)
    script = " ".join(instruction.value)
    bodies = [content for _, content in instruction.heredocs]
    if bodies and re.fullmatch(r"\s*<<-?\s*\S+\s*", script):
        program = interpreter(bodies[0])
        return () if program and not program.endswith("sh") else commands("\n" + bodies[0], known)
    closed = "".join(f"\n{content}{name}" for name, content in instruction.heredocs)
    return commands(script + closed, known)


def interpreter(script: str) -> str:
    """What a script's first line names; empty where it names nothing."""
    found = re.match(r"#!\s*(?:/usr/bin/env\s+)?\S*?(\w+)\s*\n", script[:MAX_SHEBANG])
    return found[1] if found else ""


def quoted(words: Sequence[str]) -> str:
    """Words as a script, so that nothing in them is taken for syntax."""
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


def _written(instruction: Instruction) -> Iterator[tuple[str, str, bool]]:
    """Files that a RUN writes itself: where, what, and whether it adds to what is there."""
    script = " ".join(instruction.value)
    heredocs = dict(instruction.heredocs)
    for found in _WRITES.finditer(script) if heredocs else ():
        if (name := found["name"] or found["first"]) in heredocs:
            yield found["to"] or found["last"], heredocs[name], False
    for found in _PRINTS.finditer(script):
        text = found["single"] or re.sub(r"\\([\"$`\\])", r"\1", found["double"])
        yield found["to"], text.replace("\\n", "\n") + "\n", found["how"] == ">>"


def _moved(command: Command, seen: Image, cwd: str) -> Iterator[tuple[str, str]]:
    """Files that `cp` or `mv` puts somewhere else; `mkdir` is noted."""
    plain = [word for word in command.arguments if not word.startswith("-")]
    if command.program == "mkdir":
        seen.directories |= {seen.path(word, cwd) for word in plain}
    if command.program not in ("cp", "mv", "install") or len(plain) < 2:
        return
    *sources, target = (seen.path(word, cwd) for word in plain)
    into = seen.is_directory(target) or plain[-1].endswith(("/", "."))
    for source in sources:
        name = PurePosixPath(source).name
        single = source in seen.files
        for rest, origin in list(seen.below(source)):
            inside = "" if single else rest
            yield seen.path(f"{name}/{inside}".rstrip("/") if into else inside, target), origin


def _set_command(image: Image, instruction: Instruction) -> None:
    words = instruction.value if instruction.json else (*image.shell, " ".join(instruction.value))
    image.command_line = instruction.line
    if instruction.name == "CMD":
        image.command, image.own_command = words, True
        return
    # The shell form passes no CMD on, and an ENTRYPOINT drops the CMD of the image it builds on.
    image.entrypoint = words
    if not image.own_command:
        image.command = ()
