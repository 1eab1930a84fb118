# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""How adapters reach the memory of GPUs: by DMA-BUF, or by NVIDIA's module nvidia_peermem.

DMA-BUF needs NVIDIA's open kernel module and Linux 5.12 (docs.nvidia.com, GPU Operator, "GPUDirect RDMA and GPUDirect Storage").
What is said here holds for the kind gpudirect, for NCCL's configuration and for ofed_info alike.
"""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import kernel
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

DRIVER = "/proc/driver/nvidia/version"
PEERMEM = "nvidia_peermem"
# By these files NCCL knows that peer memory works (src/transport/net_ib/gdr.cc). The first is there too with the older nv_peer_mem.
PEERMEM_IN_USE = (
    "/sys/kernel/mm/memory_peers/nv_mem/version", "/sys/kernel/mm/memory_peers/nv_mem_nc/version", f"/sys/module/{PEERMEM}/version",
)


def driver(machine: Machine) -> str | None:
    """What says of which sort the kernel module of the GPUs is: the one that runs, else the licence of the one that is installed."""
    if not machine.exists(DRIVER) and kernel.exists(machine, "nvidia"):
        return machine.run("modinfo", "-F", "license", "nvidia").stdout
    return machine.text(DRIVER)


def obstacles(machine: Machine) -> list[str]:
    """Why there is no DMA-BUF, for a person. "NVIDIA UNIX Open Kernel Module" runs, or "Dual MIT/GPL" is installed, where there is."""
    release, found = kernel.release(machine), []
    if not re.search("Open Kernel Module|MIT", driver(machine) or ""):
        found.append("the kernel module of the NVIDIA driver is not the open one")
    if [int(number) for number in re.findall(r"\d+", release)[:2]] < [5, 12]:
        found.append(f"kernel {release} is older than 5.12")
    return found


def peermem(machine: Machine) -> bool:
    """Whether there is nvidia_peermem for this kernel."""
    return kernel.exists(machine, PEERMEM)


def impossible(machine: Machine, way: str) -> list[str]:
    """Why GPUDirect RDMA is not possible by `dmabuf`, by `peermem`, or by any of them, `auto`; empty where it is."""
    why = [] if way == "peermem" else obstacles(machine)
    if way == "dmabuf" or (way == "auto" and not why):
        return why
    if any(map(machine.exists, PEERMEM_IN_USE)) or peermem(machine):
        return []
    return [*why, f"there is no module {PEERMEM} for this kernel"]


def ways(machine: Machine) -> dict | None:
    """What is possible, and what programs find; None where there is no NVIDIA driver."""
    if not driver(machine):
        return None
    why, used = obstacles(machine), any(map(machine.exists, PEERMEM_IN_USE))
    runs = not why and machine.exists(DRIVER)
    return {
        "dmabuf": not why, "obstacles": why, "peermem": used or peermem(machine), "in_use": "dmabuf" if runs else "peermem" if used else None,
    }
