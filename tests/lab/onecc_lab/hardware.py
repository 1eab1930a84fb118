# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built of, whatever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ACCELS = ("kvm", "uml", "tcg")
"""What can run a node: QEMU with this computer's KVM, a User-Mode Linux kernel, or QEMU's emulator; best first."""


@dataclass(frozen=True)
class Drive:
    """An NVMe drive of a node."""

    serial: str
    file: str
    """Name of the raw file in the machine's folder."""
    attached: bool = True


@dataclass(frozen=True)
class Network:
    """A multicast group that stands for a switch."""

    group: str
    port: int


@dataclass(frozen=True)
class Hardware:
    """What a machine is built of. File names are relative to the machine's folder, where its processes run."""

    name: str
    accel: str
    """One of `ACCELS`."""
    kernel: Path
    disk: Path
    """The image's root file system, which the machine's own disk is written over."""
    memory_mib: int
    slot: int
    index: int
    forward: str | None
    """Address and port of this computer that reach the node's SSH, `127.77.1.2:2222`; None for no way in."""
    private: Network
    rails: tuple[Network, ...]
    drives: tuple[Drive, ...]
    shares: tuple[str, ...]
    """Tags of persistent file systems; each is served on the socket `shares/TAG`."""
    cloud_init: bool
