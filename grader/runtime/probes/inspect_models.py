"""Load models in the candidate's environment and predict with them.

Request: {"models": [{"kind": "mlflow" | "file", "path": "..."}], "columns": [...], "rows": [[...], ...]}
Answer: {"models": [{"loads", "predicts", "estimators", "confirmed", "flavor", "error"}, ...]}, in that order.

A model is first read without running anything that it says, in a process that runs nothing of the candidate's
but packages of an index: most models are found out by that. Only for one that needs code of its own is that
code run, in another process, which may say no more than whether the model loads and predicts; and is believed
only where an estimator that predicts was found inside by the first, which `confirmed` says. `flavor` is one
of MLflow's own that the first may know no way to read.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
from typing import Any

import parent  # type: ignore[import-not-found]  # (beside this file)

MAX_SECONDS = 90
"""For one model, with all that it imports."""
LIBRARIES = ("joblib", "pandas", "sklearn.ensemble", "sklearn.pipeline", "yaml")
ENDED = {"loads": False, "predicts": False, "estimators": [], "error": "loading it ends the process"}


def look(model: dict[str, Any], request: dict[str, Any], answer: Any) -> dict[str, Any]:
    """What it is, as far as that can be told without its code."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = parent.fork()
    if not child:
        try:
            answer.forget()
            ours.close()
            files = importlib.import_module("model_files")
            theirs.send(json.dumps(files.inspect(model, request["columns"], request["rows"])).encode())
        finally:
            os._exit(0)
    theirs.close()
    return heard(child, ours) or {**ENDED, "safe": True}


def claim(model: dict[str, Any], request: dict[str, Any], answer: Any) -> dict[str, Any]:
    """What the process that runs its code says, if it says anything in time."""
    child, connection = parent.start("model_reads", {**request, "models": [model]}, answer)
    return heard(child, connection) or ENDED


def heard(child: int, connection: socket.socket) -> dict[str, Any] | None:
    """The first message of a process, which then ends with all that it has started."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    told = None
    with connection, contextlib.suppress(OSError):
        if poll.poll(MAX_SECONDS * 1000):
            told, _, replies = parent.receive(connection)
            parent.reply(replies, {})
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    parent.end_leftovers()
    found: dict[str, Any] | None = told
    return found


def decided(found: dict[str, Any], claimed: dict[str, Any] | None) -> dict[str, Any]:
    """What is said of a model: by its code only what was found to be so."""
    if claimed is None:
        return {**found, "confirmed": True}
    holds = found["loads"] is True
    loads, predicts = claimed.get("loads") is True, claimed.get("predicts") is True
    return {
        "loads": loads and holds,
        "predicts": predicts and holds,
        "estimators": found["estimators"] if loads else [],
        "confirmed": holds or not loads,
        "flavor": found.get("flavor", ""),
        "error": found["error"] if loads and not holds else str(claimed.get("error") or "")[:500],
    }


def main() -> None:
    """Everything that was asked; all is looked at before any code runs that could change it."""
    request, answer = parent.begin()
    if request["models"]:
        for library in LIBRARIES:
            with contextlib.suppress(Exception):
                importlib.import_module(library)
    found = [look(model, request, answer) for model in request["models"]]
    claimed = [
        None if each["safe"] else claim(model, request, answer)
        for model, each in zip(request["models"], found)  # noqa: B905 - candidates' Pythons may be old
    ]
    answer.write({"models": [decided(*pair) for pair in zip(found, claimed)]})  # noqa: B905


if __name__ == "__main__":
    main()
