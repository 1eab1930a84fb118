# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""NCCL's configuration file: read and matched as NCCL's own code does, and written so that it reads what is meant."""

from __future__ import annotations

import re

PATH = "/etc/nccl.conf"
# NCCL's src/misc/param.cc keeps name and value in 1,024 bytes each, the terminating NUL among them.
LONGEST = 1023
# From 2.30 on it reads a line in pieces of 4,096 bytes, with the NUL, each of which is a line to it.
PIECE = 4095
# MAX_IB_DEVS of src/transport/net_ib since 2.18 (16 before), and MAX_IFS of src/include/socket.h: what a list may have.
MOST_DEVICES, MOST_INTERFACES = 32, 16

# What NCCL reads as it is written. Whatever else a shell or another tool would have taken away becomes part of the value.
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=[^\s\"'`#$\\;\x00-\x1f\x7f-\U0010ffff]*")


class Line:
    """A line that has anything on it and is no comment; `name` is None where NCCL passes it over."""

    def __init__(self, number: int, text: str, name: str | None, value: str) -> None:
        self.number = number
        self.text = text
        self.name = name
        self.value = value


def parse(data: bytes) -> list[Line]:
    """What NCCL makes of a file (setEnvFile() in src/misc/param.cc), line by line.

    A line ends at a line feed alone, and its text at a NUL. A comment has its # in column 1. The name is all before the
    first =, the value all after it, white space and quotes among them; both are cut after 1,023 bytes. From 2.30 on NCCL takes
    the last carriage return of a line away; whoever relies on that fails with the older NCCL of a container. What it makes of a line
    of more than 4,095 bytes from then on is not shown here: the linter has something against each of them.
    """
    found = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip() or raw.startswith(b"#"):
            continue
        name, equals, value = raw.partition(b"\0")[0].partition(b"=")
        found.append(Line(number, _text(raw), _text(name[:LONGEST]) if equals else None, _text(value[:LONGEST])))
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def settings(lines: list[Line]) -> dict[str, Line]:
    """The lines that count, by variable: the first one does, because NCCL overwrites nothing that is set."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.name:
            found.setdefault(line.name, line)
    return found


def entries(value: str) -> tuple[bool, bool, list[list[str]]]:
    """NCCL_IB_HCA or NCCL_SOCKET_IFNAME: whether it excludes, whether names are exact, and the list, split at its colons."""
    exclude = value.startswith("^")
    exact = value[exclude:].startswith("=")
    return exclude, exact, [entry.split(":") for entry in value[exclude + exact:].split(",") if entry.split(":")[0]]


def takes(value: str, name: str, port: int | None = None) -> bool:
    """Whether NCCL uses a port of a device, or an interface, which has none (parseStringList() and matchIfList() in src/misc/utils.cc).

    Without an =, each entry is the beginning of names.
    """
    exclude, exact, listed = entries(value)
    found = not listed or any(
        (name == entry[0] if exact else name.startswith(entry[0])) and (port is None or entry[1:2] in ([], [""], [str(port)]))
        for entry in listed[:MOST_INTERFACES if port is None else MOST_DEVICES]
    )
    return found != exclude


def render(wanted: list[dict]) -> str:
    """Settings (name, value, reason) as lines of the file, each below its reason."""
    return "".join(f"# {item['reason']}\n{item['name']}={item['value']}\n" for item in wanted)
