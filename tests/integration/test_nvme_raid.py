# SPDX-License-Identifier: GPL-3.0-or-later
"""The role nvme_raid on real drives: what is changed behind its back, what it refuses, what it does about lost drives."""

from __future__ import annotations

import hashlib

import pytest
from conftest import HEAD, NODE, Lab

# What is done to the compute node, and the resources that it changes.
CHANGES = {
    "packages are removed": ("dpkg --remove mdadm xfsprogs", {("packages", "mdadm"), ("packages", "xfsprogs")}),
    "the array is stopped": (
        "systemctl stop scratch.mount; mdadm --stop /dev/md/scratch",
        {("arrays", "scratch"), ("mounts", "/scratch")},
    ),
    "mdadm.conf forgets the array": ("sed -i /^ARRAY/d /etc/mdadm/mdadm.conf", {("arrays", "scratch")}),
    "the initramfs is older than mdadm.conf": ("touch /etc/mdadm/mdadm.conf", {("arrays", "scratch")}),
    "the record is gone": ("rm /var/lib/onecc/nvme_raid/scratch.json", {("arrays", "scratch")}),
    "it is unmounted": ("umount /scratch", {("mounts", "/scratch")}),
    "the mount unit is edited": ("sed -i s/noatime/relatime/ /etc/systemd/system/scratch.mount", {("mounts", "/scratch")}),
    "the mount unit is disabled": ("systemctl disable scratch.mount", {("mounts", "/scratch")}),
    "it is mounted with other options": ("mount -o remount,strictatime /scratch", {("mounts", "/scratch")}),
    "its mode changes": ("chmod 0755 /scratch", {("mounts", "/scratch")}),
    "fstab mounts it too": ("echo 'LABEL=scratch /scratch xfs defaults 0 0' >> /etc/fstab", {("mounts", "/scratch")}),
    "the timer is stopped": ("systemctl disable --now fstrim.timer", {("units", "fstrim.timer")}),
}

UNBUILD = """
systemctl stop scratch.mount 2>/dev/null || true
mdadm --stop --scan 2>/dev/null || true
for drive in /dev/nvme*n1; do blkdiscard --force --zeroout $drive 2>/dev/null; done
rm -f /var/lib/onecc/nvme_raid/scratch.json /etc/systemd/system/scratch.mount
rm -f /etc/systemd/system/multi-user.target.wants/scratch.mount
sed -i /^ARRAY/d /etc/mdadm/mdadm.conf
systemctl daemon-reload
udevadm settle
"""

# Four drives at a time, each with something else on it; what the refusal calls it.
FOREIGN = [
    {
        0: ("mkfs.ext4 -q -F $drive", "ext4"),
        1: ("mkfs.xfs -q -f -L theirs $drive", "xfs"),
        2: ("echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $drive -", "LUKS"),
        3: ("pvcreate -q -f -y $drive", "LVM"),
    },
    {
        0: ("mdadm --create /dev/md77 --run --level=1 --force --raid-devices=1 --name=theirs $drive; udevadm settle; mdadm --stop /dev/md77", "theirs"),
        1: ("mkswap -q $drive", "swap"),
        2: ("sgdisk --new=1:0:0 $drive >/dev/null; udevadm settle", "partition"),
        3: ("mkfs.ext4 -q -F $drive; mkdir -p /mnt/theirs; mount -o ro $drive /mnt/theirs", "/mnt/theirs"),
    },
    {
        0: ("tar -cf $drive -C / etc", "no signature names"),
        1: ("dd if=/dev/urandom of=$drive bs=1M seek=300 count=32 status=none", "no signature names"),
        2: ("blockdev --setro $drive", "read-only"),
    },
]


# The campaign changes each resource in every run of the tests; here are the ways that touch several, or are this role's own.
IN_EVERY_RUN = ("the array is stopped",)


@pytest.mark.parametrize(
    "change", [pytest.param(change, marks=() if change in IN_EVERY_RUN else pytest.mark.thorough) for change in CHANGES]
)
def test_what_is_changed_is_named_and_mended(lab: Lab, change: str) -> None:
    command, resources = CHANGES[change]
    lab.ssh(NODE, command)
    seen = lab.verify()
    assert seen.rc == 2, seen.output
    assert seen.drift(NODE) == resources
    assert seen.drift(HEAD) == set()
    mended = lab.site()
    assert mended.rc == 0, mended.output
    assert mended.mended(NODE) == resources
    assert lab.verify().rc == 0


def test_directory_of_a_node_without_drives_is_mended(lab: Lab) -> None:
    lab.ssh(HEAD, "chmod 0755 /scratch")
    assert lab.verify().drift(HEAD) == {("mounts", "/scratch")}
    assert lab.site().mended(HEAD) == {("mounts", "/scratch")}


@pytest.mark.thorough
def test_array_under_another_number_is_adopted(lab: Lab) -> None:
    """An array that was made by hand, on another host, and that nothing on this node remembers."""
    lab.ssh(NODE, UNBUILD)
    lab.ssh(
        NODE,
        "mdadm --create /dev/md7 --run --level=0 --raid-devices=4 --chunk=512 --homehost=elsewhere --name=scratch /dev/nvme?n1\n"
        "mkfs.xfs -q -f /dev/md7; mount /dev/md7 /mnt; echo kept > /mnt/file; umount /mnt; udevadm settle",
    )
    uuid = lab.ssh(NODE, "blkid -o value -s UUID /dev/md7")
    assert "nvme_raid_adopt" in lab.site("--limit", NODE).messages(NODE)
    done = lab.site("-e", "{nvme_raid_adopt: true}")
    assert done.rc == 0, done.output
    assert lab.ssh(NODE, "cat /scratch/file; findmnt -n -o UUID /scratch").split() == ["kept", uuid]
    lab.machine(NODE).cut()
    lab.boot(NODE)
    assert lab.verify().rc == 0
    assert lab.ssh(NODE, "cat /scratch/file; readlink -f /dev/md/scratch; findmnt -n -o SOURCE /scratch").split()[1:] == [
        lab.ssh(NODE, "findmnt -n -o SOURCE /scratch")
    ] * 2


@pytest.mark.thorough
def test_foreign_drives_are_refused_and_untouched(lab: Lab) -> None:
    for batch in FOREIGN:
        lab.ssh(NODE, UNBUILD)
        try:
            refused(lab, batch)
        finally:
            lab.ssh(
                NODE,
                "umount /mnt/theirs 2>/dev/null || true\n"
                "for drive in /dev/nvme?n1; do blockdev --setrw $drive; sgdisk --zap-all $drive >/dev/null 2>&1 || true; done; udevadm settle\n" + UNBUILD,
            )
    # Freed by their owner, they are spare.
    done = lab.site("--limit", NODE)
    assert done.rc == 0, done.output


def refused(lab: Lab, batch: dict[int, tuple[str, str]]) -> None:
    """Puts something else on each drive, and sees it refused by serial and name, and every byte as it was."""
    for number, (command, _name) in batch.items():
        lab.ssh(NODE, f"drive=$(ls /dev/nvme?n1 | sed -n {number + 1}p)\n{command}")
    lab.ssh(NODE, "sync; udevadm settle")
    before = contents(lab)
    done = lab.site("--limit", NODE)
    assert done.rc == 2, done.output
    serials = lab.ssh(NODE, "for drive in /dev/nvme?n1; do lsblk -dn -o SERIAL $drive; done").split()
    for number, (_command, name) in batch.items():
        lines = [line for line in done.messages(NODE).splitlines() if serials[number] in line]
        assert any(name in line for line in lines), f"{serials[number]} should be said to hold {name}: {lines}"
    assert contents(lab) == before


def contents(lab: Lab) -> dict[str, str]:
    """A hash of every byte on each drive by its file, read on this side of the machine."""
    lab.ssh(NODE, "sync; for drive in /dev/nvme?n1; do blockdev --flushbufs $drive; done")
    found = {}
    for path in sorted(lab.machine(NODE).folder.glob("*.raw")):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "blake2b").hexdigest()
    assert len(found) >= 4
    return found


@pytest.mark.thorough
def test_ignored_drive_is_left_out(lab: Lab) -> None:
    lab.ssh(NODE, UNBUILD)
    serial = lab.ssh(NODE, "drive=$(ls /dev/nvme?n1 | head -1); mkfs.ext4 -q -F $drive; lsblk -dn -o SERIAL $drive")
    done = lab.site("--limit", NODE, "-e", f"{{nvme_raid_ignore: [{serial}]}}")
    assert done.rc == 0, done.output
    members = lab.ssh(NODE, "lsblk -n -o SERIAL -s /dev/md/scratch").split()
    assert len(members) == 3 and serial not in members
    assert lab.ssh(NODE, f"lsblk -dn -o SERIAL,FSTYPE | grep {serial}").split() == [serial, "ext4"]
    lab.ssh(NODE, UNBUILD)
    assert lab.site("--limit", NODE).rc == 0


def test_replaced_drive_needs_a_word(lab: Lab) -> None:
    """The data is gone, the node says which drive took it, and builds anew only when told to."""
    machine = lab.machine(NODE)
    lost = lab.ssh(NODE, "echo gone > /scratch/file; sync; lsblk -dn -o SERIAL /dev/nvme?n1").split()[1]
    machine.cut()
    machine.replace_drive(lost)
    lab.boot(NODE)
    seen = lab.site("--limit", NODE)
    assert seen.rc == 2, seen.output
    message = seen.messages(NODE)
    assert lost in message and "nvme_raid_rebuild" in message
    uuid = message.split("nvme_raid_rebuild to ['")[1].split("'")[0]
    refused = lab.site("--limit", NODE, "-e", "{nvme_raid_rebuild: ['00000000:00000000:00000000:00000000']}")
    assert refused.rc == 2
    done = lab.site("--limit", NODE, "-e", f"{{nvme_raid_rebuild: ['{uuid}']}}")
    assert done.rc == 0, done.output
    assert lab.ssh(NODE, "ls -A /scratch") == ""
    assert lab.verify().rc == 0


@pytest.mark.thorough
def test_single_drive_is_used_alone(lab: Lab) -> None:
    """With the others ignored. A head node of the molecule scenario has one drive in truth."""
    lab.ssh(NODE, UNBUILD)
    serials = lab.ssh(NODE, "lsblk -dn -o SERIAL /dev/nvme?n1").split()
    ignore = f"{{nvme_raid_ignore: [{', '.join(serials[1:])}]}}"
    done = lab.site("--limit", NODE, "-e", ignore)
    assert done.rc == 0, done.output
    assert lab.ssh(NODE, "lsblk -dn -o SERIAL $(findmnt -n -o SOURCE /scratch)") == serials[0]
    assert lab.verify("--limit", NODE, "-e", ignore).rc == 0
    lab.ssh(NODE, UNBUILD)
    assert lab.site("--limit", NODE).rc == 0


@pytest.mark.thorough
@pytest.mark.spoils(NODE)
def test_blank_drives_are_made_anew_by_one_variable(lab: Lab) -> None:
    """As nodes of a cloud come back from a stop and a start."""
    lab.ssh(NODE, "umount /scratch; mdadm --stop --scan; for drive in /dev/nvme?n1; do blkdiscard --force --zeroout $drive; done")
    seen = lab.site("--limit", NODE)
    assert seen.rc == 2 and "nvme_raid_recreate" in seen.messages(NODE)
    done = lab.site("--limit", NODE, "-e", "{nvme_raid_recreate: true}")
    assert done.rc == 0, done.output
    assert lab.verify("--limit", NODE).rc == 0


# While this runs, everything that could mount or gather something is tried on every block device, many times a second.
HOSTILE = """
cat > /root/hostile <<'END'
while :; do
  udevadm trigger --subsystem-match=block --action=change; mdadm --assemble --scan
  for device in /dev/md* /dev/disk/by-uuid/*; do mount $device /mnt && { blkid -o value -s UUID $device >> /root/mounted; umount /mnt; }; done
done
END
systemd-run --quiet --unit=hostile sh /root/hostile
"""


@pytest.mark.thorough
@pytest.mark.spoils(NODE)
def test_nobody_mounts_what_is_being_made(lab: Lab) -> None:
    """The old file system does not show through the new array, however hard somebody looks."""
    array, old = lab.ssh(NODE, "mdadm --detail --export /dev/md/scratch | sed -n s/MD_UUID=//p; findmnt -n -o UUID /scratch").split()
    lab.ssh(NODE, "systemctl stop scratch.mount; mdadm --stop --scan; blkdiscard --force --zeroout $(ls /dev/nvme?n1 | head -1)\n" + HOSTILE)
    done = lab.site("--limit", NODE, "-e", f"{{nvme_raid_rebuild: ['{array}']}}")
    mounted = lab.ssh(NODE, "systemctl stop hostile; cat /root/mounted").split()
    assert done.rc == 0, done.output
    assert mounted and old not in mounted
