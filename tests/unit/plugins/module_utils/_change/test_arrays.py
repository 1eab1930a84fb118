# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import json
import os
import re

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import arrays
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, mdadm, storage
from ansible_collections.onecc.cluster.tests.unit.captured import (
    ARRAY,
    FILESYSTEM,
    Captured,
    md_superblock,
    spec,
    volume,
    xfs_superblock,
)

RECORD = "/var/lib/onecc/nvme_raid/scratch.json"


class Failed(Exception):
    """What fail_json ends a module with."""


class Cut(Exception):
    """The power is lost."""


class Node:
    """A captured tree whose programs do what they would: make superblocks and file systems. Also the module's half."""

    def __init__(self, machine: Captured, **params: object) -> None:
        self.machine = machine
        self.params = spec(**params)
        self.check_mode = False
        self.commands: list[list[str]] = []
        self.cut_after: int | None = None

    def fail_json(self, msg: str, **_fields: object) -> None:
        raise Failed(msg)

    def run_command(self, argv: list[str], environ_update: dict | None = None) -> tuple[int, str, str]:
        self.commands.append(argv)
        getattr(self, argv[0].replace("-", "_").replace(".", "_"))(argv)
        if self.cut_after is not None and len(self.commands) >= self.cut_after:
            raise Cut
        return 0, "", ""

    def option(self, argv: list[str], name: str) -> str:
        return next(word.partition("=")[2] for word in argv if word.startswith(name + "="))

    def drives(self, argv: list[str]) -> list[str]:
        return [word.removeprefix("/dev/") for word in argv if word.startswith("/dev/nvme")]

    def md(self, names: list[str], content: bytes | None = None) -> None:
        self.machine.md("md127", names, content or self.machine.data("/dev/md127") or bytes(8192))

    def mdadm(self, argv: list[str]) -> None:
        if "--create" in argv:
            names = self.drives(argv)
            for name in names:
                array, chunk = self.option(argv, "--uuid"), int(self.option(argv, "--chunk"))
                self.machine.write(f"/dev/{name}", md_superblock(array, "any:scratch", len(names), chunk_kib=chunk))
            # What the first drive held where the array's data begin is what the array begins with.
            self.md(names, self.machine.data(f"/dev/{names[0]}", storage.DATA_OFFSET, 8192))
        elif "--assemble" in argv:
            self.md(self.drives(argv))
        elif "--stop" in argv:
            self.machine.stop(argv[-1].removeprefix("/dev/"))

    def mkfs_xfs(self, argv: list[str]) -> None:
        uuid = argv[argv.index("-m") + 1].removeprefix("uuid=")
        unit, width = re.fullmatch(r"su=(\d+)k,sw=(\d+)", argv[argv.index("-d") + 1]).groups() if "-d" in argv else (0, 0)
        self.machine.write(argv[-1], xfs_superblock(uuid, unit_kib=int(unit), drives=int(width)))

    def umount(self, argv: list[str]) -> None:
        lines = (self.machine.text("/proc/self/mountinfo") or "").splitlines(keepends=True)
        self.machine.write("/proc/self/mountinfo", "".join(line for line in lines if line.split()[4] != argv[-1]))

    def udevadm(self, argv: list[str]) -> None:
        """Links are made at once here."""

    update_initramfs = udevadm

    def converge(self) -> dict:
        return arrays.converge(self)

    def ran(self, program: str) -> list[list[str]]:
        return [argv for argv in self.commands if argv[0] == program]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Captured(tmp_path)
    write = durable.write
    monkeypatch.setattr(arrays, "Machine", lambda: machine)
    monkeypatch.setattr(durable, "write", lambda path, text, mode: write(machine.path(path), text, mode))
    monkeypatch.setattr(durable, "flush", lambda path: None)
    monkeypatch.setattr(arrays, "LOCK_SECONDS", 0.2)
    return machine


def record(machine: Captured) -> dict:
    return json.loads(machine.text(RECORD))


def in_state(machine: Captured, **params: object) -> bool:
    found = storage.plan(machine, spec(**params))
    return found.differences == [] and found.steps == []


def test_an_array_is_made(machine):
    for number in range(4):
        machine.drive(f"nvme{number}n1", f"S{number}")
    node = Node(machine, chunk_kib=256)
    result = node.converge()
    assert (result["changed"], result["layout"], result["device"]) == (True, "array", "/dev/md127")
    create, = node.ran("mdadm")
    assert "--level=0" in create and "--chunk=256" in create and "--raid-devices=4" in create and "--homehost=any" in create
    mkfs, = node.ran("mkfs.xfs")
    assert mkfs[mkfs.index("-d") + 1] == "su=256k,sw=4" and mkfs[mkfs.index("-L") + 1] == "scratch"
    assert record(machine)["status"] == "created" and record(machine)["filesystem"] == result["filesystem"]
    assert in_state(machine, chunk_kib=256)
    again = Node(machine, chunk_kib=256)
    assert again.converge()["changed"] is False and again.commands == []


def test_a_single_drive_is_made(machine):
    machine.drive("nvme0n1", "S1")
    node = Node(machine)
    result = node.converge()
    assert (result["layout"], result["device"]) == ("drive", "/dev/nvme0n1")
    assert node.ran("mdadm") == [] and "-d" not in node.ran("mkfs.xfs")[0]
    assert in_state(machine)


def test_no_drive(machine):
    result = Node(machine).converge()
    assert (result["changed"], result["layout"], result["device"], result["filesystem"]) == (False, "directory", "", "")


def test_check_mode_only_looks(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    node = Node(machine)
    node.check_mode = True
    result = node.converge()
    assert result["changed"] and result["layout"] == "array" and "S1" in result["diff"]["before"]
    assert node.commands == [] and machine.text(RECORD) is None


def test_a_refusal_runs_nothing(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.signatures["/dev/nvme1n1"] = [("ext4", "data")]
    node = Node(machine)
    with pytest.raises(Failed, match="S2"):
        node.converge()
    assert node.commands == [] and machine.text(RECORD) is None


def test_the_record_comes_before_the_first_command(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    node = Node(machine)
    node.cut_after = 1
    with pytest.raises(Cut):
        node.converge()
    assert record(machine)["status"] == "creating"
    assert [drive["serial"] for drive in record(machine)["drives"]] == ["S1", "S2"]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_creation_that_is_cut_anywhere_is_taken_up(machine, cut):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    node = Node(machine)
    node.cut_after = cut
    with pytest.raises(Cut):
        node.converge()
    result = Node(machine).converge()
    assert result["changed"] and result["layout"] == "array" and in_state(machine)


@pytest.mark.parametrize("still_allowed", [[ARRAY], []])
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_rebuild_that_is_cut_anywhere_is_taken_up(machine, cut, still_allowed):
    volume(machine)
    machine.mount("md127", "/scratch")
    node = Node(machine, rebuild=[ARRAY])
    node.cut_after = cut
    with pytest.raises(Cut):
        node.converge()
    Node(machine, rebuild=still_allowed).converge()
    assert in_state(machine, rebuild=still_allowed)
    assert record(machine)["uuid"] != ARRAY


def test_a_rebuild_lets_go_of_the_old_array_first(machine):
    volume(machine)
    machine.mount("md127", "/scratch")
    machine.drive("nvme7n1", "S7")
    node = Node(machine, rebuild=[ARRAY])
    node.converge()
    done = [argv[:2] for argv in node.commands if argv[0] in ("umount", "mdadm", "mkfs.xfs")]
    assert [" ".join(argv) for argv in done] == [
        "umount /scratch", "mdadm --stop", "mdadm --create", "mkfs.xfs -f",
    ]
    assert [drive["serial"] for drive in record(machine)["drives"]] == ["S1", "S2", "S7"]


def test_a_single_drive_is_wiped_for_a_rebuild(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock())
    machine.record(layout="drive", uuid=FILESYSTEM, serials=["S1"])
    node = Node(machine, rebuild=[FILESYSTEM])
    node.converge()
    assert [argv[0] for argv in node.commands] == ["mkfs.xfs", "udevadm"]
    assert record(machine)["uuid"] != FILESYSTEM


def test_an_array_that_is_there_is_formatted_once(machine):
    volume(machine)
    machine.write("/dev/md127", bytes(8192))
    node = Node(machine)
    result = node.converge()
    assert [argv[0] for argv in node.commands] == ["mkfs.xfs", "udevadm"]
    assert record(machine)["uuid"] == ARRAY and record(machine)["status"] == "created"
    assert result["filesystem"] == record(machine)["filesystem"] != FILESYSTEM
    assert in_state(machine)


def test_an_array_that_is_not_running_is_assembled(machine):
    volume(machine)
    machine.write("/sys/devices/virtual/block/md127/md/array_state", "inactive\n")
    node = Node(machine)
    result = node.converge()
    assert [argv[1] for argv in node.ran("mdadm")] == ["--stop", "--assemble"]
    assert f"--uuid={ARRAY}" in node.ran("mdadm")[1]
    assert result["filesystem"] == FILESYSTEM and in_state(machine)


def test_a_command_that_fails_is_named(machine):
    machine.drive("nvme0n1", "S1")
    node = Node(machine)
    node.run_command = lambda argv, environ_update=None: (1, "", "mkfs.xfs: cannot open: no such device\n")
    with pytest.raises(Failed, match="mkfs.xfs -f .* failed with exit status 1: mkfs.xfs: cannot open: no such device"):
        node.converge()


def test_an_initramfs_that_stays_old_ends_in_an_error(machine):
    volume(machine)
    machine.write(mdadm.HOOK, "")
    for name in ("vmlinuz-6", "initrd.img-6"):
        arrays.os.utime(machine.write(f"/boot/{name}", ""), (1, 1))
    node = Node(machine)
    node.machine = machine
    utime = arrays.os.utime
    try:
        arrays.os.utime = lambda path: None
        with pytest.raises(Failed, match=r"After 8 rounds there is still something to do: \['initramfs'\]"):
            node.converge()
    finally:
        arrays.os.utime = utime


# Nobody sees what is being made


def dirty(machine: Captured, name: str) -> None:
    """Puts the file system of an earlier array where the data of the new one will begin, and something at the drive's end."""
    with open(machine.path(f"/dev/{name}"), "r+b") as file:
        file.seek(storage.DATA_OFFSET)
        file.write(xfs_superblock())
        file.seek(-4096, os.SEEK_END)
        file.write(b"x" * 4096)


def test_nothing_of_an_earlier_life_shows_through_a_new_array(machine):
    volume(machine)
    for name in ("nvme0n1", "nvme1n1"):
        dirty(machine, name)
    seen = []
    node = Node(machine, rebuild=[ARRAY])
    mkfs = node.mkfs_xfs
    node.mkfs_xfs = lambda argv: (seen.append(machine.data("/dev/md127")), mkfs(argv))
    node.converge()
    create, = [argv for argv in node.ran("mdadm") if "--create" in argv]
    assert int(node.option(create, "--data-offset")) << 10 == storage.DATA_OFFSET
    assert seen == [bytes(8192)]
    for name in ("nvme0n1", "nvme1n1"):
        assert not any(machine.data(f"/dev/{name}", -4096 + (1 << 30), 4096))


def lockable(machine: Captured, path: str) -> bool:
    with open(machine.path(path), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize(("drives", "free"), [
    (1, {"mkfs.xfs": False, "udevadm": True}), (2, {"mdadm": False, "mkfs.xfs": True, "udevadm": True}),
])
def test_drives_are_locked_while_they_are_made(machine, drives, free):
    for number in range(drives):
        machine.drive(f"nvme{number}n1", f"S{number}")
    node, seen, run = Node(machine), {}, Node.run_command

    def look(argv: list[str], environ_update: dict | None = None) -> tuple[int, str, str]:
        seen[argv[0]] = lockable(machine, "/dev/nvme0n1")
        return run(node, argv)

    node.run_command = look
    node.converge()
    assert seen == free


def test_the_drives_are_locked_while_an_array_is_assembled(machine):
    volume(machine)
    machine.stop("md127")
    node, seen, mdadm_ = Node(machine), [], Node.mdadm
    node.mdadm = lambda argv: (seen.append(lockable(machine, "/dev/nvme1n1")), mdadm_(node, argv))
    node.converge()
    assert seen == [False] and in_state(machine)


def test_an_array_that_udev_assembled_meanwhile_is_left_alone(machine):
    volume(machine)
    machine.stop("md127")
    node, lock = Node(machine), arrays.Volume.lock

    def gathered(volume_, device, descriptor):
        if not storage.gathered(machine, storage.block.drives(machine, [])):
            node.md(["nvme0n1", "nvme1n1"])
        return lock(volume_, device, descriptor)

    arrays.Volume.lock = gathered
    try:
        node.converge()
    finally:
        arrays.Volume.lock = lock
    assert node.ran("mdadm") == [] and in_state(machine)


def test_a_drive_that_somebody_else_has_locked_is_not_written_to(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    node = Node(machine)
    with open(machine.path("/dev/nvme1n1"), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Failed, match="/dev/nvme1n1 is locked by another program"):
            node.converge()
    assert node.commands == []


def test_a_drive_that_refuses_to_be_written_to_is_named(machine, monkeypatch):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    dirty(machine, "nvme1n1")

    def worn(descriptor, offset, length):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(arrays.Volume, "zero", lambda volume_, *arguments: worn(*arguments))
    with pytest.raises(Failed, match=r"drive nvme0n1 \(serial S1\) cannot be written to: Operation not permitted"):
        Node(machine, overwrite=["S2"]).converge()


@pytest.mark.parametrize("writes", range(1, 8))
def test_wiping_that_is_cut_anywhere_is_taken_up(machine, monkeypatch, writes):
    """By a plain run: what was begun may be ended without a word, for what was there is gone."""
    volume(machine)
    for name in ("nvme0n1", "nvme1n1"):
        dirty(machine, name)
    done, zero = [], arrays.Volume.zero

    def cut(volume_, descriptor, offset, length):
        if len(done) == writes:
            raise Cut
        done.append(offset)
        zero(volume_, descriptor, offset, length)

    monkeypatch.setattr(arrays.Volume, "zero", cut)
    with pytest.raises(Cut):
        Node(machine, rebuild=[ARRAY]).converge()
    assert 0 not in done[:3] and done[3:4] in ([], [0])  # the mark by which the drive is known goes last
    monkeypatch.setattr(arrays.Volume, "zero", zero)
    Node(machine).converge()
    assert in_state(machine)


def test_a_drive_that_may_be_overwritten_is(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2", b"etc/hostname".ljust(8192, b"\0"))
    Node(machine, overwrite=["S2"]).converge()
    assert [drive["serial"] for drive in record(machine)["drives"]] == ["S1", "S2"] and in_state(machine)


def test_blank_drives_in_place_of_an_array_are_made_anew(machine):
    machine.record()
    machine.drive("nvme0n1", "NEW1")
    machine.drive("nvme1n1", "NEW2")
    Node(machine, recreate=True).converge()
    assert record(machine)["uuid"] != ARRAY and in_state(machine, recreate=True)
