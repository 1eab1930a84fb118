# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""One comparison on the node: prints its answer, and keeps the checker for the next one."""

from __future__ import annotations

import contextlib
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
    temporary = f"{path}.{os.urandom(4).hex()}"  # two comparisons may be here at once, on two nodes where they share the home
    os.umask(0o077)
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            durable.replace(path, temporary, data, 0o600)
        except OSError:
            os.unlink(temporary)
            raise
