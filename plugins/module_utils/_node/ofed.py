# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Who provides a node's RDMA stack, and what of it runs: the distribution (inbox), NVIDIA's DOCA-OFED, or MLNX_OFED before it."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

PROVIDERS = INBOX, DOCA, MLNX_OFED = "inbox", "doca", "mlnx_ofed"
# A provider that is left as it is, whichever it is.
DETECT = "detect"

# What tells a provider. Those of OFED bear its release in their versions ("25.10.OFED.25.10.1.2.8.1-1" is of 25.10-1.2.8).
DOCA_OFED, MLNX_OFED_ALL, LIBRARY = "doca-ofed", "mlnx-ofed-all", "libibverbs1"
KERNEL = ("mlnx-ofed-kernel-dkms", "mlnx-ofed-kernel-modules")
PACKAGES = ("ofed-scripts", "mlnx-ofed-kernel-utils", *KERNEL, DOCA_OFED, MLNX_OFED_ALL, "rdma-core", LIBRARY)

MLX5 = "/sys/module/mlx5_core"


class Stack:
    """The provider (None where there is none), its version, and whether its packages bring kernel modules."""

    def __init__(self, machine: Machine) -> None:
        known = {name: fields["Version"] for name, fields in dpkg.packages(machine, PACKAGES).items() if dpkg.state(fields) == "installed"}
        found = re.search(r"OFED\.(\d+\.\d+)\.(\d+(\.\d+)+)", " ".join(known.values()))
        self.version = f"{found[1]}-{found[2]}" if found else next(iter(known.values()), None)
        self.kernel = any(name in known for name in KERNEL)
        self.provider = DOCA if DOCA_OFED in known else MLNX_OFED if MLNX_OFED_ALL in known else INBOX if known else None
        if self.provider == INBOX and (found or "mlnx" in known.get(LIBRARY, "")):
            # Another metapackage, or none. DOCA's says "OFED-internal-25.10-1.2.8:", the other "MLNX_OFED_LINUX-24.10-0.7.0.0:".
            self.provider = DOCA if machine.run("ofed_info", "-s").stdout.startswith("OFED-i") else MLNX_OFED

    def __str__(self) -> str:
        return f"{self.provider} {self.version}"


def reboot_reason(machine: Machine, stack: Stack) -> str | None:
    """Why a reboot is needed, in a line: mlx5_core is loaded, and not the one that the stack brings."""
    # OFED's modules say their release; the kernel's own say nothing, the kernel's version, or "5.0-0".
    found = re.fullmatch(r"\d+\.\d+-\d+(\.\d+)+", machine.attribute(f"{MLX5}/version"))
    right = found and f"{stack.version}.".startswith(f"{found[0]}.") if stack.kernel else not found
    if right or not machine.exists(MLX5) or stack.provider != INBOX and not stack.kernel:
        return None
    stays = "; if that does not help, see `dkms status`" if stack.kernel else ""
    return f"reboot needed: mlx5_core {found[0] if found else 'of the kernel itself'} runs, {stack} is installed{stays}"
