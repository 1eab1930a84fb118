# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""One comparison on the node: prints its answer, and keeps the checker for the next one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys

from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, preflight
from ansible_collections.onecc.cluster.plugins.module_utils._node.checker import check
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# What stands before an answer, whatever a login shell, a sudo lecture or a wrapper printed.
MARK = "onecc.cluster drift "
PREFLIGHT_MARK = "onecc.cluster preflight "


def answer(states: dict[str, dict[str, list[dict]]], clock: float | None) -> None:
    """Prints the differences by role. With the controller's clock it does a preflight too, and prints its problems first."""
    machine = Machine()

    def compare() -> dict[str, list[dict]]:
        return {role: check(machine, state) for role, state in states.items()}

    if clock is None:
        found = compare()
    else:
        problems, found = preflight.examine(machine, compare, clock)
        sys.stdout.write(PREFLIGHT_MARK + json.dumps(problems) + "\n")
    sys.stdout.write(MARK + json.dumps(found) + "\n")


def keep(path: str, data: bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all. Where that cannot be, the next comparison asks again."""
    os.umask(0o077)
    with contextlib.suppress(OSError):
        above, name = os.path.split(path)
        os.makedirs(above, exist_ok=True)
        folder = os.open(above, durable.FOLDER)
        try:
            # Another comparison may be here at once. Should it lose what it is writing, the next one asks again.
            with contextlib.suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                durable.clean(folder)
            durable.replace(folder, name, data, durable.Access(mode=0o600))
        finally:
            os.close(folder)
