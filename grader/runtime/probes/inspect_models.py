"""Load models in the candidate's environment and predict with them, each in a process of its own.

Request: {"models": [{"kind": "mlflow" | "file", "path": "..."}], "columns": [...], "rows": [[...], ...]}
Answer: {"models": [{"loads", "predicts", "estimators", "error"}, ...]}, in the same order.

This process unpickles nothing: a model that runs code when it is loaded can speak for itself alone.
"""

import contextlib
import os
import select
import signal
from typing import Any

import parent  # type: ignore[import-not-found]  # (beside this file)

MAX_SECONDS = 90
"""For one model, with all that it imports."""


def inspect(model: dict[str, Any], request: dict[str, Any], answer: Any) -> dict[str, Any]:
    """What the process that loads it says, if it says anything in time."""
    child, connection = parent.start("model_reads", {**request, "models": [model]}, answer)
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
    if told is None:
        return {"loads": False, "predicts": False, "estimators": [], "error": "loading it ends the process"}
    found: dict[str, Any] = told
    return found


def main() -> None:
    """Everything that was asked."""
    request, answer = parent.begin()
    answer.write({"models": [inspect(model, request, answer) for model in request["models"]]})


if __name__ == "__main__":
    main()
