# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

"""Captured RDMA stacks: what dpkg, /sys and /proc show of them, in the words that the real ones use."""

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, gpudirect, ofed
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

KERNEL = "5.15.0-91-generic"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (dvs-builder@U22-I3-AF03-09-1)\n"
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.148.08  Thu May 15 18:56:02 UTC 2025\n"

INBOX = {"rdma-core": "39.0-1", "libibverbs1": "39.0-1", "ibverbs-utils": "39.0-1", "perftest": "4.4+0.5-1", "openmpi-bin": "4.1.2-2ubuntu1"}
DOCA = {
    "doca-host": "3.2.0-125000-25.10-ubuntu2204", "doca-ofed": "3.2.0", "doca-ofed-userspace": "3.2.0",
    "ofed-scripts": "25.10.OFED.25.10.1.2.8", "mlnx-ofed-kernel-dkms": "25.10.OFED.25.10.1.2.8.1-1", "mlnx-tools": "25.10.OFED.25.10.1.2.8.1-1",
    "mlnx-ofed-kernel-utils": "25.10.OFED.25.10.1.2.8.1-1", "rdma-core": "2510mlnx61-1.2510128", "libibverbs1": "2510mlnx61-1.2510128",
    "perftest": "25.10.0-0.128.gce1e6b0.2510128", "ucx": "1.20.0-1.2510128", "mft": "4.34.0.145-1", "openmpi-bin": "4.1.2-2ubuntu1",
}
MLNX_OFED = {
    "mlnx-ofed-all": "24.10-0.7.0.0", "ofed-scripts": "24.10.OFED.24.10.0.7.0", "mlnx-ofed-kernel-dkms": "24.10.OFED.24.10.0.7.0.1-1",
    "mlnx-ofed-kernel-utils": "24.10.OFED.24.10.0.7.0.1-1", "knem-modules-5.15.0-91-generic": "1.1.4.90mlnx3-1",
    "rdma-core": "2410mlnx54-1.2410068", "libibverbs1": "2410mlnx54-1.2410068",
}


class Node(Captured):
    """A node with Ubuntu's kernel."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.write("/proc/sys/kernel/osrelease", f"{KERNEL}\n")

    def installed(self, packages: dict[str, str], state: str = "install ok installed") -> None:
        """The packages that there are, in place of all others."""
        self.write(dpkg.STATUS, "".join(
            f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n\n" for name, version in sorted(packages.items())
        ))

    def says(self, ofed_info: str) -> None:
        self.answers["ofed_info"] = Completed(0, ofed_info)

    def loaded(self, version: str | None) -> None:
        """mlx5_core, and the version that it says."""
        self.write(f"{ofed.MLX5}/refcnt", "1\n")
        if version is not None:
            self.write(f"{ofed.MLX5}/version", f"{version}\n")

    def kernel_has(self, *modules: str) -> None:
        self.write(f"/lib/modules/{KERNEL}/modules.dep", "".join(f"updates/dkms/{module}.ko: kernel/x/other.ko\n" for module in modules))

    def driver(self, version: str = OPEN) -> None:
        self.write(gpudirect.DRIVER, version)

    def adapter(self, name: str | None, layer: str = "InfiniBand", vendor: str = "0x15b3", class_: str = "0x020700", number: int = 0) -> None:
        """A PCI adapter, and its RDMA device if it has a name."""
        device = f"/sys/devices/pci0000:1{number}/0000:1{number}:00.0"
        self.write(f"{device}/vendor", f"{vendor}\n")
        self.write(f"{device}/class", f"{class_}\n")
        self.link(f"/sys/bus/pci/devices/0000:1{number}:00.0", device)
        if name:
            self.soft(name, layer)
            self.write(f"/sys/class/infiniband/{name}/fw_ver", "28.39.2048\n")
            self.write(f"/sys/class/infiniband/{name}/board_id", "MT_0000000838\n")
            self.link(f"/sys/class/infiniband/{name}/device", device)

    def soft(self, name: str, layer: str = "Ethernet") -> None:
        """An RDMA device without hardware."""
        self.write(f"/sys/class/infiniband/{name}/ports/1/link_layer", f"{layer}\n")
