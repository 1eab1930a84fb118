# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""How adapters reach the memory of GPUs: by DMA-BUF, or by NVIDIA's module nvidia_peermem.

DMA-BUF needs NVIDIA's open kernel module and Linux 5.12 (docs.nvidia.com, GPU Operator, "GPUDirect RDMA and GPUDirect Storage").
"""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import modules
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

DRIVER = "/proc/driver/nvidia/version"
PEERMEM = "nvidia_peermem"


def driver(machine: Machine) -> str | None:
    """What says of which sort the kernel module of the GPUs is: the one that runs, else the licence of the one that is installed."""
    if not machine.exists(DRIVER) and modules.exists(machine, "nvidia"):
        return machine.run("modinfo", "-F", "license", "nvidia").stdout
    return machine.text(DRIVER)


def obstacles(machine: Machine) -> list[str]:
    """Why there is no DMA-BUF, for a person. "NVIDIA UNIX Open Kernel Module" runs, or "Dual MIT/GPL" is installed, where there is."""
    release, found = modules.release(machine), []
    if not re.search("Open|MIT", driver(machine) or ""):
        found.append("the kernel module of the NVIDIA driver is not the open one")
    if [int(number) for number in re.findall(r"\d+", release)[:2]] < [5, 12]:
        found.append(f"kernel {release} is older than 5.12")
    return found


def peermem(machine: Machine) -> bool:
    """Whether there is nvidia_peermem for this kernel."""
    return modules.exists(machine, PEERMEM)
