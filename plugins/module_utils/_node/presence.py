# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a resource may be for: it is declared where a node has something, and each node itself knows whether it does."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._node import gpudirect
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

DEVICES = "/sys/class/infiniband"
PCI = "/sys/bus/pci/devices"
MELLANOX = "0x15b3"


def mlx5(machine: Machine) -> bool:
    """Whether there is an adapter of Mellanox'. PCI Code and ID Assignment Specification: 0x02 are network controllers."""
    return any(
        machine.attribute(f"{PCI}/{address}/vendor") == MELLANOX and machine.attribute(f"{PCI}/{address}/class").startswith("0x02")
        for address in machine.names(PCI)
    )


def rdma(machine: Machine) -> bool:
    """Whether there is an RDMA device, or an adapter that becomes one with its driver."""
    return bool(machine.names(DEVICES)) or mlx5(machine)


def infiniband(machine: Machine) -> bool:
    """Whether there is an InfiniBand port."""
    ports = [f"{DEVICES}/{device}/ports" for device in machine.names(DEVICES)]
    return any(machine.attribute(f"{port}/{number}/link_layer") == "InfiniBand" for port in ports for number in machine.names(port))


def gpus(machine: Machine) -> bool:
    """Whether there are an RDMA device and the NVIDIA driver."""
    return rdma(machine) and bool(gpudirect.driver(machine))


# The packages chrony, and ntp, ntpsec and openntpd. Debian's systemd-timesyncd conflicts with each (they provide time-daemon).
CHRONY, NTP = "/usr/sbin/chronyd", "/usr/sbin/ntpd"

CONDITIONS = {
    "all": lambda machine: True,
    "chrony": lambda machine: machine.exists(CHRONY),
    "timesyncd": lambda machine: not machine.exists(CHRONY) and not machine.exists(NTP),
    "mlx5": mlx5,
    "rdma": rdma,
    "infiniband": infiniband,
    "openibd": lambda machine: machine.exists("/etc/init.d/openibd"),
    "gpus": gpus,
    # Where DMA-BUF is not possible, and nvidia_peermem is.
    "peermem": lambda machine: gpus(machine) and bool(gpudirect.obstacles(machine)) and gpudirect.peermem(machine),
}


def here(machine: Machine, resources: list[dict]) -> list[dict]:
    """The resources that are declared for this node."""
    return [item for item in resources if CONDITIONS[item.get("where") or "all"](machine)]
