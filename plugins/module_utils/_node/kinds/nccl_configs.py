# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""NCCL's configuration: settings in a block of its file, its topology file, and MPI's profile."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        yield from nccl_files.check(machine, declared)
