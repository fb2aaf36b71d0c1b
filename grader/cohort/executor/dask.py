"""A Dask cluster: all that the grader knows of `distributed`, imported only where it is wanted."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from grader.cohort.executor.cluster import Ended, Member
from grader.cohort.executor.keys import CA, CERTIFICATE, KEY, known_keys
from grader.errors import GraderFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


TIMEOUT = "30s"
MAX_FILE = 2**20
"""Bytes of a scheduler file."""


def address_of(on: str) -> str:
    """Where a scheduler is.

    Args:
        on: its address, or the path of its scheduler file.

    Raises:
        UsageError: that is neither, or candidate code and anybody else could reach it.
    """
    address = on
    if "://" not in on:
        try:
            with Path(on).open("rb") as file:
                address = json.loads(file.read(MAX_FILE))["address"]
        except (OSError, ValueError, TypeError, KeyError):
            raise UsageError(
                f"--on {on}: neither an address, like tls://host:8786, nor a scheduler's file"
            ) from None
    try:
        parts = urlsplit(str(address))
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        scheme, host, port = "", "", None
    if scheme not in {"tls", "tcp"} or not host or not port:
        raise UsageError(f"--on {on}: an address is like tls://host:8786")
    if scheme != "tls" and not is_here(host):
        raise UsageError(
            f"--on {on}: whoever reaches a scheduler runs what he likes on its workers, so away from this"
            " machine it takes tls:// (`grader cluster keys` makes keys)"
        )
    return str(address)


def is_here(host: str) -> bool:
    """Whether only this machine reaches that."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class DaskCluster:
    """A connection to a scheduler. A context manager."""

    def __init__(self, address: str, keys: Path | None = None) -> None:
        """Connect.

        Args:
            keys: a folder of them; without, Dask's own settings say where they are.

        Raises:
            UsageError: `distributed` is not installed, nobody answers there, or the keys are of no use.
        """
        try:
            from dask import config
            from distributed import Client, Security
        except ImportError:
            raise UsageError("--on needs Dask: pip install 'mlops-grader[cluster]'") from None
        security: Any = None
        if keys is not None:
            files = known_keys(keys)
            pair = {"tls_client_cert": files[CERTIFICATE], "tls_client_key": files[KEY]}
            make: Any = Security
            security = make(tls_ca_file=files[CA], require_encryption=True, **pair)
        elif address.startswith("tls:") and not config.get("distributed.comm.tls.ca-file", None):
            raise UsageError(f"--on {address}: it takes --keys DIR, as `grader cluster keys DIR` makes them")
        # Its remarks on lost workers are made to who watches a scheduler; ours say what came of them.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            connect: Any = Client
            self._client = connect(
                address, timeout=TIMEOUT, set_as_default=False, name="grader", security=security
            )
        except Exception as error:  # of the network, of TLS, of settings, of what answers instead
            raise UsageError(f"--on {address}: {error or 'nobody answers there'}") from error
        self._lock = threading.Lock()
        self._futures: dict[str, Any] = {}

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)

    def members(self) -> Mapping[str, Member]:
        """Address -> worker, for those that are there now.

        Raises:
            OSError: the scheduler is out of reach.
            GraderFault: it has been for so long that the connection is given up.
        """
        if self._client.status in {"closed", "closing"}:
            raise GraderFault(
                "the cluster's scheduler has gone: start it and run this again, what is graded is kept"
            )
        try:
            workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:  # as many kinds as there are ways to lose a connection
            raise OSError(str(error)) from error
        return {
            address: Member(host=str(worker.get("host", "")), slots=int(worker["nthreads"]))
            for address, worker in workers.items()
            if worker.get("status") == "running"
        }

    def submit(
        self,
        key: str,
        address: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        ended: Callable[[Ended], None],
    ) -> None:
        """Run a function on a worker, there or nowhere."""

        def tell(future: Any) -> None:
            ended(_ended(key, future))

        try:
            future = self._client.submit(
                function, *arguments, key=key, workers=[address], allow_other_workers=False, pure=False
            )
        except Exception as error:
            raise OSError(str(error)) from error
        with self._lock:
            self._futures[key] = future
        future.add_done_callback(tell)

    def forget(self, key: str) -> None:
        """Nobody waits for that any more."""
        with self._lock:
            future = self._futures.pop(key, None)
        if future is not None:
            with contextlib.suppress(Exception):
                if not future.done():
                    future.cancel()
                future.release()

    def tell(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """Run a function that takes no time on every worker, as far as these can be reached."""
        with contextlib.suppress(Exception):
            self._client.run(function, *arguments, on_error="ignore")


def _ended(key: str, future: Any) -> Ended:
    if future.status not in {"finished", "error"}:
        return Ended(key=key, lost=True)
    try:
        return Ended(key=key, result=future.result(timeout=30))
    except Exception as error:  # whatever ended it there is raised here
        return Ended(key=key, error=error, lost=type(error).__name__ in _LOST)


_LOST = {"FutureCancelledError", "CancelledError", "FuturesCancelledError"}
