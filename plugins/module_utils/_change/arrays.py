# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Arrays: makes the volume of the spare drives, or takes up what a run that was cut has left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import block, durable, mdadm, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# Create, or assemble, format, record, mdadm.conf, initramfs: one round each, and one that finds nothing left.
ROUNDS = 8
# udev holds its own lock on a device as long as it looks at it: milliseconds, but for a drive that does not answer (as
# block.LOOK_SECONDS).
LOCK_SECONDS = 60
# linux/fs.h: has the kernel read the partition table again.
BLKRRPART = 0x125F


class Volume:
    """Takes the steps of a plan. Each method is one step, and may be cut at any point."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.machine = Machine()

    def command(self, *argv: str) -> str:
        rc, stdout, stderr = self.hand.run_command(list(argv), environ_update={"LC_ALL": "C"})
        if rc:
            self.hand.fail_json(msg=f"{' '.join(argv)} failed with exit status {rc}: {(stderr or stdout).strip()}")
        return stdout

    def record(self, **fields) -> None:
        durable.write(storage.record_path(self.hand.params["name"]), json.dumps(fields, indent=2) + "\n", 0o644)

    def create(self, layout: str, drives: list, own: list[str]) -> None:
        """Makes the volume. Before the first write to a drive, the record says what is being made of which."""
        array, filesystem = storage.new_uuid(), str(uuid.uuid4())
        fields = {
            "schema": 1,
            "status": "creating",
            "name": self.hand.params["name"],
            "replaces": own,
            "layout": layout,
            "uuid": array if layout == "array" else filesystem,
            "filesystem": filesystem,
            "drives": [{"wwid": drive.wwid, "serial": drive.serial} for drive in drives],
        }
        self.record(**fields)
        with self.locked(drive.path for drive in drives):
            self.release(drives)
            for drive in drives:
                self.wipe(drive)
            device = drives[0].path
            if layout == "drive":
                self.mkfs(device, filesystem, 0, 1)
            else:
                device = self.stripe(array, drives)
        if layout == "array":
            self.mkfs(device, filesystem, self.hand.params["chunk_kib"], len(drives))
        self.seen(device)
        self.record(**{**fields, "status": "created", "replaces": []})

    @contextlib.contextmanager
    def locked(self, devices: Iterator[str]) -> Iterator[None]:
        """Holds the lock by which udev, and with it systemd and mdadm's incremental assembly, keeps away from block devices.

        https://systemd.io/BLOCK_DEVICE_LOCKING. udev looks at them when they are let go. Not settle() meanwhile: it would wait.
        """
        with contextlib.ExitStack() as stack:
            for device in devices:
                self.lock(device, stack.enter_context(open(self.machine.path(device), "rb", buffering=0)).fileno())
            yield

    def lock(self, device: str, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self.hand.fail_json(msg=f"{device} is locked by another program for {LOCK_SECONDS} s; `lslocks` there shows which. "
                                            "Nothing was written. Wait for it to end, and run again")
                time.sleep(0.1)

    def release(self, drives: list) -> None:
        """Takes from the drives what the kernel made of the volume's own earlier life."""
        for array in storage.gathered(self.machine, drives):
            self.unmount(array.device)
            self.command("mdadm", "--stop", array.path)
        for drive in drives:
            self.unmount(self.machine.attribute(f"/sys/block/{drive.name}/dev"))

    def wipe(self, drive) -> None:
        """Zeroes what would show on the drive, and through a new array, of what the drive held: file systems, tables, superblocks.

        The very beginning goes last, and with it the mark by which a run that was cut knows the drive as its own.
        """
        edge, first, end = block.EDGE, 2 * 4096, drive.size
        regions = [(storage.DATA_OFFSET, edge), (max(first, end - edge), edge), (first, edge - first), (0, first)]
        try:
            descriptor = os.open(self.machine.path(drive.path), os.O_RDWR | os.O_EXCL)  # no: somebody has mounted or gathered it since
            try:
                for offset, length in regions:
                    self.zero(descriptor, offset, min(length, end - offset))
                if drive.named:
                    with contextlib.suppress(OSError):  # it has no partitions, and cannot have
                        fcntl.ioctl(descriptor, BLKRRPART)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.hand.fail_json(msg=f"drive {drive.label} cannot be written to: {error.strerror}. It is not part of anything yet: see the "
                                    f"kernel's log (dmesg), and leave the drive out with nvme_raid_ignore: ['{drive.serial}'] if it is worn out")

    def zero(self, descriptor: int, offset: int, length: int) -> None:
        """Only where there is something: a blank drive is not worn."""
        if length > 0 and os.pread(descriptor, length, offset) != bytes(length):
            os.pwrite(descriptor, bytes(length), offset)
            os.fsync(descriptor)

    def unmount(self, device: str) -> None:
        for mount in reversed(block.mounts(self.machine)):
            if mount.device == device:
                self.command("umount", mount.path)

    def stripe(self, array: str, drives: list) -> str:
        name = self.hand.params["name"]
        self.command(
            "mdadm", "--create", f"/dev/md/{name}", "--run", "--metadata=1.2", "--level=0", f"--name={name}",
            "--homehost=any", f"--uuid={array}", f"--chunk={self.hand.params['chunk_kib']}",
            f"--data-offset={storage.DATA_OFFSET >> 10}", f"--raid-devices={len(drives)}", *(drive.path for drive in drives),
        )
        return storage.gathered(self.machine, drives)[0].path

    def mkfs(self, device: str, filesystem: str, chunk_kib: int, width: int) -> None:
        """Formats and waits until all is on the drives. Only a drive or array known to hold nothing comes here.

        mkfs.xfs claims the device for itself, so nobody mounts it before it is whole.
        """
        geometry = ("-d", f"su={chunk_kib}k,sw={width}") if chunk_kib else ()
        self.command(
            "mkfs.xfs", "-f", "-q", "-L", self.hand.params["name"], "-m", f"uuid={filesystem}", *geometry, device
        )
        durable.flush(device)

    def settle(self) -> None:
        """Waits for udev, which makes the links by which a file system is mounted."""
        self.command("udevadm", "settle", "--timeout=60")

    def seen(self, device: str) -> None:
        """Has udev look at a device, and waits for it.

        It does so by itself when a program closes what it wrote to, but not where that happens while it looks at the new array: it
        then has seen the array without the file system, and a mount would wait for the link for 90 seconds, in vain.
        """
        self.command("udevadm", "trigger", "--action=change", "--settle", self.machine.path(device))

    def assemble(self, uuid: str, drives: list) -> None:
        with self.locked(drive.path for drive in drives):
            arrays = storage.gathered(self.machine, drives)
            if not any(array.running for array in arrays):  # else udev was faster
                for array in arrays:
                    self.command("mdadm", "--stop", array.path)
                paths = [drive.path for drive in drives]
                self.command("mdadm", "--assemble", f"/dev/md/{self.hand.params['name']}", f"--uuid={uuid}", *paths)
        self.settle()

    def format(self, device: str, fields: dict, chunk_kib: int) -> None:
        """Formats an array that was there without a file system. Until that is done it counts as being created."""
        self.record(**{**fields, "status": "creating"})
        self.mkfs(device, fields["filesystem"], chunk_kib, len(fields["drives"]))
        self.seen(device)
        self.record(**fields)

    def mdadm_conf(self, before: str, after: str) -> None:
        durable.write(mdadm.CONF, after, 0o644)

    def initramfs(self) -> None:
        # A clock that was set back since would leave mdadm.conf newer than anything made now.
        os.utime(mdadm.CONF)
        self.command("update-initramfs", "-u", "-k", "all")


def converge(hand: Hand) -> dict:
    """Takes steps until the plan has none, and returns the module's result."""
    volume = Volume(hand)
    first = found = storage.plan(volume.machine, hand.params)
    for _round in range(ROUNDS):
        if found.refused:
            hand.fail_json(msg="\n".join(found.refused), differences=first.differences)
        if not found.steps or hand.check_mode:
            break
        for step, arguments in found.steps:
            getattr(volume, step)(**arguments)
        found = storage.plan(volume.machine, hand.params)
    else:
        hand.fail_json(msg=f"After {ROUNDS} rounds there is still something to do: {[step for step, _args in found.steps]}")
    return {
        **mended(first.differences), "layout": found.layout, "device": found.device or "", "filesystem": found.filesystem or "",
    }


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Makes what differs, one array after the other."""
    return [converge(hand.holding(item))["diff"] for item in resources]
