# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What PAM does at a login: the modules of a service, and the limits that pam_limits sets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.module_utils._node import conf_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

SERVICES = "/etc/pam.d"
LIMITS = "/etc/security/limits.conf"
LIMITS_FOLDER = "/etc/security/limits.d"
# limits.conf(5) counts these in KiB.
IN_KIB = ("core", "data", "fsize", "memlock", "stack")
# How deep files include each other; pam.d(5) leaves it open, and a circle has to end (PAM_SUBSTACK_MAX_LEVEL of libpam).
DEPTH = 16


def modules(machine: Machine, service: str, type_: str, depth: int = DEPTH) -> list[list[str]]:
    """The modules of one type (auth, account, password, session) of a service, each with its arguments. pam.d(5)."""
    found: list[list[str]] = []
    for line in conf_files.lines(machine, f"{SERVICES}/{service}") if depth else []:
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0] == "@include":
            found += modules(machine, words[1], type_, depth - 1)
        elif len(words) > 2 and words[0].lstrip("-").lower() == type_:
            if words[1] in ("include", "substack"):
                found += modules(machine, words[2], type_, depth - 1)
            else:  # the control may be several words in brackets
                rest = " ".join(words[1:])
                rest = rest.partition("]")[2] if rest.startswith("[") else rest.partition(" ")[2]
                found.append(rest.split())
    return found


class Person(NamedTuple):
    """Whom a line of limits.conf may be about. Somebody of whom nothing is known has no name and no number."""

    name: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: frozenset[str] = frozenset()
    gids: frozenset[int] = frozenset()


class Line(NamedTuple):
    """A line of limits.conf(5). `type` is soft, hard or -; without an item it exempts its domain from all limits."""

    domain: str
    type: str
    item: str
    value: str
    path: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.path} line {self.line}"


def limit_lines(machine: Machine, ours: dict[str, str], only: str | None = None) -> list[Line]:
    """The lines that pam_limits reads, in its order, once `ours` are there, texts by path: limits.conf, and limits.d by the bytes
    of the names. `only` is the file of its argument conf=, beside which it reads no other."""
    names = {f"{LIMITS_FOLDER}/{name}" for name in machine.names(LIMITS_FOLDER)} | set(ours)
    fitting = sorted(path for path in names if path.endswith(".conf") and not path.rpartition("/")[2].startswith("."))
    found = []
    for path in [only] if only else [LIMITS, *fitting]:
        for number, line in enumerate(ours[path].splitlines() if path in ours else conf_files.lines(machine, path), 1):
            words = line.partition("#")[0].split()
            if len(words) >= 4 and words[1].lower() in ("soft", "hard", "-"):
                found.append(Line(words[0], words[1].lower(), words[2].lower(), words[3].lower(), path, number))
            elif len(words) == 2 and words[1].startswith("-"):
                found.append(Line(words[0], "-", "", "", path, number))
    return found


def _in_range(domain: str, number: int | None, all_numbers: frozenset[int]) -> bool:
    """Whether a range such as 1000:, :100 or 500:600 has a number. Without the minimum it means exactly the maximum."""
    found = re.fullmatch(r"[@%]?(\d*):(\d*)", domain)
    if not found or found[1] == found[2] == "":
        return False
    if not found[1]:
        return int(found[2]) in all_numbers
    return number is not None and int(found[1]) <= number and (not found[2] or number <= int(found[2]))


def rank(domain: str, person: Person) -> int | None:
    """How exactly a domain means a person: 0 by name or number, 1 by group, 2 as anybody; None where it does not.

    Only what names root is about root: so Debian and Ubuntu have it (limits.conf(5) there).
    """
    if domain == person.name:
        return 0
    if domain.startswith("@") and person.uid != 0:
        ranged = ":" in domain and _in_range(domain, person.gid, person.gids)
        return 1 if ranged or domain[1:] in person.groups else None
    if ":" in domain and not domain.startswith("%"):
        uids = frozenset() if person.uid is None else frozenset((person.uid,))
        return 0 if _in_range(domain, person.uid, uids) else None
    return 2 if domain == "*" and person.uid != 0 else None


def number(item: str, value: str) -> float | None:
    """A limit as the kernel has it, in its own unit; None where pam_limits passes over the value."""
    if value in ("-1", "-", "unlimited", "infinity"):
        return float("inf")
    found = re.match(r"\d+", value)
    return int(found[0]) * (1024 if item in IN_KIB else 1) if found else None


def limits(lines: list[Line], person: Person, item: str) -> dict[str, tuple[float, Line]]:
    """The soft and the hard limit of a person, and by which line. Under "exempt" the line that spares the person all of them.

    The most exact line counts, and of like ones the last.
    """
    found: dict[str, tuple[float, Line]] = {}
    ranks = {"soft": 3, "hard": 3}
    for line in lines:
        own = rank(line.domain, person)
        if own is None or line.domain == "*" and not line.item:
            continue
        if not line.item:
            return {"exempt": (float("inf"), line)}
        value = number(item, line.value) if line.item == item else None
        for type_ in ("soft", "hard") if line.type == "-" else (line.type,):
            if value is None or ranks[type_] < own:
                break
            ranks[type_] = own
            found[type_] = value, line
    return found


def people(machine: Machine) -> list[Person]:
    """Root, and the local accounts of people: Debian Policy, 9.2.2, has 1000 as their first number and 65534 for nobody."""
    groups = [line.split(":") for line in (machine.text("/etc/group") or "").splitlines() if re.fullmatch(r"[^:]+:[^:]*:\d+:[^:]*", line)]
    found = []
    for line in (machine.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) != 7 or not fields[2].isdecimal() or not fields[3].isdecimal():
            continue
        name, uid, gid = fields[0], int(fields[2]), int(fields[3])
        if uid == 0 or uid >= 1000 and uid != 65534:
            mine = [group for group in groups if name in group[3].split(",") or int(group[2]) == gid]
            found.append(Person(name, uid, gid, frozenset(group[0] for group in mine), frozenset(int(group[2]) for group in mine)))
    return found


def strangers(machine: Machine, lines: list[Line]) -> Iterator[Person]:
    """Those whom the node's own files do not know, and lines are about: users and groups of a directory service."""
    known = {file: {line.partition(":")[0] for line in (machine.text(f"/etc/{file}") or "").splitlines()} for file in ("passwd", "group")}
    for domain in dict.fromkeys(line.domain for line in lines):
        name, file = domain.lstrip("@"), "group" if domain.startswith("@") else "passwd"
        if domain == "*" or ":" in domain or domain.startswith("%") or name in known[file]:
            continue
        if machine.run("getent", file, "--", name).rc == 0:
            yield Person(groups=frozenset((name,))) if file == "group" else Person(name)
