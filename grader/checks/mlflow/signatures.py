"""Whether a submission's own training logs its model with a signature, which names the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.readers.python.module import modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.context import Context
    from grader.readers.python.module import Call


def logs_signature(context: Context, deliverables: Sequence[str]) -> bool | None:
    """Whether models are logged with a signature; None where no model is seen to be logged.

    Args:
        deliverables: the programs that may log one.
    """
    found = [
        answer
        for file in map(context.submission.deliverable, deliverables)
        if file is not None
        for module in modules(context.submission, file)
        for call in module.calls()
        if (answer := _signs(call)) is not None
    ]
    return any(found) if found else None


def _signs(call: Call) -> bool | None:
    match call.name.rpartition(".")[2]:
        case "log_model" | "save_model":
            # An example of the input is enough for MLflow to infer one.
            return any(call.value(name) is not None for name in ("signature", "input_example"))
        case "autolog":
            if call.value("log_models") is False:
                return None
            return call.value("log_model_signatures") is not False
    return None
