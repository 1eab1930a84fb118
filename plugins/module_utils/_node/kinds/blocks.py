# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Blocks: the lines between two marks in a file whose other lines are somebody else's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# As ansible.builtin.blockinfile writes them with the marker "# {mark} onecc.cluster".
BEGIN, END = "# BEGIN onecc.cluster", "# END onecc.cluster"


def blocks_of(text: str) -> list[str]:
    """The contents of all blocks between the marks. One that does not end is none."""
    found, lines = [], None
    for line in text.split("\n"):
        if line == BEGIN:
            lines = []
        elif line == END and lines is not None:
            found.append("".join(lines))
            lines = None
        elif lines is not None:
            lines.append(line + "\n")
    return found


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for block in resources:
        path = block["path"]
        found = blocks_of(machine.text(path, "surrogateescape") or "")
        if not found:
            yield difference(path, "exists", False, True, f"{path} has no block of onecc.cluster")
            continue
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() for text in found]
        if hashes != [block["sha256"]]:
            yield difference(path, "content", hashes, [block["sha256"]], f"{path}: its block of onecc.cluster differs")
