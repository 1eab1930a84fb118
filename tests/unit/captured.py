# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A captured tree: a machine's root as files below a folder, and what its programs answer."""

from __future__ import annotations

import json
import os
import shutil
import struct
import uuid
from pathlib import Path

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed, Machine

ARRAY = "6ab0b1d7:9aa07d2e:aa5a0b1f:6f1c2bd4"
OTHER_ARRAY = "11111111:22222222:33333333:44444444"
FILESYSTEM = "0b0f4d3c-2c2e-4a8e-9a1f-5d4d1f1c9a11"
OTHER_FILESYSTEM = "5e0f4d3c-2c2e-4a8e-9a1f-5d4d1f1c9a55"

MOUNTINFO = "/proc/self/mountinfo"
SWAPS = "/proc/swaps"


def md_superblock(
    uuid_: str = ARRAY, name: str = "any:scratch", drives: int = 2, level: int = 0, chunk_kib: int = 512, role: int = 0, data: int = 0,
) -> bytes:
    """The first 8 KiB of a member of an md array. struct mdp_superblock_1 of Linux' md_p.h, 4 KiB into the device."""
    words = struct.pack(
        "<IIII16s32sQiIQII", 0xA92B4EFC, 1, 0, 0, bytes.fromhex(uuid_.replace(":", "")), name.encode(), 0, level, 0, 0,
        chunk_kib * 2, drives,
    )
    block = bytearray(bytes(4096) + words.ljust(4096, b"\0"))
    struct.pack_into("<Q", block, 4096 + 128, data // 512)
    struct.pack_into("<H", block, 4096 + 256, role)
    return bytes(block)


def xfs_superblock(
    uuid_: str = FILESYSTEM, label: str = "scratch", in_progress: bool = False, unit_kib: int = 512, drives: int = 2
) -> bytes:
    """The first 8 KiB of an XFS with blocks of 4 KiB. struct xfs_dsb of Linux' xfs_format.h, big-endian."""
    block = bytearray(8192)
    struct.pack_into(">4sI", block, 0, b"XFSB", 4096)
    block[32:48] = uuid.UUID(uuid_).bytes
    struct.pack_into(">12s", block, 108, label.encode())
    block[126] = in_progress
    struct.pack_into(">II", block, 184, unit_kib // 4, unit_kib // 4 * drives)
    return bytes(block)


class Captured(Machine):
    """Builds what Linux shows of a machine, below a folder. `ran` lists the programs that a check started."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.folder = root
        self.ran: list[tuple[str, ...]] = []
        self.signatures: dict[str, list[tuple[str, str | None]]] = {}
        self.answers: dict[str, Completed] = {}
        self.silent: set[tuple[str, int]] = set()
        self._minor = 0
        self.write(MOUNTINFO, "")
        self.write(SWAPS, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")

    def run(self, *argv: str) -> Completed:
        self.ran.append(argv)
        if argv[0] in self.answers:
            return self.answers[argv[0]]
        assert argv[0] == "wipefs", f"{argv} was not expected"
        device = "/" + os.path.relpath(argv[-1], self.root)
        found = [{"type": type_, "label": label} for type_, label in self.signatures.get(device, [])]
        return Completed(0, json.dumps({"signatures": found}))

    def reachable(self, server: str, port: int) -> bool:
        return (server, port) not in self.silent

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the machine."""
        file = Path(self.path(name))
        file.parent.mkdir(parents=True, exist_ok=True)
        device = name.startswith("/dev/") and file.exists()  # keeps its size, and what lies behind
        with file.open("r+b" if device else "wb") as opened:
            opened.write(content.encode() if isinstance(content, str) else content)
        return file

    def link(self, name: str, target: str) -> None:
        """A link as sysfs has them: relative."""
        link = Path(self.path(name))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(self.path(target), link.parent))

    def device(self, directory: str, content: bytes) -> str:
        """A block device: its folder in /sys/devices, the links to it, and what it holds. Returns its number."""
        name, number = directory.rpartition("/")[2], f"259:{self._minor}"
        self._minor += 1
        self.write(f"{directory}/dev", f"{number}\n")
        Path(self.path(f"{directory}/holders")).mkdir()
        self.link(f"/sys/dev/block/{number}", directory)
        self.link(f"/sys/class/block/{name}", directory)
        self.write(f"/dev/{name}", content)
        return number

    def drive(
        self, name: str, serial: str, content: bytes = bytes(8192), sectors: int = 2 << 20, multipath: bool = False,
        wwid: str | None = None,
    ) -> str:
        """A whole NVMe namespace; without `multipath` its controller is its parent, with it the subsystem is."""
        controller = f"nvme{name[4:].partition('n')[0]}"
        parent = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0" if multipath else f"/sys/devices/pci0000:00/{controller}"
        directory = f"{parent}/{name}"
        self.write(f"{parent}/serial", f"{serial}         \n")
        self.write(f"{directory}/size", f"{sectors}\n")
        self.write(f"{directory}/wwid", f"{wwid or 'eui.' + serial}\n")
        self.device(directory, content)
        os.truncate(self.path(f"/dev/{name}"), sectors * 512)
        self.link(f"{directory}/device", parent)
        self.link(f"/sys/block/{name}", directory)
        if multipath:
            path = f"/sys/devices/pci0000:00/nvme0/nvme0c0{name[5:]}"
            self.write(f"{path}/size", f"{sectors}\n")
            self.link(f"/sys/block/nvme0c0{name[5:]}", path)
        return f"/dev/{name}"

    def partition(self, drive: str, number: int) -> str:
        name = f"{drive}p{number}"
        directory = f"{self.directory(drive)}/{name}"
        self.write(f"{directory}/partition", f"{number}\n")
        self.device(directory, b"")
        return name

    def stacked(self, name: str, slaves: list[str], content: bytes = bytes(8192)) -> str:
        """A device made of others: an md array or a mapping."""
        directory = f"/sys/devices/virtual/block/{name}"
        self.device(directory, content)
        self.write(f"{directory}/size", f"{os.path.getsize(self.path(f'/dev/{name}')) // 512}\n")
        self.link(f"/sys/block/{name}", directory)
        for slave in slaves:
            self.link(f"{directory}/slaves/{slave}", self.directory(slave))
            self.link(f"{self.directory(slave)}/holders/{name}", directory)
        return directory

    def md(self, name: str, members: list[str], content: bytes = bytes(8192), state: str = "clean") -> str:
        self.write(f"{self.stacked(name, members, content)}/md/array_state", f"{state}\n")
        return f"/dev/{name}"

    def stop(self, name: str) -> None:
        """Takes an array away. What it held stays in /dev, for the day that it runs again."""
        directory = self.path(self.directory(name))
        for holder in self.folder.glob(f"sys/devices/**/holders/{name}"):
            holder.unlink()
        for link in (f"sys/dev/block/{self.number(name)}", f"sys/block/{name}", f"sys/class/block/{name}"):
            self.folder.joinpath(link).unlink()
        shutil.rmtree(directory)

    def mapping(self, name: str, mapped: str, slaves: list[str]) -> None:
        self.write(f"{self.stacked(name, slaves)}/dm/name", f"{mapped}\n")

    def directory(self, name: str) -> str:
        """The folder of a device in /sys/devices."""
        return "/" + os.path.relpath(os.path.realpath(self.path(f"/sys/class/block/{name}")), os.path.realpath(self.root))

    def number(self, name: str) -> str:
        return self.attribute(f"/sys/class/block/{name}/dev")

    def mount(self, device: str, path: str, fstype: str = "xfs", options: str = "rw,noatime", source: str | None = None) -> None:
        """A line of mountinfo. `device` is a name, or a number of a file system without one."""
        number = device if ":" in device else self.number(device)
        escaped = path.replace("\\", "\\134").replace(" ", "\\040")
        line = f"36 35 {number} / {escaped} {options} shared:1 - {fstype} {source or '/dev/' + device} rw,attr2\n"
        self.write(MOUNTINFO, (self.text(MOUNTINFO) or "") + line)

    def swap(self, path: str) -> None:
        self.write(SWAPS, (self.text(SWAPS) or "") + f"{path}\tpartition\t8388604\t0\t-2\n")

    def record(self, name: str = "scratch", **fields: object) -> dict:
        """What the collection wrote down of an array."""
        drives = fields.pop("serials", ["S1", "S2"])
        record = {
            "schema": 1, "status": "created", "name": name, "replaces": [], "layout": "array", "uuid": ARRAY,
            "filesystem": FILESYSTEM, "drives": [{"wwid": f"eui.{serial}", "serial": serial} for serial in drives], **fields,
        }
        self.write(f"/var/lib/onecc/nvme_raid/{name}.json", json.dumps(record))
        return record

    def mdadm_conf(self, array: str = ARRAY, name: str = "scratch") -> None:
        self.write("/etc/mdadm/mdadm.conf", f"HOMEHOST <system>\nARRAY /dev/md/{name} metadata=1.2 UUID={array}\n")


def spec(**fields: object) -> dict:
    """A declared array."""
    return {
        "name": "scratch", "layout": "auto", "drives": None, "chunk_kib": 512, "ignore": [], "rebuild": [], "overwrite": [],
        "recreate": False, "adopt": False, **fields,
    }


def volume(machine: Captured, md: str = "md127", serials: tuple[str, ...] = ("S1", "S2")) -> dict:
    """Makes the machine one whose array is in the declared state; returns its record."""
    for number, serial in enumerate(serials):
        machine.drive(f"nvme{number}n1", serial, md_superblock(drives=len(serials)))
    machine.md(md, [f"nvme{number}n1" for number in range(len(serials))], xfs_superblock(drives=len(serials)))
    machine.mdadm_conf()
    return machine.record(serials=list(serials))
