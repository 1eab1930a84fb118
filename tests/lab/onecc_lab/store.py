# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's state on disk: instances, SSH keys and file systems.

SQLite does what makes this hard: a change is on the disk before the call returns (`synchronous=FULL`), a server that is
killed at any moment leaves the change whole or absent, and a second server on the same directory is refused.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from .backend import Mount

MAKING = "making"
"""Written down, but the backend has not answered yet."""
READY = "ready"
"""The backend has it."""
GOING = "going"
"""To be destroyed; the backend may or may not have done so."""


@dataclass(frozen=True)
class Instance:
    """What is known of an instance but for its health, which the backend is asked for. Times in seconds since 1970."""

    id: str
    name: str | None
    hostname: str
    region: str
    instance_type: str
    ssh_key_names: tuple[str, ...]
    mounts: tuple[Mount, ...]
    tags: tuple[tuple[str, str], ...]
    cluster_id: str | None
    jupyter_token: str
    jupyter_host: str
    phase: str = MAKING
    public_ip: str | None = None
    private_ip: str | None = None
    restarted: bool = False
    """True once it was restarted: if it boots now, then not for the first time."""
    terminated_at: float | None = None


@dataclass(frozen=True)
class SshKey:
    """A public key that instances can be launched with, in OpenSSH's format."""

    id: str
    name: str
    public_key: str


@dataclass(frozen=True)
class FileSystem:
    """A persistent file system. `created` is ISO 8601."""

    id: str
    name: str
    region: str
    created: str
    phase: str = MAKING


Record = TypeVar("Record", Instance, SshKey, FileSystem)


class StoreInUse(Exception):
    """Another server has the account of this directory open."""


class Store:
    """Records by kind and ID, in the order in which they were first put. Safe for threads."""

    def __init__(self, directory: Path | None) -> None:
        """Opens or makes the account in a directory; None keeps it in memory.

        Raises StoreInUse where another server has it, OSError where the directory cannot be made.
        """
        self._lock = threading.Lock()
        self._database = _connect(directory)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._database.close()
            raise StoreInUse(f"{directory}: {error}") from error

    def close(self) -> None:
        """Lets go of the directory."""
        with self._lock:
            self._database.close()

    def all(self, kind: type[Record]) -> list[Record]:
        """Every record of a kind."""
        rows = self._rows("SELECT document FROM records WHERE kind = ? ORDER BY position", kind.__name__)
        return [_read(kind, row[0]) for row in rows]

    def get(self, kind: type[Record], id: str) -> Record | None:
        """The record with this ID."""
        rows = self._rows("SELECT document FROM records WHERE kind = ? AND id = ?", kind.__name__, id)
        return _read(kind, rows[0][0]) if rows else None

    def put(self, records: Iterable[Instance | SshKey | FileSystem]) -> None:
        """Adds or replaces records: all of them or, where the server is killed meanwhile, none."""
        rows = [(type(record).__name__, record.id, json.dumps(asdict(record))) for record in records]
        with self._lock, self._database:
            self._database.executemany(
                "INSERT INTO records (kind, id, document) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
                rows,
            )

    def drop(self, kind: type[Record], ids: Iterable[str]) -> None:
        """Forgets records, all or none; unknown IDs are no error."""
        with self._lock, self._database:
            self._database.executemany(
                "DELETE FROM records WHERE kind = ? AND id = ?", [(kind.__name__, id) for id in ids]
            )

    def _prepare(self) -> None:
        # The lock that the transaction below takes is kept until the database is closed or the process ends.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database:
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS records (position INTEGER PRIMARY KEY AUTOINCREMENT,"
                " kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (kind, id))"
            )

    def _rows(self, query: str, *values: str) -> list[tuple[str]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _connect(directory: Path | None) -> sqlite3.Connection:
    if directory is None:
        return sqlite3.connect(":memory:", check_same_thread=False)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return sqlite3.connect(directory / "account.sqlite", check_same_thread=False, timeout=0)


def _read(kind: type[Record], document: str) -> Record:
    fields: dict[str, Any] = json.loads(document)
    if kind is Instance:
        fields["ssh_key_names"] = tuple(fields["ssh_key_names"])
        fields["mounts"] = tuple(Mount(**mount) for mount in fields["mounts"])
        fields["tags"] = tuple((key, value) for key, value in fields["tags"])
    return kind(**fields)
