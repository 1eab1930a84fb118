# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Block devices: a node's NVMe drives, what each holds, and the md arrays that run."""

from __future__ import annotations

import errno
import json
import os
import re
import struct

from ansible_collections.onecc.cluster.plugins.module_utils._node import patience
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# A whole NVMe namespace as Linux names it: controller or subsystem, then namespace. The paths behind a multipath
# namespace (nvme0c1n1) and partitions (nvme0n1p1) do not match.
NAMESPACE = re.compile(r"nvme\d+n\d+")

# What the system itself lives on is nobody's spare drive.
SYSTEM_MOUNTS = {"/", "/boot", "/boot/efi", "/usr", "/var", "/home"}

# Words for signatures whose libblkid name a person may not know.
CONTENTS = {
    "crypto_LUKS": "LUKS",
    "LVM2_member": "LVM",
    "linux_raid_member": "md array member",
    "PMBR": "protective MBR",
    "gpt": "GPT partition table",
    "dos": "DOS partition table",
}


# What is read of a device to see that it is blank: this much of its beginning and of its end, and so many samples in between.
# The signatures that libblkid knows lie in the edges (the farthest one, LUKS2's, 4 MiB in); eight drives are 100 MiB.
EDGE = 4 << 20
SAMPLES = 64
SAMPLE = 64 << 10
# As machine.COMMAND_TIMEOUT: a drive with bad sectors answers after the kernel's own 30 s (nvme_core.io_timeout).
LOOK_SECONDS = 60
# NVM Express Base Specification, Identify Namespace, DLFEAT: blocks that were deallocated read as 00h or as FFh.
BLANK = (b"\x00", b"\xff")
SECTOR = 512


class Mounted:
    """A line of mountinfo: `device` as "major:minor", where it is mounted, its type, and all its options."""

    def __init__(self, device: str, path: str, fstype: str, source: str, options: set[str]) -> None:
        self.device = device
        self.path = path
        self.fstype = fstype
        self.source = source
        self.options = options


class Superblock:
    """What an md superblock says: the array's `uuid` and `name`, its `level`, chunk and number of drives, and of its own drive
    the `role`, and the byte from which on it holds data."""

    def __init__(self, uuid_: str, name: str, level: int, chunk_kib: int, drives: int, role: int, data: int) -> None:
        self.uuid = uuid_
        self.name = name
        self.level = level
        self.chunk_kib = chunk_kib
        self.drives = drives
        self.role = role
        self.data = data


class Drive:
    """A whole NVMe namespace. In words, `uses` says what uses it, `named` what it holds, `unnamed` that it holds data which
    nothing names. It is spare where there is none of these."""

    def __init__(self, name: str, serial: str, wwid: str, size: int) -> None:
        self.name = name
        self.serial = serial
        self.wwid = wwid
        self.size = size
        self.system = False
        self.superblock: Superblock | None = None
        self.xfs: Xfs | None = None
        self.read_only = False
        self.uses: list[str] = []
        self.named: list[str] = []
        self.unnamed: str | None = None

    @property
    def contents(self) -> list[str]:
        return [*self.uses, *self.named, *([self.unnamed] if self.unnamed else [])]

    @property
    def path(self) -> str:
        return "/dev/" + self.name

    @property
    def label(self) -> str:
        """How a person finds the drive: its name of today, and the serial number on it."""
        return f"{self.name} (serial {self.serial})"


class Array:
    """An md device that exists in the kernel: running, or gathered and not started."""

    def __init__(self, name: str, members: list[str], running: bool, device: str) -> None:
        self.name = name
        self.members = members
        self.running = running
        self.device = device

    @property
    def path(self) -> str:
        return "/dev/" + self.name


class Xfs:
    """The superblock of an XFS: identity, label, and stripe geometry in KiB and drives (0 where it has none)."""

    def __init__(self, uuid_: str, label: str, complete: bool, unit_kib: int, width: int) -> None:
        self.uuid = uuid_
        self.label = label
        self.complete = complete
        self.unit_kib = unit_kib
        self.width = width


def mounts(machine: Machine) -> list[Mounted]:
    """What is mounted, in the order of mounting. proc(5), /proc/pid/mountinfo."""
    found = []
    for line in (machine.text("/proc/self/mountinfo") or "").splitlines():
        left, _dash, right = line.partition(" - ")
        fields, (fstype, source, super_options) = left.split(), right.split(" ", 2)
        options = set(fields[5].split(",")) | set(super_options.split(","))
        path = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), fields[4])
        found.append(Mounted(fields[2], path, fstype, source, options))
    return found


def uuid_text(raw: bytes) -> str:
    """A UUID as file systems write it. To load Python's own module for it would be a tenth of a comparison's time on the node."""
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def uuid_words(raw: bytes) -> str:
    """An array's UUID as mdadm writes it: four groups of eight digits."""
    digits = raw.hex()
    return ":".join(digits[i:i + 8] for i in range(0, 32, 8))


def superblock(machine: Machine, device: str) -> Superblock | None:
    """The md superblock, version 1.2, of a device. Layout: struct mdp_superblock_1 in Linux' md_p.h, at 4 KiB."""
    data = machine.data(device, 4096, 4096) or b""
    if len(data) < 256 or data[:4] != bytes.fromhex("fc4e2ba9"):
        return None
    level, = struct.unpack_from("<i", data, 72)
    chunk_sectors, drives = struct.unpack_from("<II", data, 88)
    data_sectors, = struct.unpack_from("<Q", data, 128)
    number, = struct.unpack_from("<I", data, 160)
    roles = data[256 + 2 * number:258 + 2 * number].ljust(2, b"\xff")
    name = data[32:64].rstrip(b"\0").decode("utf-8", "replace")
    role, = struct.unpack("<H", roles)
    return Superblock(uuid_words(data[16:32]), name, level, chunk_sectors // 2, drives, role, data_sectors * SECTOR)


def xfs(machine: Machine, device: str, offset: int = 0) -> Xfs | None:
    """The XFS superblock of a device. Layout: struct xfs_dsb in Linux' xfs_format.h, big-endian, at 0."""
    data = machine.data(device, offset, 512) or b""
    if len(data) < 512 or data[:4] != b"XFSB":
        return None
    block_size, = struct.unpack_from(">I", data, 4)
    unit, width = struct.unpack_from(">II", data, 184)
    label = data[108:120].rstrip(b"\0").decode("utf-8", "replace")
    return Xfs(
        uuid_text(data[32:48]), label, not data[126], unit * block_size // 1024, width // unit if unit else 0
    )


def signatures(machine: Machine, device: str) -> list[str]:
    """In words, every signature that wipefs(8) finds on a device; it only looks. Also those with a wrong checksum."""
    probe = machine.run("wipefs", "--json", "--output", "TYPE,LABEL", machine.path(device))
    if probe.rc:
        return [f"something that could not be read ({probe.stderr.strip() or f'exit status {probe.rc}'})"]
    try:
        # Not strict: a label may hold control characters.
        listed = json.loads(probe.stdout or '{"signatures": []}', strict=False)["signatures"]
    except ValueError:
        return [f"something that could not be read (wipefs said {probe.stdout.strip()!r})"]
    found = []
    for item in listed:
        words = CONTENTS.get(item["type"]) or f"{item['type']}"
        found.append(f"{words} signature" + (f" (label {item['label']})" if item.get("label") else ""))
    return list(dict.fromkeys(found))


def unnamed(machine: Machine, device: str, size: int) -> str | None:
    """In words, that a device without a signature holds data all the same; None where all that is read of it is blank."""
    try:
        found = patience.within(LOOK_SECONDS, lambda: first_data(machine.path(device), size))
    except TimeoutError:
        return f"cannot be read: no answer in {LOOK_SECONDS} s"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if found is None else f"holds data that no signature names, at byte {found}"


def first_data(path: str, size: int) -> int | None:
    """Where the first bytes are that are not blank, among those that are read; None where all are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for offset, length in regions(size):
            data = os.pread(descriptor, length, offset)
            if len(data) < length:
                raise OSError(errno.EIO, f"it ends at byte {offset + len(data)}")
            if not blank(data):
                return offset + next(at for at in range(0, length, SECTOR) if not blank(data[at:at + SECTOR]))
    finally:
        os.close(descriptor)
    return None


def regions(size: int) -> list[tuple[int, int]]:
    """Offset and length of what is read of a device of a size: its edges and, evenly spread, samples between them."""
    if size <= 2 * EDGE + SAMPLES * SAMPLE:
        return [(offset, min(EDGE, size - offset)) for offset in range(0, size, EDGE)]
    step = (size - 2 * EDGE) // SAMPLES // SECTOR * SECTOR
    return [(0, EDGE), *((EDGE + number * step, SAMPLE) for number in range(SAMPLES)), (size - EDGE, EDGE)]


def blank(data: bytes) -> bool:
    """Whether each block of 512 bytes is as one that was never written, or was discarded."""
    if any(data == value * len(data) for value in BLANK):
        return True
    return len(data) > SECTOR and all(blank(data[at:at + SECTOR]) for at in range(0, len(data), SECTOR))


def in_use(machine: Machine, device: str) -> bool:
    """Whether the kernel refuses exclusive use: a mount in another namespace, a pool, a program that claimed it."""
    try:
        os.close(os.open(machine.path(device), os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def below(machine: Machine, device: str) -> set[str]:
    """The whole disks below a device, given as "major:minor": through partitions, device mapper and md."""
    if not machine.exists(f"/sys/dev/block/{device}"):
        return set()
    directory = machine.real(f"/sys/dev/block/{device}")
    if machine.exists(directory + "/partition"):
        directory = directory.rpartition("/")[0]
    slaves = machine.names(directory + "/slaves")
    if not slaves:
        return {directory.rpartition("/")[2]}
    return set().union(*(below(machine, machine.attribute(f"{directory}/slaves/{name}/dev")) for name in slaves))


def remote(machine: Machine, sys: str) -> bool:
    """Whether a namespace is another computer's, reached over a fabric. Below a multipath one stand its controllers."""
    controllers = [name for name in machine.names(f"{sys}/device") if re.fullmatch(r"nvme\d+", name)]
    found = [machine.attribute(f"{sys}/device/{path}") for path in ["transport", *(f"{name}/transport" for name in controllers)]]
    return any(transport not in ("", "pcie") for transport in found)


def drives(machine: Machine, mounted: list[Mounted]) -> list[Drive]:
    """Every whole NVMe namespace in this computer, in the order of serial numbers: names change from boot to boot."""
    system = set().union(*(below(machine, mount.device) for mount in mounted if mount.path in SYSTEM_MOUNTS))
    found = []
    for name in filter(NAMESPACE.fullmatch, machine.names("/sys/block")):
        sys = f"/sys/block/{name}"
        serial = machine.attribute(f"{sys}/device/serial")
        wwid = machine.attribute(f"{sys}/wwid") or serial
        size = int(machine.attribute(f"{sys}/size") or 0) * 512
        if not size or remote(machine, sys):
            continue  # a namespace that failed, or that is not attached, has no capacity
        drive = Drive(name, serial or wwid or "unknown", wwid, size)
        drive.system = name in system
        drive.read_only = machine.attribute(f"{sys}/ro") == "1"
        if not drive.system:
            drive.superblock = superblock(machine, drive.path)
            drive.xfs = None if drive.superblock else xfs(machine, drive.path)
        found.append(drive)
    return sorted(found, key=lambda drive: (drive.serial, drive.wwid))


def look_inside(machine: Machine, drive: Drive, mounted: list[Mounted]) -> None:
    """Says what a drive holds and what uses it. Costs a process, so only drives whose use is undecided are looked into."""
    sys = f"/sys/block/{drive.name}"
    parts = [name for name in machine.names(sys) if machine.exists(f"{sys}/{name}/partition")]
    devices = {machine.attribute(f"{sys}/dev"), *(machine.attribute(f"{sys}/{part}/dev") for part in parts)}
    uses = [f"is mounted at {mount.path}" for mount in mounted if mount.device in devices]
    swaps = {line.split()[0] for line in (machine.text("/proc/swaps") or "").splitlines()[1:]}
    uses += [f"is swap space in use ({name})" for name in (drive.name, *parts) if f"/dev/{name}" in swaps]
    for where in (sys, *(f"{sys}/{part}" for part in parts)):
        for holder in machine.names(f"{where}/holders"):
            dm = machine.attribute(f"/sys/block/{holder}/dm/name")
            uses.append(f"is used by {holder}" + (f" ({dm})" if dm else ""))
    if not uses and in_use(machine, drive.path):
        uses.append("is in use by something that this check does not see")
    named = [f"has the partition {part}" for part in parts]
    if drive.superblock:
        named.append(f"is a member of the md array {drive.superblock.name} (UUID {drive.superblock.uuid})")
    elif found := signatures(machine, drive.path):
        named.append("holds " + ", ".join(found))
    drive.uses, drive.named = uses, named
    drive.unnamed = None if uses or named else unnamed(machine, drive.path, drive.size)


def arrays(machine: Machine) -> list[Array]:
    """The md devices that the kernel has."""
    found = []
    for name in machine.names("/sys/block"):
        sys = f"/sys/block/{name}"
        if name.startswith("md") and machine.exists(f"{sys}/md"):
            state = machine.attribute(f"{sys}/md/array_state")
            if state == "clear":
                continue  # a device node without an array, left behind by mdadm --stop
            running = state not in ("inactive", "suspended", "broken", "")
            found.append(Array(name, machine.names(f"{sys}/slaves"), running, machine.attribute(f"{sys}/dev")))
    return found
