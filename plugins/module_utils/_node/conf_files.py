# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Settings that systemd gathers from many files: which files it reads, in which order, and who has the last word."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# systemd's CONF_PATHS (src/basic/constants.h), the strongest first; sysctl.d(5) and systemd-system.conf(5) say the same.
FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
# As many links as the kernel follows (path_resolution(7)).
LINKS = 40


class Assignment(NamedTuple):
    """A line that sets something, and where it stands."""

    key: str
    value: str | None
    path: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.path} line {self.line}"


def lines(machine: Machine, path: str) -> list[str]:
    """The lines of a file; none where it cannot be read, or is a link to what is no file, such as /dev/null.

    A link is followed by hand: an absolute one in a captured tree leads into that tree.
    """
    for _count in range(LINKS):
        real = machine.path(path)
        try:
            if not os.path.islink(real):
                return (machine.text(path) or "").splitlines() if stat.S_ISREG(os.stat(real).st_mode) else []
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(real)))
        except OSError:
            break
    return []


def dropins(machine: Machine, folder: str, ours: Collection[str] = ()) -> list[str]:
    """The files NAME.conf of a folder such as sysctl.d, in the order in which systemd reads them: by their names.

    Of two of one name that of the stronger folder counts, also where it is empty or leads nowhere: so one is masked.
    `ours` are files that will be there too.
    """
    found: dict[str, str] = {}
    for root in FOLDERS:
        to_be = [os.path.basename(path) for path in ours if os.path.dirname(path) == f"{root}/{folder}"]
        for name in [*machine.names(f"{root}/{folder}"), *to_be]:
            if name.endswith(".conf") and not name.startswith("."):
                found.setdefault(name, f"{root}/{folder}/{name}")
    return [found[name] for name in sorted(found)]


def files(machine: Machine, name: str, ours: Collection[str] = ()) -> list[str]:
    """The files of a configuration such as systemd/system.conf: the first of that name, and then the files of its folder."""
    main = [path for path in (f"{root}/{name}" for root in FOLDERS) if os.path.lexists(machine.path(path))]
    return main[:1] + dropins(machine, f"{name}.d", ours)


def assignments(machine: Machine, name: str, section: str, ours: dict[str, str]) -> Iterator[Assignment]:
    """What is set in a section, in the order of reading, once `ours` are there, texts by path.

    systemd.syntax(7): a backslash joins lines, # and ; begin comments, which a joined line passes over.
    """
    for path in files(machine, name, list(ours)):
        current, joined = "", ""
        for number, line in enumerate(ours[path].splitlines() if path in ours else lines(machine, path), 1):
            if line.lstrip()[:1] in ("#", ";"):
                continue
            joined += line
            if joined.endswith("\\"):
                joined = joined[:-1] + " "
                continue
            text, joined = joined.strip(), ""
            if text.startswith("[") and text.endswith("]"):
                current = text[1:-1]
            elif "=" in text and current == section:
                key, _sign, value = text.partition("=")
                yield Assignment(key.strip(), value.strip(), path, number)
