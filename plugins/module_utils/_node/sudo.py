# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Whether sudo goes by a file of /etc/sudoers.d, and by the last of all lines that are about a user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

SUDOERS = "/etc/sudoers"
FOLDER = "/etc/sudoers.d"
# sudoers(5), "Including other files": an @ or a #, and names with a dot or a ~ at the end are passed over.
INCLUDE = re.compile(r"[@#]includedir\s+\"?(?:/etc/)?sudoers\.d/?\"?\s*")


class Rule(NamedTuple):
    """A line of sudoers(5) and where it stands."""

    text: str
    path: str
    line: int


def rules(machine: Machine, ours: str) -> Iterator[Rule]:
    """All lines in the order of reading, with an empty one where our file stands, or will stand."""
    for rule in _lines(machine, SUDOERS):
        if not INCLUDE.fullmatch(rule.text):
            yield rule
            continue
        for path in sorted({ours, *(f"{FOLDER}/{name}" for name in machine.names(FOLDER))}):
            if path == ours:
                yield Rule("", path, 0)
            elif "." not in path[len(FOLDER):] and not path.endswith("~"):
                yield from _lines(machine, path)


def _lines(machine: Machine, path: str) -> Iterator[Rule]:
    joined = ""
    for number, line in enumerate((machine.text(path) or "").splitlines(), 1):
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        text, joined = joined.strip(), ""
        if text and (not text.startswith("#") or INCLUDE.fullmatch(text)):
            yield Rule(text, path, number)


def read(machine: Machine) -> bool:
    """Whether /etc/sudoers includes the folder."""
    return any(INCLUDE.fullmatch(rule.text) for rule in _lines(machine, SUDOERS))


def overriding(machine: Machine, ours: str, name: str, groups: set[str]) -> Rule | None:
    """A line behind our file that asks this user for a password again, or forbids all: of lines about a user and a command the
    last one counts. Aliases are not resolved."""
    who = {name, "ALL", *(f"%{group}" for group in groups)}
    behind = False
    for rule in rules(machine, ours):
        users, _space, rest = rule.text.replace("\t", " ").partition(" ")
        if rule.path == ours:
            behind = True
        elif behind and who & set(users.split(",")) and _takes(re.sub(r"\([^)]*\)", "", rest.partition("=")[2])):
            return rule
    return None


def _takes(commands: str) -> bool:
    everything = re.search(r"(?:^|[\s,:])(!?)ALL\s*(?:,|$)", commands)
    return bool(everything and (everything[1] or "NOPASSWD:" not in commands.replace(" ", "")))
