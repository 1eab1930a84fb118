# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Arrays: a node's spare NVMe drives as one striped volume."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import mdadm, specs, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = specs.ARRAY

invalid = storage.invalid


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for array in resources:
        yield from storage.plan(machine, array).differences


def files(machine: Machine, array: dict, fields: set[str]) -> list[str]:
    """What is written for an array, beside its drives."""
    return [storage.record_path(array["name"]), mdadm.CONF]
