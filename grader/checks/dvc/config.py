"""DVC's directory, its remotes and the data files that it tracks."""

from __future__ import annotations

import hashlib
import posixpath
from functools import cache
from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, GivenFile, check
from grader.checks.dvc.filesystem import MAX_CHARACTERS, SubmissionFiles, reading, refusal
from grader.documents import Problem, SourceFile
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dvc.config import Config

    from grader.context import Context

_ANOTHER_REMOTE = "remote://"

_Outputs = dict[str, dict[str, Any]]
"""What a DVC file says of each output, by path from the submission's root."""


def configuration(context: Context, *, file: Deliverable) -> Mapping[str, Any] | Finding:
    """The repository's DVC configuration, without the machine's and without `config.local`."""
    source = context.deliverable(file)
    return context.memo.once(("dvc config", source.name), lambda: _read_config(source))


def _read_config(source: SourceFile) -> Mapping[str, Any] | Finding:
    if isinstance(source.text, Problem):
        return source.text.finding("a file that DVC can read")
    if source.path.name != "config":
        return Finding(message="DVC only reads a file named config", where=source.name)

    if len(source.text) > MAX_CHARACTERS:
        return refusal(source, f"it is longer than {MAX_CHARACTERS:,} characters")

    def read() -> Mapping[str, Any] | Finding:
        from configobj import ConfigObjError
        from voluptuous import Invalid

        try:
            return dict(_repository_config()(str(source.absolute.parent)))
        except (ConfigObjError, Invalid) as error:
            return refusal(source, str(error), getattr(error, "line_number", None))

    answer: Mapping[str, Any] | Finding = reading(source, read)
    return answer


@cache
def _repository_config() -> Callable[[str], Config]:
    from dvc.config import Config

    class RepositoryConfig(Config):  # type: ignore[misc]
        """DVC's own configuration class, restricted to the level kept in the repository."""

        LEVELS = ("repo",)

        @property
        def files(self) -> dict[str, str]:
            return {"repo": posixpath.join(str(self.dvc_dir), "config")}

        @staticmethod
        def _resolve(_folder: str, path: str) -> str:
            """A path as it is written: findings and copies elsewhere know nothing of this folder."""
            return path

    return RepositoryConfig


@check("dvc.config_valid", reads=configuration)
def config_valid(_: Context, _config: Mapping[str, Any]) -> Outcome:
    """The DVC directory has a configuration that DVC can read."""
    return passed()


@check("dvc.remote_url", reads=configuration)
def remote_url(context: Context, config: Mapping[str, Any], *, file: Deliverable, url: str) -> Outcome:
    """A remote in the configuration has this URL.

    Args:
        url: the URL; a slash at its end does not matter.
    """
    remotes = remotes_of(config)
    urls = {name: url_of(remotes, name) for name in remotes}
    if any(each.rstrip("/") == url.rstrip("/") for each in urls.values()):
        return passed()
    return failed(
        Finding(
            message="no remote has the required URL",
            expected=url,
            actual=", ".join(f"{name}: {each}" for name, each in urls.items())[:300] or "no remotes",
            where=context.deliverable(file).name,
        )
    )


@check("dvc.default_remote", reads=configuration)
def default_remote(context: Context, config: Mapping[str, Any], *, file: Deliverable) -> Outcome:
    """The configuration names a default remote that exists."""
    core = config.get("core")
    default = core.get("remote") if isinstance(core, dict) else None
    if isinstance(default, str) and default in remotes_of(config):
        return passed()
    message = f"the default remote {default!r} does not exist" if default else "no default remote is set"
    return failed(
        Finding(
            message=message,
            expected="core.remote set to one of the remotes",
            actual=", ".join(remotes_of(config)) or "no remotes",
            where=context.deliverable(file).name,
        )
    )


def tracked_outputs(context: Context, *, file: Deliverable) -> _Outputs | Finding:
    """The outputs of a `.dvc` file, by path from the submission's root."""
    source = context.deliverable(file)
    return context.memo.once(("dvc file", source.name), lambda: _read_outputs(context, source))


def _read_outputs(context: Context, source: SourceFile) -> _Outputs | Finding:
    def read() -> _Outputs:
        from dvc.schema import COMPILED_SINGLE_STAGE_SCHEMA
        from dvc.utils.strictyaml import load

        stage, _ = load(source.name, COMPILED_SINGLE_STAGE_SCHEMA, SubmissionFiles(context.submission))
        base = posixpath.join(posixpath.dirname(source.name), stage.get("wdir") or "")
        # The schema lets an output without a path through; DVC stumbles over it later, as this does.
        listed = stage.get("outs") or ()
        return {posixpath.normpath(posixpath.join(base, output["path"])): output for output in listed}

    answer: _Outputs | Finding = reading(source, read)
    return answer


@check("dvc.tracks", reads=tracked_outputs)
def tracks(context: Context, outputs: _Outputs, *, file: Deliverable, path: str) -> Outcome:
    """The DVC file is valid and tracks the data file.

    Args:
        path: the data file.
    """
    if path in outputs:
        return passed()
    return failed(
        Finding(
            message=f"this DVC file does not track {path}",
            expected=path,
            actual=", ".join(outputs)[:300] or "no outputs",
            where=context.deliverable(file).name,
        )
    )


@check("dvc.tracked_hash", reads=tracked_outputs)
def tracked_hash(context: Context, outputs: _Outputs, *, file: Deliverable, path: GivenFile) -> Outcome:
    """The DVC file has the hash of the exam's own version of the data file.

    Args:
        path: the data file.
    """
    output = outputs.get(path, {})
    hashes = _hashes(context, path, modern="hash" in output)
    if output.get("md5") in hashes:
        return passed()
    return failed(
        Finding(
            message="the hash is not that of the file from the exam",
            expected=hashes[0],
            actual=str(output.get("md5", "no md5")),
            where=context.deliverable(file).name,
        )
    )


def remotes_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The remotes by name."""
    remotes = config.get("remote")
    if not isinstance(remotes, dict):
        return {}
    return {str(name): each for name, each in remotes.items() if isinstance(each, dict)}


def url_of(remotes: dict[str, dict[str, Any]], name: str) -> str:
    """A remote's URL, with `remote://other/path` resolved."""
    url = str(remotes[name].get("url", ""))
    for _ in remotes:
        if not url.startswith(_ANOTHER_REMOTE):
            break
        other, _, path = url.removeprefix(_ANOTHER_REMOTE).partition("/")
        url = str(remotes.get(other, {}).get("url", "")).rstrip("/") + "/" + path
    return url


def _hashes(context: Context, path: str, *, modern: bool) -> tuple[str, ...]:
    """The hashes that DVC gives the exam's file; before version 3 it took CRLF for LF first."""
    data = context.exam.data[path].read_bytes()
    versions = (data,) if modern else (data, data.replace(b"\r\n", b"\n"))
    return tuple(hashlib.md5(each, usedforsecurity=False).hexdigest() for each in versions)


CHECKS = (config_valid, remote_url, default_remote, tracks, tracked_hash)
