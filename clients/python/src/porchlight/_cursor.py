"""The cursor in a file, so that it survives restarts."""

from __future__ import annotations

import os
from pathlib import Path

from ._state import MAX_CURSOR_CHARS, UNREADABLE_CURSOR, readable


class CursorFile:
    """A file with a cursor in one line. It is replaced as a whole, so a crash leaves the old or the new one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._stored: str | None = None

    def load(self) -> str | None:
        """The stored cursor, or None without a file. What is no cursor is answered by the service with `stream:reset`."""
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_CURSOR_CHARS + 2)
        except FileNotFoundError:
            return None
        cursor = content.decode("ascii", "replace").removesuffix("\n")
        self._stored = readable(cursor) if cursor else UNREADABLE_CURSOR
        return self._stored

    def save(self, cursor: str) -> None:
        """Stores the cursor, if it has changed."""
        if cursor == self._stored:
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        fresh.write_text(f"{cursor}\n", encoding="utf-8")
        os.replace(fresh, self._path)
        self._stored = cursor
