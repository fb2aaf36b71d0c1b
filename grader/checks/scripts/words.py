"""The words of a command as a submission has it, with what is to be filled in and with the exam's data."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.readers.invocations import BLANK, is_blank
from grader.readers.python.parameters import CONFIGURATION, in_folder, is_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from grader.readers.python.parameters import Parameter
    from grader.submission.model import Submission

_CONFIGURATIONS = ("params", "config", "settings", "conf", "default", "train", "training")
_ADDRESSES = ("http://", "https://")
STREAM = "-"
"""Stands for standard input or output."""
_OVERRIDE = re.compile(r"([+~]{0,2}[A-Za-z_][\w.]*)=(.*)", re.DOTALL)
"""`input=data/new.csv`, as Hydra and OmegaConf take it."""
_SUFFIXES = (".yaml", ".yml", ".toml", ".json", ".ini")


def config_file(submission: Submission) -> str:
    """The file that a parameter for a configuration means: `params.yaml` before others; may be empty."""
    found = [
        path
        for path in submission.files
        if path.suffix in _SUFFIXES and path.stem.lower() in _CONFIGURATIONS and len(path.parts) <= 3
    ]
    ranked = sorted(found, key=lambda path: (_CONFIGURATIONS.index(path.stem.lower()), len(path.parts), path))
    return str(ranked[0]) if ranked else ""


def filled(
    arguments: Sequence[str],
    values: Mapping[str, str],
    takes: Sequence[Parameter],
    *,
    exists: Callable[[str], bool],
    swaps: bool,
) -> tuple[str, ...] | None:
    """The arguments with a value in the place of each blank, and with the exam's data in the place of others.

    None where nothing is known for a blank.

    Args:
        values: value by the words that name a parameter of its kind.
        takes: the program's parameters, which give positional arguments their names.
        exists: whether there is a file at a path.
        swaps: whether data that are there are exchanged, too.
    """
    left = dict(values)
    positional = [parameter.name for parameter in takes if not parameter.flag]
    words: list[str] = []
    option = ""
    number = 0
    for word in arguments:
        if option:
            words.append(_value(_name(option, takes), word, left, exists, swaps))
            option = ""
        elif word.startswith("-") and "=" in word:
            flag, _, value = word.partition("=")
            words.append(f"{flag}={_value(_name(flag, takes), value, left, exists, swaps)}")
        elif match := _OVERRIDE.fullmatch(word):
            name, value = match.groups()
            words.append(f"{name}={_value(name.lstrip('+~'), value, left, exists, swaps)}")
        elif word.startswith("-") and not _is_number(word) and word != STREAM:
            words.append(word)
            option = word if _takes_value(word, takes) else ""
        else:
            name = positional[number] if number < len(positional) else ""
            number += 1
            words.append(_value(name, word, left, exists, swaps, positional=True))
    unknown = any(BLANK in word or "$" in word for word in words)
    return None if unknown else tuple(words)


def filled_variables(
    environment: Mapping[str, str],
    values: Mapping[str, str],
    *,
    exists: Callable[[str], bool],
    swaps: bool,
) -> dict[str, str]:
    """The variables of a command, filled in as its arguments are; without those of which nothing is known."""
    left = _for_variables(values)
    found = {name: _value(name.lower(), word, left, exists, swaps) for name, word in environment.items()}
    return {name: value for name, value in found.items() if not is_blank(value)}


def _for_variables(values: Mapping[str, str]) -> dict[str, str]:
    """Without numbers: a program that has none of its own names it in full, and `ROWS_FROM` is no count."""
    return {kind: value for kind, value in values.items() if kind != CONFIGURATION and not _is_number(value)}


def values_of(names: Iterable[str], values: Mapping[str, str]) -> dict[str, str]:
    """A value for each variable whose name says of which kind it is."""
    left = _for_variables(values)
    found: dict[str, str] = {}
    for name in names:
        kind = next((kind for kind in left if is_named(name.lower(), kind)), None)
        if kind is not None:
            found[name] = left.pop(kind)
    return found


def _name(flag: str, takes: Sequence[Parameter]) -> str:
    """What an option is called, by its short name too."""
    return next((each.name for each in takes if flag in (each.flag, each.short)), flag)


def _takes_value(flag: str, takes: Sequence[Parameter]) -> bool:
    """Whether an option takes a value: one that the source does not know does, if it is a long one."""
    known = {name for parameter in takes for name in (parameter.flag, parameter.short) if name}
    return flag in known or not known or not flag.startswith("--")


def _value(
    name: str,
    word: str,
    left: dict[str, str],
    exists: Callable[[str], bool],
    swaps: bool,
    *,
    positional: bool = False,
) -> str:
    """What stands for a word: the word itself, or a value of the kind that its parameter is of."""
    bare = name.strip("-").replace("-", "_")
    said = word.removeprefix(BLANK) if word.startswith(BLANK) else PurePosixPath(word).name
    blank = is_blank(word) or (word == STREAM and positional)
    kinds = [kind for kind in left if is_named(bare, kind)] if bare else []
    if not kinds and (positional or blank or len(bare) < 2):
        kinds = [kind for kind in left if is_named(said, kind)]
    if not kinds and blank and positional:
        kinds = [kind for kind in left if kind != CONFIGURATION]
    if not kinds:
        return word
    value = in_folder(bare, left[kinds[0]])
    is_data = exists(left[kinds[0]]) and kinds[0] != CONFIGURATION
    if blank or (is_data and (swaps or not exists(word)) and "://" not in word and not word.isdigit()):
        del left[kinds[0]]
        return value
    if word.startswith(_ADDRESSES) and value.startswith(_ADDRESSES):
        return value  # of a service, which is here and nowhere else
    # It is spoken for, whatever it is.
    del left[kinds[0]]
    return _inside(word, value)


def _inside(word: str, value: str) -> str:
    """A place in the workspace: what is written elsewhere, nobody would find."""
    return value if word.startswith("/") and "." in PurePosixPath(word).name else word


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()
