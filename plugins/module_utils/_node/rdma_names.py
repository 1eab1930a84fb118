# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""How RDMA devices are named, by rdma-core's udev rule."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

DEVICES = "/sys/class/infiniband"
# rdma-core's kernel-boot/rdma_rename.c: the technology, then the place ("ibp12s0", with a domain "ibP1p12s0"), the GUID
# ("ibx" and 16 digits), or the number that the board's firmware gives ("ibo1").
TECHNOLOGY = "(ib|roce|iw|opa|rdma)"
PLACE = rf"{TECHNOLOGY}(P\d+)?p\d+s\d+.*"
GUID = rf"{TECHNOLOGY}x[0-9a-f]{{16}}.*"
BOARD = rf"{TECHNOLOGY}o\d+.*"
# By what is declared; "fallback" is the first of board, place and GUID that there is.
PATTERNS = {"pci": PLACE, "guid": GUID, "fallback": f"{BOARD}|{PLACE}|{GUID}", "kernel": rf"(?!({BOARD}|{PLACE}|{GUID})$).*"}


def others(machine: Machine, rule: str) -> list[str]:
    """The devices in the computer that are named otherwise. Those without hardware, such as soft-RoCE's, are never renamed."""
    devices = [name for name in machine.names(DEVICES) if machine.exists(f"{DEVICES}/{name}/device/vendor")]
    return [name for name in devices if not re.fullmatch(PATTERNS[rule], name)]


def reboot_reason(found: list[str], rule: str) -> str:
    return f"reboot needed: RDMA devices {', '.join(found)} are not named by the rule {rule}"
