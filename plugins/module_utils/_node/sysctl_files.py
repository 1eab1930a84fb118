# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel parameters as systemd-sysctl sets them at a boot: by which line of which file.

sysctl.d(5), and src/sysctl/sysctl.c of systemd. /etc/sysctl.conf is not among the files, unless a link of sysctl.d leads there.
"""

from __future__ import annotations

import fnmatch
import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import conf_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.conf_files import Assignment
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# To write the one takes the other's value away. Linux' Documentation/admin-guide/sysctl/vm.rst, "counterpart".
COUNTERPARTS = {
    "vm/dirty_bytes": "vm/dirty_ratio",
    "vm/dirty_background_bytes": "vm/dirty_background_ratio",
    "vm/overcommit_kbytes": "vm/overcommit_ratio",
}
COUNTERPARTS.update({value: key for key, value in COUNTERPARTS.items()})


def key(name: str) -> str:
    """A parameter's path below /proc/sys. The first separator decides which one separates: `a.b/c` is a/b.c, `a/b.c` itself."""
    separators = [char for char in name if char in "./"]
    path = name.translate(str.maketrans("./", "/.")) if separators[:1] == ["."] else name
    return re.sub("/+", "/", path).strip("/")


def declared(machine: Machine, ours: dict[str, str]) -> list[Assignment]:
    """What the files set, in the order in which it is written to the kernel, once `ours` are there, texts by path.

    The value None takes a parameter out of it all, patterns too.
    """
    found: dict[str, Assignment] = {}
    for path in conf_files.dropins(machine, "sysctl.d", list(ours)):
        for number, line in enumerate(ours[path].splitlines() if path in ours else conf_files.lines(machine, path), 1):
            text = line.strip()
            name, sign, value = text.partition("=")
            if not text or text[0] in "#;" or not sign and not text.startswith("-"):
                continue
            set_ = Assignment(key(name[name.startswith("-"):].strip()), value.strip() if sign else None, path, number)
            if set_.key in found and found[set_.key].value == set_.value:
                continue  # it stays where it is in the order
            found.pop(set_.key, None)
            found[set_.key] = set_
    return list(found.values())


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of glob(7) fits: no wildcard stands for a slash."""
    parts, names = pattern.split("/"), name.split("/")
    return len(parts) == len(names) and all(fnmatch.fnmatchcase(item, part.replace("[^", "[!")) for item, part in zip(names, parts))


def at_boot(settings: list[Assignment], name: str) -> Assignment | None:
    """The line that has the last word on a parameter at a boot; None where none speaks of it.

    One that names it stands above all patterns. Of patterns the last one is written last, and so is a counterpart behind it.
    """
    wanted = key(name)
    exact = [item for item in settings if item.key == wanted]
    patterns = [item for item in settings if item.value is not None and re.search(r"[*?\[]", item.key) and matches(item.key, wanted)]
    last = exact[0] if exact else patterns[-1] if patterns else None
    if last is None or last.value is None:
        return last
    behind = [item for item in settings[settings.index(last):] if item.key == COUNTERPARTS.get(wanted) and item.value not in (None, "0")]
    return behind[-1] if behind else last
