# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Blocks: the lines between two marks in a file whose other lines are somebody else's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import in_the_way
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}}
PATTERNS = {"path": specs.PATH}

BEGIN, END = "# BEGIN onecc.cluster", "# END onecc.cluster"


def complete(resources: list[dict], _state: dict[str, list[dict]]) -> None:
    """The hash by which the node recognises a content. Raises ValueError."""
    for block in resources:
        block["content"] = block["content"].rstrip("\n") + "\n"
        if wrong := wrong_content(block["content"]):
            raise ValueError(f"{block['path']}: {wrong}")
        block["sha256"] = hashlib.sha256(block["content"].encode()).hexdigest()


def wrong_content(content: str) -> str | None:
    """What is wrong with the content of a block: with a mark in it, it would not be known again, and grow with each run."""
    marks = [line for line in content.split("\n") if line.rstrip() in (BEGIN, END)]
    return f"content has the line {marks[0]!r}, which marks the block itself; leave it out" if marks else None


def spans(lines: list[str]) -> list[tuple[int, int]]:
    """Where each block begins and ends, marks included. One that does not end is none: its lines are somebody's.

    White space behind a mark does not count: a file that an editor turned to the line ends of Windows has the same blocks.
    """
    found, begin = [], None
    for number, line in enumerate(lines):
        if line.rstrip() == BEGIN:
            begin = number
        elif line.rstrip() == END and begin is not None:
            found.append((begin, number))
            begin = None
    return found


def blocks_of(text: str) -> list[str]:
    """The contents of all blocks."""
    lines = text.split("\n")
    return ["".join(line + "\n" for line in lines[begin + 1:end]) for begin, end in spans(lines)]


def replaced(text: str, content: str) -> str:
    """The text with one block of that content: where the first one was, else at the end. All other lines stay, line ends and all;
    those of the block are of this system. A mark without its other one goes, lest it makes a block of somebody's lines."""
    lines = (text if text.endswith("\n") or not text else text + "\n").split("\n")
    found = spans(lines)
    place = found[0][0] if found else len(lines) - 1
    ours = {number for begin, end in found for number in range(begin, end + 1)}
    ours |= {number for number, line in enumerate(lines) if line.rstrip() in (BEGIN, END)}
    before, after = ([lines[number] for number in part if number not in ours] for part in (range(place), range(place, len(lines))))
    return "\n".join([*before, BEGIN, *content.rstrip("\n").split("\n"), END, *after])


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for block in resources:
        path = block["path"]
        if other := in_the_way(machine, path):
            yield other
            continue
        found = blocks_of(machine.text(path, "surrogateescape") or "")
        if not found:
            yield difference(path, "exists", False, True, f"{path} has no block of onecc.cluster")
            continue
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() for text in found]
        if hashes != [block["sha256"]]:
            yield difference(path, "content", hashes, [block["sha256"]], f"{path}: its block of onecc.cluster differs")
