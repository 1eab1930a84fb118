# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Users: their account, keys and rights, and whether sshd and sudo go by them; and the access of those who are no longer declared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, specs, sshd
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = specs.USER
# None at all is a declaration too: nobody but the declared users has access.
MEANT_WHEN_EMPTY = True

invalid = accounts.invalid


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for user in resources:
        yield from accounts.check(machine, user)
    yield from sshd.check(machine, resources)
    for name in sorted(accounts.managed(machine) - {user["name"] for user in resources}):
        yield from accounts.check(machine, {"name": name, "access": False})


def files(machine: Machine, user: dict, fields: set[str]) -> list[str]:
    """What is written for a user."""
    written = {"keys": [f"{accounts.KEYS}/{user['name']}"], "sudo": [f"{accounts.SUDOERS}/{accounts.GROUP}-{user['name']}"]}
    accounts_own = ["/etc/passwd", "/etc/group", "/etc/shadow"] if fields - set(written) else []
    return sum((paths for field, paths in written.items() if field in fields), accounts_own)
