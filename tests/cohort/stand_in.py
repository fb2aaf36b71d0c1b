"""An agent that grades nothing: it answers at once, or does what the submission's folder tells it to.

A folder with a file `die` ends the agent, `hang` is never answered, `garbage` is answered by what is no
message, `fail` by a fault of ours, `slow` after a moment. It imports nothing of ours: it starts in no time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

DOCUMENT = os.environ.get("STAND_IN_DOCUMENT", "")


def listen(requests: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    hello = json.loads(requests.get())
    if hello["exam"] == "refused":
        say(kind="refused", reason="this machine is of no use")
        return
    say(kind="ready", facts={"host": "here"})
    document = json.loads(Path(DOCUMENT).read_text()) if DOCUMENT else {}
    while True:
        request = json.loads(requests.get())
        folder = Path(request["source"])
        if request["kind"] == "look":
            if (folder / "unreadable").exists():
                say(kind="seen", unreadable="it is no submission")
            else:
                say(kind="seen", digest=hashlib.sha256(os.fsencode(folder.name)).hexdigest())
            continue
        told = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if folder.is_file():
            import tarfile

            with tarfile.open(folder) as archive:
                told = set(archive.getnames())
        with (folder.parent / "log").open("a") as log:
            log.write(f"{folder.name} {time.monotonic()}\n")
        if "die" in told:
            os.abort()
        if "garbage" in told:
            sys.stdout.write("what?\n")
            sys.stdout.flush()
        elif "fail" in told:
            say(kind="failed", reason="a disk is full")
        elif "hang" not in told:
            time.sleep(0.2 if "slow" in told else 0.0)
            say(kind="done", document=document)


if __name__ == "__main__":
    main()
