# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What apt says, read: which versions there are, what it would do, who keeps it waiting, and why it failed.

apt-get(8) keeps the form of its simulation stable for scripts ("Inst", "Conf", "Remv"); the rest is its English messages.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct

from ansible_collections.onecc.cluster.plugins.module_utils._node import preflight
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# In the order in which apt-get takes them.
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"
ARCHIVES = "/var/cache/apt/archives"
# Where packages put nearly all of what they hold.
TARGET = "/usr"
# dpkg keeps old files until the new ones are there, and writes its status anew: as preflight.SPACE_MIB has it for the root.
RESERVE_MIB = 512
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def lock_holder(machine: Machine) -> tuple[str, int] | None:
    """A lock of apt or dpkg that a process holds, and that process. Takes no lock itself."""
    for name in LOCKS:
        try:
            with open(machine.path(name), "rb") as file:
                asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _whence, _start, _length, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except FileNotFoundError:
            continue
        if kind != fcntl.F_UNLCK:
            return name, pid
    return None


def described(machine: Machine, lock: str, pid: int) -> str:
    """A holder in words: what it runs, and the lock."""
    command = " ".join((machine.text(f"/proc/{pid}/cmdline") or "").split("\0")).strip() or "a process that has ended"
    return f"process {pid} ({command[:100]}) holds {lock}"


class Offer:
    """What apt knows of a package: the version it would install, and by version the sources to fetch it from."""

    def __init__(self) -> None:
        self.candidate: str | None = None
        self.versions: dict[str, list[str]] = {}


def offers(policy: str) -> dict[str, Offer]:
    """What `apt-cache policy NAMES` says, by package. A source is named as in `apt-cache policy` alone, without its priority."""
    found: dict[str, Offer] = {}
    offer, version = Offer(), ""
    for line in policy.splitlines():
        if head := re.fullmatch(r"(\S+):", line):
            offer = found[head[1]] = Offer()
        elif (candidate := re.fullmatch(r"  Candidate: (\S+)", line)) and candidate[1] != "(none)":
            offer.candidate = candidate[1]
        elif entry := re.fullmatch(r" (?:\*\*\*|   ) (\S+) -?\d+(?: .*)?", line):
            version = entry[1]
        elif (source := re.fullmatch(r" {7} *-?\d+ (\S.*)", line)) and not source[1].endswith("/var/lib/dpkg/status"):
            offer.versions.setdefault(version, []).append(source[1])
    return found


class Plan:
    """What a transaction would do: old and new version by name, None where there is none; and which of them are downgrades."""

    def __init__(self, changes: dict[str, tuple[str | None, str | None]], downgraded: list[str]) -> None:
        self.changes = changes
        self.downgraded = downgraded

    def lines(self) -> list[str]:
        return [f"{name}: {old or 'none'} -> {new or 'removed'}" for name, (old, new) in sorted(self.changes.items())]


def plan(simulation: str) -> Plan:
    """What `apt-get --simulate install` says."""
    changes: dict[str, tuple[str | None, str | None]] = {}
    for name, old, new in re.findall(r"^Inst (\S+) (?:\[([^\]]*)\] )?\((\S+) ", simulation, re.MULTILINE):
        changes[name] = (old or None, new)
    for name, old in re.findall(r"^(?:Remv|Purg) (\S+) \[([^\]]*)\]", simulation, re.MULTILINE):
        changes[name] = (old, None)
    downgraded = re.search(r"^The following packages will be DOWNGRADED:\n((?:  .*\n)*)", simulation, re.MULTILINE)
    return Plan(changes, downgraded[1].split() if downgraded else [])


def space_needed(said: str) -> tuple[int, int]:
    """Bytes to fetch and bytes that the packages take, as `apt-get --print-uris install` says."""
    fetch = re.search(r"^Need to get ([\d.,]+) (\w+)", said, re.MULTILINE)
    take = re.search(r"^After this operation, ([\d.,]+) (\w+) of additional disk space", said, re.MULTILINE)
    both = [int(float(found[1].replace(",", "")) * _UNITS[found[2]]) if found else 0 for found in (fetch, take)]
    return both[0], both[1]


def space_missing(machine: Machine, fetch: int, take: int) -> str | None:
    """Says which file system is too small. Both folders may be on one."""
    needs: dict[int, tuple[int, str, int]] = {}
    for folder, size in ((ARCHIVES, fetch), (TARGET, take)):
        number, free = preflight.file_system(machine, folder)
        needed, folders, _free = needs.get(number, (0, "", 0))
        needs[number] = (needed + preflight.mib(size), f"{folders} and {folder}" if folders else folder, free)
    for needed, folders, free in needs.values():
        if free < needed + RESERVE_MIB:
            return f"{folders}: {free} MiB are free; the packages need {needed} MiB, and {RESERVE_MIB} MiB are kept free"
    return None


# Causes by what apt and dpkg say, the more telling ones first. A message names what to do.
_CAUSES = (
    (r"Could not get lock (\S+?)\. It is held by process (\d+ \([^)]*\))", "process {1} holds {0}. Wait for it to end, and run again"),
    (r"Conflicting values set for option Signed-By regarding source (\S+) (\S+): (\S*) != (\S*)",
     "two files below /etc/apt/sources.list.d name the source {0} {1}, with different keys ({2} and {3}), and apt then reads none. Remove "
     "one; `grep -r {0} /etc/apt` shows them"),
    (r"GPG error: (\S+) .*?NO_PUBKEY (\w+)",
     "{0} is signed with the key {1}, which is not the declared one. If the owner of the repository has changed the key, declare the new "
     "one with its fingerprint"),
    (r"GPG error: (\S+) .*?(?:EXPKEYSIG|KEYEXPIRED) (\w+)", "the key {1} that {0} is signed with has expired. Declare the owner's new one"),
    (r"GPG error: (\S+) .*?(?:BADSIG|NODATA|invalid)",
     "the Release file of {0} does not fit its signature: it was altered on its way. Do not use this server"),
    (r"Clearsigned file isn't valid.*|The repository '(\S+) [^']*' is not signed", "{0} is not signed, and nothing is installed from it"),
    (r"Release file for (\S+) is expired \(invalid since ([^)]*)\)",
     "the Release file {0} has expired, {1} ago: the server is not kept up to date, or the node's clock is wrong (`timedatectl`)"),
    (r"Release file for (\S+) is not valid yet \(invalid for another ([^)]*)\)",
     "the Release file {0} is not valid yet, for another {1}: the node's clock is wrong (`timedatectl`)"),
    (r"The repository '(\S+) [^']*' does not have a Release file", "there is no repository at {0}, or not the declared suite"),
    (r"Failed to fetch (\S+)  (?:Hash Sum mismatch|File has unexpected size[^.\n]*)",
     "{0} is not what the repository's signed list says: it was altered, or the server is in the middle of an update. Nothing of it was "
     "installed"),
    (r"Failed to fetch (\S+)  (404|410) +([^\[\n]*)",
     "the server no longer has {0} ({1}): it keeps no old versions. Make a new lock, or declare a source that keeps them"),
    (r"Failed to fetch (\S+)  ([^\n]*)", "{0} cannot be fetched: {1}"),
    (r"You don't have enough free space in (\S+)\.", "there is not enough space in {0}"),
    (r"([^\n]*No space left on device)", "the disk is full: {0}. Make room, and run again: dpkg is repaired first"),
    (r"([^\n]*)\ndpkg: error processing (?:package|archive) (\S+) [^\n]*\n ([^\n]*)",
     "{1}: {2}; it said {0!r}. Mend the cause, and run again: dpkg is repaired first"),
    (r"The following packages have unmet dependencies:\n((?: [^\n]*\n?)+)",
     "the declared versions do not go together, or need others than the newest versions of packages that are not declared: {0}. Declare "
     "those too"),
    (r"dpkg was interrupted", "dpkg was interrupted, and could not be repaired. `dpkg --configure -a` says why"),
)


def cause(said: str) -> str:
    """Why apt or dpkg failed, in a line, out of all that they said; without a known cause, their errors."""
    for pattern, words in _CAUSES:
        if found := re.search(pattern, said):
            return words.format(*("; ".join(map(str.strip, (group or "?").strip().splitlines())) for group in found.groups()))
    errors = re.findall(r"^(?:E|W|dpkg): (.+)$", said, re.MULTILINE) or [line for line in said.splitlines() if line.strip()][-3:]
    return " ".join("; ".join(errors).split()) or "no message"
