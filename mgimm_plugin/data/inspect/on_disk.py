"""What has to be remembered of every record of a file, kept on disk: any number in a few megabytes of memory."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from mgimm_plugin.errors import MgimmError

_CACHE_KIB = 8192
_KEY_BYTES = 16
_KEPT_TEXT = 400
"""Characters of a text that are kept to show it; equal texts are told by a hash of the whole."""


class SeenIds:
    """Ids, and where each came first.

    Args:
        database: From :func:`temporary_database`.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE ids (key BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID")

    def first_place(self, identity: str, place: int) -> int:
        """Return where an id came first, which is ``place`` for a new one."""
        key = _key(identity)
        if self._database.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (key, place)).rowcount:
            return place
        return int(self._database.execute("SELECT place FROM ids WHERE key = ?", (key,)).fetchone()[0])


class SeenObjects:
    """Images, and the distinct boxes in them.

    Args:
        database: From :func:`temporary_database`.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE objects (key BLOB PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE TABLE images (key BLOB PRIMARY KEY, records INTEGER, objects INTEGER) WITHOUT ROWID")

    def is_new(self, image: str, box: tuple[float, ...]) -> bool:
        """Note a box of an image; whether it was not met before."""
        key = _key(f"{image}\0{box}")
        return self._database.execute("INSERT OR IGNORE INTO objects VALUES (?)", (key,)).rowcount > 0

    def add_record(self, image: str, new_objects: int) -> None:
        """Note a record of an image, and how many of its boxes were new."""
        self._database.execute(
            "INSERT INTO images VALUES (?, 1, ?) "
            "ON CONFLICT DO UPDATE SET records = records + 1, objects = objects + excluded.objects",
            (_key(image), new_objects),
        )

    def per_image(self, what: str) -> dict[int, int]:
        """How many images have how many ``records`` or ``objects``."""
        rows = self._database.execute(f"SELECT {what}, COUNT(*) FROM images GROUP BY {what} ORDER BY {what}")
        return {int(number): int(count) for number, count in rows}


class SeenTexts:
    """Texts of one kind, and how often each came.

    Args:
        database: From :func:`temporary_database`.
        kind: Name of the kind, a plain word.
    """

    def __init__(self, database: sqlite3.Connection, kind: str) -> None:
        self._database, self._table = database, f"texts_{kind}"
        database.execute(f"CREATE TABLE {self._table} (key BLOB PRIMARY KEY, text TEXT, number INTEGER) WITHOUT ROWID")

    def add(self, text: str) -> None:
        """Note a text."""
        self._database.execute(
            f"INSERT INTO {self._table} VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1",
            (_key(text), text[:_KEPT_TEXT]),
        )

    def distinct(self) -> int:
        """Number of different texts."""
        return int(self._database.execute(f"SELECT COUNT(*) FROM {self._table}").fetchone()[0])

    def most_frequent(self, count: int) -> list[tuple[str, int]]:
        """Texts that came more than once and how often, the most frequent first; only their beginning is kept."""
        rows = self._database.execute(
            f"SELECT text, number FROM {self._table} WHERE number > 1 ORDER BY number DESC, text LIMIT ?", (count,)
        )
        return [(str(text), int(number)) for text, number in rows]


@contextmanager
def temporary_database() -> Iterator[sqlite3.Connection]:
    """A database in a temporary file that goes with the context.

    Raises:
        MgimmError: The disk of the temporary folder is full.
    """
    # An empty name is a temporary database: SQLite puts it where TMPDIR says, and removes it.
    database = sqlite3.connect("", isolation_level=None)
    try:
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
            database.execute(f"PRAGMA {setting}")
        database.execute("BEGIN")
        yield database
    except sqlite3.OperationalError as error:
        raise MgimmError(
            f"no room for what has to be remembered of the file: {error}; set TMPDIR to a larger disk"
        ) from error
    finally:
        database.close()


def _key(text: str) -> bytes:
    data = text.encode()
    # A short text is its own key: texts in order are then written in order, which is quicker.
    return data if len(data) < _KEY_BYTES else hashlib.blake2b(data, digest_size=_KEY_BYTES).digest()
