"""Where a submission records shell commands: scripts, recipes, notes, READMEs, notebooks."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from typing import TYPE_CHECKING

from grader.documents import SourceFile, parse_json
from grader.readers.makefile import recipe_lines
from grader.readers.python.module import Module
from grader.readers.shell.prompts import read_administrator, read_session, with_slashes, without_prompt
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from grader.submission.model import Submission

SCRIPTS = ("*.sh", "*.bash", "*.zsh", "*.ksh", "*.fish")
WINDOWS_SCRIPTS = ("*.ps1", "*.bat", "*.cmd")
RECIPES = ("Makefile", "makefile", "GNUmakefile", "*.mk")
NOTES = ("*.md", "*.markdown", "*.txt", "*.rst", "*.adoc", "*.org", "*.log", "README", "COMMANDS", "commands")
MAX_FILES = 2_000
"""Files that may hold commands and are read, the likeliest first."""
MAX_CHARACTERS = 256_000
"""Characters of one file of notes that are read."""
MAX_LINE = 2_000
MAX_PARAGRAPH = 10_000
MAX_SPANS = 50
"""Inline code on one line, and in one paragraph, that is read."""

_WINDOWS_SHELLS = frozenset(
    ["powershell", "pwsh", "posh", "ps1", "ps", "ps1con", "cmd", "bat", "batch", "batchfile", "dos", "doscon"]
)
_SESSIONS = frozenset(
    [
        *("", "console", "terminal", "term", "text", "txt", "plaintext", "plain", "none", "output", "log"),
        *("shell-session", "shellsession", "sh-session", "bash-session", "session", "prompt"),
    ]
)
_SHELLS = frozenset(
    [
        *(
            "bash",
            "sh",
            "shell",
            "zsh",
            "fish",
            "ksh",
            "csh",
            "tcsh",
            "ash",
            "dash",
            "shellscript",
            "shell_script",
        ),
        *("nu", "nushell", "xonsh", "cli", "command", "commands", "command-line", "commandline"),
    ]
)
_OF_TOOLS = re.compile(r"file$|^LICENSE$|^CODEOWNERS$|^MLmodel$|^MLproject$")
_OF_BATCH = re.compile(r"^[\s@&]*(?:call\s+)?", re.IGNORECASE)
"""What stands in front of commands in scripts of Windows."""
# How deep a fence stands is free. For Markdown, one that is not as deep as its list ends with it, and the
# line that was meant to close it opens another: a parser of Markdown loses commands that a reader sees.
_FENCE = re.compile(r"(?>(?:\s*(?:[-*+]\s|\d+[.)]\s|>))*)\s*(```+|~~~+)\s*\{?\.?([\w-]*)")
_QUOTED = re.compile(r"^(?>(?:\s*>)+) ?")
_BULLET = re.compile(r"^\s*(?:>\s*)?(?:[-*+•]|\d+[.):]|\d+\*?(?=\s\s)|step\s+\d+[.):])\s+", re.IGNORECASE)
"""Also the numbers that a shell's history has in front."""
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_WRAPPED = re.compile(r"[ \t]*\n(?>(?:\s*>)*)[ \t]*")
_NEGATED = re.compile(
    r"\b(?:not|never|cannot|without|instead of|rather than|skip(?:ped|s)?|no need|avoid|todo|forgot)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
_OPENS, _CLOSES = "<!--", "-->"
_CALLS = frozenset(
    {"run", "call", "check_call", "check_output", "Popen", "system", "getoutput", "sh", "popen"}
)

_UNTOLD = "$_"
"""What only a run would tell is a word all the same."""

Script = tuple[str, int]
"""Shell text, and the line of the file that it begins on."""


def scripts(submission: Submission) -> Iterator[tuple[SourceFile, Script]]:
    """What reads as shell commands that somebody ran or would run, in the files that are read."""
    for file in candidates(submission)[:MAX_FILES]:
        for script in of(file):
            yield file, script


def candidates(submission: Submission) -> list[SourceFile]:
    """The files that may hold shell commands, the likeliest first."""
    files = (file for file in submission.matching("*") if ".git" not in file.path.parts)
    return by_likelihood(file for file in files if _may_hold_commands(file.path))


def _may_hold_commands(path: PurePosixPath) -> bool:
    named = (*RECIPES, *NOTES, *SCRIPTS, *WINDOWS_SCRIPTS, "*.py", "*.ipynb")
    return not path.suffix or any(path.match(pattern) for pattern in named)


def of(file: SourceFile) -> Iterator[Script]:
    """The shell commands in one file."""
    kind = _kind(file)
    if not kind or not isinstance(file.text, str):
        return
    match kind:
        case "script":
            yield file.text, 1
        case "script of Windows":
            yield "\n".join(with_slashes(_OF_BATCH.sub("", line)) for line in file.text.splitlines()), 1
        case "recipes":
            yield from recipe_lines(file.text)
        case "notes":
            yield from notes(file.text)
        case "python":
            yield from _python(file)
        case "notebook":
            yield from _notebook(file.text)


def _kind(file: SourceFile) -> str:
    path = file.path
    if any(path.match(pattern) for pattern in RECIPES):
        return "recipes"
    if any(path.match(pattern) for pattern in NOTES):
        return "notes"
    if any(path.match(pattern) for pattern in SCRIPTS):
        return "script"
    if any(path.match(pattern) for pattern in WINDOWS_SCRIPTS):
        return "script of Windows"
    if not path.suffix and isinstance(file.text, str) and re.match(r"#!.*\b(?:ba|z|da|k)?sh\b", file.text):
        return "script"
    # `HOWTO`, `INSTALL`: what has no ending, no first line of a program and no name of a tool is notes.
    noted = not path.suffix and not path.name.startswith(".") and not _OF_TOOLS.search(path.name)
    return {".py": "python", ".ipynb": "notebook"}.get(path.suffix, "notes" if noted else "")


def _uncommented(text: str) -> str:
    """The text without HTML comments, its lines in their places; a pattern would look for each end anew."""
    kept, place = list[str](), 0
    while (start := text.find(_OPENS, place)) >= 0 and (end := text.find(_CLOSES, start)) >= 0:
        kept += [text[place:start], "\n" * text.count("\n", start, end)]
        place = end + len(_CLOSES)
    return "".join((*kept, text[place:]))


def notes(text: str) -> Iterator[Script]:
    """Fenced blocks whole; elsewhere, lines and inline code that are commands and not advised against."""
    text = _uncommented(text[:MAX_CHARACTERS])
    fence, language, block, start, prose = "", "", list[str](), 1, list[tuple[int, str]]()
    quoted = False
    for number, line in enumerate(text.splitlines(), start=1):
        match = _FENCE.match(line)
        if not fence and match:
            yield from _prose(prose)
            prose, block, start = [], [], number + 1
            fence, language, quoted = match[1], match[2].lower(), _QUOTED.match(line) is not None
        elif fence and match and match[1].startswith(fence) and not match[2]:
            yield from _block(block, start, language)
            fence = ""
        elif fence:
            block.append(_QUOTED.sub("", line) if quoted else line)
        else:
            prose.append((number, line))
    yield from _block(block, start, language) if fence else _prose(prose)


def _block(lines: list[str], start: int, language: str) -> Iterator[Script]:
    """A fenced block; where it has prompts, what stands without one is output."""
    if language in _WINDOWS_SHELLS:
        yield "\n".join(map(with_slashes, read_session(lines))), start
    elif language in _SHELLS or language in _SESSIONS:
        yield "\n".join(read_session(lines)), start
        if language in _SESSIONS and (commands := read_administrator(lines)):
            yield "\n".join(commands), start


def _prose(lines: list[tuple[int, str]]) -> Iterator[Script]:
    goes_on = False
    script: list[str] = []
    for number, line in lines:
        plain = line if goes_on else without_prompt(_BULLET.sub("", line))
        if goes_on:
            script.append(plain)
        elif not _NEGATED.search(line) and "`" not in line:
            script = [plain]
        else:
            script = []
        goes_on = bool(script) and plain.endswith("\\")
        if script and not goes_on:
            yield "\n".join(script).strip(), number - len(script) + 1
    yield from _spans(lines)


def _spans(lines: list[tuple[int, str]]) -> Iterator[Script]:
    """Inline code, which may go on in the next line, unless its sentence says not to."""
    for first, text in _paragraphs(lines):
        for match in _inline_code(text):
            place, number = match.start(), text.count("\n", 0, match.start())
            begin, end = text.rfind("\n", 0, place) + 1, text.find("\n", match.end())
            end = len(text) if end < 0 else end
            # The sentence may have begun a line above, and ends with the line.
            above = _SPAN.sub("", text[text.rfind("\n", 0, max(0, begin - 1)) + 1 : begin])[-MAX_LINE:]
            before = re.split(r"[.!?;:]\s", above + text[max(begin, place - MAX_LINE) : place])[-1]
            after = re.split(r"[.!?;](?:\s|$)", text[match.end() : end][:MAX_LINE])[0]
            if not any(map(_NEGATED.search, (before, after))) and "todo" not in text[begin:end].lower():
                yield _WRAPPED.sub(" ", match[2]).strip().removeprefix("$ "), first + number


def _inline_code(text: str) -> list[re.Match[str]]:
    """Inline code of a paragraph, and of each line by itself: a lone backtick shifts all that follow."""
    found, place = {match.span(): match for match in itertools.islice(_SPAN.finditer(text), MAX_SPANS)}, 0
    for line in text.split("\n"):
        behind = place + len(line)
        inside = _SPAN.finditer(text, place, min(behind, place + MAX_LINE))
        found |= {match.span(): match for match in itertools.islice(inside, MAX_SPANS)}
        place = behind + 1
    return [match for _, match in sorted(found.items())]


def _paragraphs(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that stand together, up to a blank one or an item of a list, with the number of the first."""
    first, size, paragraph = 0, 0, list[str]()
    for number, line in lines:
        if paragraph and (not line.strip() or _BULLET.match(line) or size + len(line) > MAX_PARAGRAPH):
            yield first, "\n".join(paragraph)
            size, paragraph = 0, []
        if not paragraph:
            first = number
        paragraph.append(line[:MAX_PARAGRAPH])
        size += len(line)
    if paragraph:
        yield first, "\n".join(paragraph)


def _python(file: SourceFile) -> Iterator[Script]:
    """What a Python script hands to subprocess or the shell."""
    if not isinstance(file.python, ast.Module):
        return
    module = Module(file)
    for node in ast.walk(file.python):
        if isinstance(node, (ast.List, ast.Tuple)):
            words = module.constant(node)
            if isinstance(words, list) and words[:1] and isinstance(words[0], str):
                yield shlex.join(word if isinstance(word, str) else _UNTOLD for word in words), node.lineno
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for item in node.args[:1] if name in _CALLS else []:
                if text := _text(module, _unsplit(item)):
                    yield text, node.lineno


def started(module: Module) -> Iterator[tuple[str, bool]]:
    """What a Python script starts, and whether it stops where that fails.

    `subprocess.run([…])`, `os.system("…")`, `session.run("black", ".")`, and the like.
    """
    for call in module.calls():
        owner, _, name = call.name.rpartition(".")
        if name not in _CALLS or not owner or not call.node.args:
            continue
        checked = name in ("check_call", "check_output") or call.value("check") is True
        first = call.node.args[0]
        words = module.constant(first)
        if isinstance(words, list | tuple):
            yield shlex.join(word if isinstance(word, str) else _UNTOLD for word in words), checked
        elif " " in (text := _text(module, _unsplit(first))):
            yield text, checked
        else:
            values = [module.constant(argument) for argument in call.node.args]
            yield shlex.join(word for word in values if isinstance(word, str)), checked


def _text(module: Module, node: ast.expr) -> str:
    """The text that an expression makes, as far as the file tells; empty if it makes none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(module, part) or _UNTOLD for part in node.values)
    value = module.constant(node.value if isinstance(node, ast.FormattedValue) else node)
    return value if isinstance(value, str) else ""


def _unsplit(node: ast.expr) -> ast.expr:
    """The text in `shlex.split("dvc push")` and in `"dvc push".split()`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="split", value=(ast.Constant() | ast.JoinedStr()) as text)):
            return text
        case ast.Call(func=ast.Attribute(attr="split"), args=[text]):
            return text
    return node


def _notebook(text: str) -> Iterator[Script]:
    try:
        cells = parse_json(text).get("cells", [])
    except (ValueError, AttributeError):
        return
    for cell in cells if isinstance(cells, list) else ():
        if not isinstance(cell, dict):
            continue
        source = cell.get("source")
        lines = source if isinstance(source, list) else [source]
        content = "".join(line for line in lines if isinstance(line, str))
        if cell.get("cell_type") == "markdown":
            yield from ((script, 1) for script, _ in notes(content))
        elif content.startswith(("%%bash", "%%sh", "%%script")):
            yield content.partition("\n")[2], 1
        else:
            said = (line.strip() for line in content.splitlines())
            yield from ((line[1:].strip(), 1) for line in said if line.startswith(("!", "%")))
