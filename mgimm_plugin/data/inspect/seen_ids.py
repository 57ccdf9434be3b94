"""Which ids a file has had so far, kept on disk: as many as there are, in a few megabytes of memory."""

from __future__ import annotations

import hashlib
import sqlite3
from types import TracebackType

from mgimm_plugin.errors import MgimmError

_CACHE_KIB = 8192
_LONGEST_KEY = 32
"""Bytes; a longer id is kept as a hash, so that the table of a file with texts as ids stays small."""


class SeenIds:
    """Ids and where each came first; a context, because the temporary file goes with it."""

    def __enter__(self) -> SeenIds:
        # An empty name is a temporary database: SQLite puts it where TMPDIR says, and removes it.
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("CREATE TABLE ids (id BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def first_place(self, identity: str, place: int) -> int:
        """Return where an id came first, which is ``place`` for a new one.

        Raises:
            MgimmError: The disk of the temporary folder is full.
        """
        # JSON may hold half a surrogate pair, which is no UTF-8.
        key = identity.encode("utf-8", "surrogatepass")
        if len(key) > _LONGEST_KEY:
            key = hashlib.blake2b(key, digest_size=_LONGEST_KEY + 1).digest()
        try:
            if self._database.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (key, place)).rowcount:
                return place
            return int(self._database.execute("SELECT place FROM ids WHERE id = ?", (key,)).fetchone()[0])
        except sqlite3.OperationalError as error:
            raise MgimmError(
                f"the ids of the file cannot be kept on disk: {error}; set TMPDIR to a larger one"
            ) from error
