"""The hooks of a pre-commit configuration, and what each of them runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONFIGURATION = ".pre-commit-config.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One hook of the configuration."""

    id: str
    repo: str
    language: str = ""
    entry: str = ""
    """The command of a local hook."""
    arguments: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """What it runs; a remote hook runs the tool after which it is named: `ruff-format` runs ruff."""
        if self.entry:
            image = "docker run " if self.language == "docker_image" else ""
            return image + " ".join((self.entry, *map(shlex.quote, self.arguments)))
        return "" if self.repo == "local" else shlex.quote(self.id.partition("-")[0])


def list_hooks(configuration: Any) -> Iterator[Hook]:
    """The hooks of a parsed configuration, valid or not, in order."""
    for repo in _mappings(configuration, "repos"):
        for hook in _mappings(repo, "hooks"):
            if isinstance(hook.get("id"), str):
                yield Hook(
                    id=hook["id"],
                    repo=str(repo.get("repo", "")),
                    language=str(hook.get("language", "")),
                    entry=str(hook.get("entry", "")),
                    arguments=tuple(word for word in _items(hook, "args") if isinstance(word, str)),
                )


def _items(data: Any, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _mappings(data: Any, key: str) -> Iterator[dict[Any, Any]]:
    return (item for item in _items(data, key) if isinstance(item, dict))
