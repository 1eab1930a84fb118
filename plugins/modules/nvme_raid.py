#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nvme_raid
short_description: Keeps a node's spare NVMe drives as one striped, formatted volume
version_added: 0.1.0
description:
  - Makes one RAID 0 array with an XFS aligned to it of all spare NVMe drives of a node, or an XFS on the only spare drive.
  - A drive is spare when it is a whole NVMe namespace with no mount, partition, holder, swap or signature on it, and blank.
    Of its content the first and the last 4 MiB and 64 samples in between are read; blank are zeros, and the pattern FFh that some drives
    give for discarded blocks. Device names are never looked at, because they change between boots.
  - An array that exists under the declared name is adopted under any md number where it bears all the marks of one that this
    module made (home host V(any), level 0, and an XFS labelled like it); otherwise only with O(adopt). One in state is left alone.
  - A drive that holds anything else, or that is read-only, makes the module fail, and says which drive holds what. Nothing is
    written then.
  - While the array is made, its drives are locked as systemd's "Locking Block Device Access" describes, and what would show
    through the new array is zeroed first; so nobody mounts or assembles what is being made.
  - A run that was cut at any moment, also by a power loss, is taken up by the next run.
  - Needs C(mdadm) and C(xfsprogs) on the node. In check mode it needs neither.
options:
  name:
    description:
      - Name of the array, C(/dev/md/NAME), and label of the file system.
      - A lower-case letter, then up to 11 lower-case letters, digits, V(_) or V(-), as an XFS label has room for 12 bytes.
    type: str
    required: true
  layout:
    description:
      - What is to be made of the drives.
      - V(auto) makes an array of two or more spare drives, a single drive of one, and nothing but a directory of none.
      - V(array), V(drive) and V(directory) declare one of these, and the module fails where the drives do not suit it.
    type: str
    choices: [auto, array, drive, directory]
    default: auto
  drives:
    description:
      - How many drives the volume has. With any other number of spare drives, nothing is made and the module fails.
      - Without it, all spare drives are taken.
    type: int
  chunk_kib:
    description:
      - Chunk of the array in KiB, a power of two from 4 on. The default is that of mdadm.
    type: int
    default: 512
  ignore:
    description:
      - Serial numbers of drives that are not for this volume, whatever they hold.
    type: list
    elements: str
    default: []
  rebuild:
    description:
      - UUIDs of the arrays (or, for a single drive, of the file system) that may be destroyed and made anew.
      - The message that says that an array has lost a drive gives the value.
    type: list
    elements: str
    default: []
  overwrite:
    description:
      - Serial numbers of drives that may be overwritten, whatever they hold. What is in use is never overwritten.
    type: list
    elements: str
    default: []
  recreate:
    description:
      - Whether the volume is made anew where all its drives are blank, as on nodes of a cloud that were stopped and started.
      - As many blank drives have to be there as the volume had, the same ones or others in their place. Nothing can be lost then, so
        it may be set for all nodes at once.
    type: bool
    default: false
  adopt:
    description:
      - Whether an array (or the only drive, by its label) that has no more than the name of the declared one is taken over, with the
        data in it.
    type: bool
    default: false
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do, also on a node without mdadm.
    support: full
  diff_mode:
    description: Shows what differs, a line each.
    support: full
"""

EXAMPLES = r"""
- name: Make one volume of all spare NVMe drives
  onecc.cluster.nvme_raid:
    name: scratch

- name: Exactly eight drives, or nothing
  onecc.cluster.nvme_raid:
    name: scratch
    layout: array
    drives: 8

- name: A drive died, its data is gone, make the volume anew from the others
  onecc.cluster.nvme_raid:
    name: scratch
    rebuild:
      - 6ab0b1d7:9aa07d2e:aa5a0b1f:6f1c2bd4

- name: All nodes were stopped and started, and came back with blank drives
  onecc.cluster.nvme_raid:
    name: scratch
    recreate: true
"""

RETURN = r"""
layout:
  description: What the volume is, V(array), V(drive) or V(directory).
  returned: success
  type: str
  sample: array
device:
  description: The block device under the file system; empty for a directory, and in check mode before it exists.
  returned: success
  type: str
  sample: /dev/md127
filesystem:
  description: UUID of the file system; empty for a directory, and in check mode before it exists.
  returned: success
  type: str
  sample: 0b0f4d3c-2c2e-4a8e-9a1f-5d4d1f1c9a11
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
"""

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import block, durable, mdadm, specs, storage
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

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.machine = Machine()

    def command(self, *argv: str) -> str:
        rc, stdout, stderr = self.module.run_command(list(argv), environ_update={"LC_ALL": "C"})
        if rc:
            self.module.fail_json(msg=f"{' '.join(argv)} failed with exit status {rc}: {(stderr or stdout).strip()}")
        return stdout

    def record(self, **fields) -> None:
        durable.write(storage.record_path(self.module.params["name"]), json.dumps(fields, indent=2) + "\n", 0o644)

    def create(self, layout: str, drives: list, own: list[str]) -> None:
        """Makes the volume. Before the first write to a drive, the record says what is being made of which."""
        array, filesystem = storage.new_uuid(), str(uuid.uuid4())
        fields = {
            "schema": 1,
            "status": "creating",
            "name": self.module.params["name"],
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
            self.mkfs(device, filesystem, self.module.params["chunk_kib"], len(drives))
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
                    self.module.fail_json(msg=f"{device} is locked by another program for {LOCK_SECONDS} s; `lslocks` there shows which. "
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
            self.module.fail_json(msg=f"drive {drive.label} cannot be written to: {error.strerror}. It is not part of anything yet: see the "
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
        name = self.module.params["name"]
        self.command(
            "mdadm", "--create", f"/dev/md/{name}", "--run", "--metadata=1.2", "--level=0", f"--name={name}",
            "--homehost=any", f"--uuid={array}", f"--chunk={self.module.params['chunk_kib']}",
            f"--data-offset={storage.DATA_OFFSET >> 10}", f"--raid-devices={len(drives)}", *(drive.path for drive in drives),
        )
        return storage.gathered(self.machine, drives)[0].path

    def mkfs(self, device: str, filesystem: str, chunk_kib: int, width: int) -> None:
        """Formats and waits until all is on the drives. Only a drive or array known to hold nothing comes here.

        mkfs.xfs claims the device for itself, so nobody mounts it before it is whole.
        """
        geometry = ("-d", f"su={chunk_kib}k,sw={width}") if chunk_kib else ()
        self.command(
            "mkfs.xfs", "-f", "-q", "-L", self.module.params["name"], "-m", f"uuid={filesystem}", *geometry, device
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
                self.command("mdadm", "--assemble", f"/dev/md/{self.module.params['name']}", f"--uuid={uuid}", *paths)
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


def converge(module: AnsibleModule) -> dict:
    """Takes steps until the plan has none, and returns the module's result."""
    volume = Volume(module)
    first = found = storage.plan(volume.machine, module.params)
    for _round in range(ROUNDS):
        if found.refused:
            module.fail_json(msg="\n".join(found.refused), differences=first.differences)
        if not found.steps or module.check_mode:
            break
        for step, arguments in found.steps:
            getattr(volume, step)(**arguments)
        found = storage.plan(volume.machine, module.params)
    else:
        module.fail_json(msg=f"After {ROUNDS} rounds there is still something to do: {[step for step, _args in found.steps]}")
    return {
        **mended(first.differences), "layout": found.layout, "device": found.device or "", "filesystem": found.filesystem or "",
    }


def main() -> None:
    module = AnsibleModule(argument_spec=specs.ARRAY, supports_check_mode=True)
    if wrong := storage.invalid(module.params):
        module.fail_json(msg=wrong)
    with durable.turn(module, "nvme_raid"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
