# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes initramfs archives (cpio, "newc") without root and without cpio(1)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

FILE = stat.S_IFREG
FOLDER = stat.S_IFDIR
LINK = stat.S_IFLNK


@dataclass(frozen=True)
class Entry:
    """A file, folder or symbolic link for an archive."""

    path: str
    """Absolute path in the archive. Folders above it that no entry names are made with mode 0755 and owner root."""
    data: bytes = b""
    """Contents of a file, or target of a link."""
    mode: int = 0o644
    owner: int = 0
    """Numeric user and group."""
    kind: int = FILE


def _header(inode: int, name: str, mode: int, owner: int, size: int) -> bytes:
    raw = name.encode() + b"\0"
    fields = (inode, mode, owner, owner, 1, 0, size, 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
    return head + b"\0" * (-len(head) % 4)


def archive(entries: Iterable[Entry]) -> bytes:
    """An archive with these entries, padded to 512 bytes so that archives can be joined one after the other."""
    out: list[bytes] = []
    seen: set[str] = set()

    def add(name: str, mode: int, owner: int, data: bytes) -> None:
        out.append(_header(len(seen), name, mode, owner, len(data)) + data + b"\0" * (-len(data) % 4))

    for entry in entries:
        parts = entry.path.strip("/").split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in seen:
                seen.add(folder)
                add(folder, FOLDER | 0o755, 0, b"")
        name = "/".join(parts)
        seen.add(name)
        add(name, entry.kind | entry.mode, entry.owner, entry.data)
    out.append(_header(0, "TRAILER!!!", 0, 0, 0))
    joined = b"".join(out)
    return joined + b"\0" * (-len(joined) % 512)
