"""A program's output: its head and tail, or a whole answer up to a limit."""

from __future__ import annotations


class Capture:
    """Keeps at most `most` bytes, half of them from the start and half from the end; counts the rest."""

    def __init__(self, most: int) -> None:
        self._head_size = most - most // 2
        self._tail_size = most // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> None:
        """Take what was just read."""
        self._seen += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._tail_size + 2**16:  # cut seldom: cutting copies
            self._cut()

    def _cut(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_size)]

    @property
    def dropped(self) -> int:
        """Bytes that were not kept."""
        return max(0, self._seen - self._head_size - self._tail_size)

    def text(self) -> str:
        """All that was kept, with a line where something is missing; bytes that are no UTF-8 replaced."""
        tail = bytes(self._tail)[-self._tail_size :] if self._tail_size else b""
        if not self.dropped:
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        head = bytes(self._head).decode("utf-8", "replace")
        return f"{head}\n[… {self.dropped} bytes left out …]\n{tail.decode('utf-8', 'replace')}"


class Answer:
    """Keeps all, or nothing where that would be more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: bytearray | None = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what was just read."""
        if self._kept is None:
            return
        if len(self._kept) + len(data) > self._most:
            self._kept = None
        else:
            self._kept += data

    def content(self) -> bytes | None:
        """All of it; None where it was too much."""
        return None if self._kept is None else bytes(self._kept)
