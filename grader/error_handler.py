"""The one door where exceptions become exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from grader.errors import GraderFault, UsageError
from grader.report.safe import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

WrongWords: type[Exception] = typer.BadParameter.__mro__[2]
"""Click's base of every complaint about the command line; typer may bring a Click of its own."""
PASSED, NOT_PASSED, UNUSABLE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130


_asked_to_stop = threading.Event()


def interrupt(number: int, _frame: FrameType | None) -> None:
    """For SIGINT, SIGTERM and SIGHUP: end as by Ctrl-C.

    A terminal that closes hangs up more than once, and supervisors ask again: what tidies up goes on. Who
    presses Ctrl-C again insists.
    """
    if _asked_to_stop.is_set() and number != signal.SIGINT:
        return
    _asked_to_stop.set()
    # What ends under a thread's feet from now on is no news.
    threading.excepthook = lambda _arguments: None
    raise KeyboardInterrupt


def end_now(code: int, *, patience: float = 5.0) -> NoReturn:
    """End the process; threads that are still in a check get some seconds to tidy up, and no more."""
    deadline = time.monotonic() + patience
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(code)


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command; say in one line what went wrong, if anything, and whose exit code it is."""
    try:
        result = command()
    except typer.Exit as exit_:
        return exit_.exit_code
    except WrongWords as error:
        error.message = clean(str(error.message))  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        return UNUSABLE
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return INTERRUPTED
    except UsageError as error:
        _say(str(error))
        return UNUSABLE
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does: nothing went wrong.
        discard_output()
        return PASSED
    except GraderFault as fault:
        _say(f"the grader failed: {fault}" + (f"\n{fault.log_tail}" if fault.log_tail else ""))
        return INCOMPLETE
    except Exception as surprise:  # a bug of ours: one line here, everything else in a file
        if _asked_to_stop.is_set():
            # The interrupt struck where Python cannot cope with one, as when a thread was being started.
            _say("interrupted")
            return INTERRUPTED
        _say(f"the grader failed: {type(surprise).__name__}: {surprise} (details: {_report()})")
        return INCOMPLETE
    if result == INTERRUPTED:  # typer turned a KeyboardInterrupt into its code, in silence
        _say("interrupted")
    return result if isinstance(result, int) else PASSED


def discard_output() -> None:
    """Send standard output nowhere; Python would complain once more when it flushes at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report() -> Path:
    handle, name = tempfile.mkstemp(prefix="grader-", suffix=".log")
    with os.fdopen(handle, "w") as file:
        file.write(f"{sys.version}\n{sys.argv}\n{traceback.format_exc()}")
    return Path(name)


def _say(message: str) -> None:
    with contextlib.suppress(OSError):
        print(f"grader: {clean(message)}", file=sys.stderr)  # noqa: T201
