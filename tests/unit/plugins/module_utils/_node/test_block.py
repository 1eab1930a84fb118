# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import block
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed, Machine
from ansible_collections.onecc.cluster.tests.unit.captured import ARRAY, FILESYSTEM, MOUNTINFO, Captured, md_superblock, xfs_superblock
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def looked_inside(machine: Captured) -> list[str]:
    """What the only drive holds."""
    mounted = block.mounts(machine)
    drive, = block.drives(machine, mounted)
    block.look_inside(machine, drive, mounted)
    return drive.contents


def system_drives(machine: Captured) -> list[str]:
    return [drive.name for drive in block.drives(machine, block.mounts(machine)) if drive.system]


def test_mountinfo(machine):
    machine.write(MOUNTINFO, (
        "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw,discard\n"
        "36 22 9:127 / /data\\040set\\134x rw,noatime shared:5 master:2 - xfs /dev/md127 rw,attr2,sunit=1024\n"
        "37 22 0:5 / /empty rw - tmpfs  rw\n"
        "38 22 0:6 / /nfs rw - nfs4 10.0.0.2:/shared rw,vers=4.2\n"
    ))
    root, data, empty, nfs = block.mounts(machine)
    assert (root.device, root.path, root.fstype, root.source) == ("259:2", "/", "ext4", "/dev/nvme0n1p1")
    assert data.path == "/data set\\x"
    assert data.options == {"rw", "noatime", "attr2", "sunit=1024"}
    assert empty.source == ""
    assert nfs.source == "10.0.0.2:/shared"


def test_no_mountinfo(tmp_path):
    assert block.mounts(Machine(str(tmp_path))) == []


def test_md_superblock(machine):
    machine.drive("nvme0n1", "S1", md_superblock(name="node-1:scratch", drives=8, chunk_kib=64, level=5))
    found = block.superblock(machine, "/dev/nvme0n1")
    assert (found.uuid, found.name, found.drives, found.chunk_kib, found.level) == (ARRAY, "node-1:scratch", 8, 64, 5)


@pytest.mark.parametrize("content", [bytes(8192), md_superblock()[:4100].ljust(8192, b"\1").replace(b"\xfc\x4e", b"\0\0"), xfs_superblock()])
def test_no_md_superblock(machine, content):
    machine.drive("nvme0n1", "S1", content)
    assert block.superblock(machine, "/dev/nvme0n1") is None


def test_level_of_a_linear_array_is_negative(machine):
    machine.drive("nvme0n1", "S1", md_superblock(level=-1))
    assert block.superblock(machine, "/dev/nvme0n1").level == -1


def test_xfs(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock(unit_kib=64, drives=4))
    found = block.xfs(machine, "/dev/nvme0n1")
    assert (found.uuid, found.label, found.complete, found.unit_kib, found.width) == (FILESYSTEM, "scratch", True, 64, 4)


def test_xfs_whose_mkfs_was_cut(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock(in_progress=True))
    assert block.xfs(machine, "/dev/nvme0n1").complete is False


def test_xfs_without_stripes(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock(unit_kib=0))
    assert block.xfs(machine, "/dev/nvme0n1").width == 0


@pytest.mark.skipif(not shutil.which("mkfs.xfs"), reason="mkfs.xfs is not here")
def test_xfs_that_mkfs_made(machine):
    path = machine.drive("nvme0n1", "S1")
    with open(machine.path(path), "r+b") as file:
        file.truncate(1 << 30)  # a hole: mkfs.xfs refuses less than 300 MiB, and takes few of them
    subprocess.run(
        ["mkfs.xfs", "-q", "-f", "-L", "scratch", "-m", f"uuid={FILESYSTEM}", "-d", "su=64k,sw=4", machine.path(path)],
        check=True, capture_output=True,
    )
    found = block.xfs(machine, path)
    assert (found.uuid, found.label, found.complete, found.unit_kib, found.width) == (FILESYSTEM, "scratch", True, 64, 4)
    if shutil.which("wipefs"):
        assert block.signatures(Machine(machine.root), path) == ["xfs signature (label scratch)"]


@pytest.mark.skipif(not shutil.which("wipefs"), reason="wipefs is not here")
def test_wipefs_finds_nothing_on_a_blank_device(machine):
    path = machine.drive("nvme0n1", "S1")
    assert block.signatures(Machine(machine.root), path) == []


def test_signatures_in_words(machine):
    machine.drive("nvme0n1", "S1")
    machine.signatures["/dev/nvme0n1"] = [("ext4", "data"), ("gpt", None), ("gpt", None), ("PMBR", None), ("crypto_LUKS", None)]
    assert block.signatures(machine, "/dev/nvme0n1") == [
        "ext4 signature (label data)", "GPT partition table signature", "protective MBR signature", "LUKS signature",
    ]


@pytest.mark.parametrize("answer", [
    Completed(1, "", "wipefs: error: /dev/nvme0n1: probing initialization failed: Input/output error"),
    Completed(127, "", "wipefs: not found"),
    Completed(1, ""),
    Completed(0, '{"signatures": [{"type": "ext4", "lab'),
])
def test_a_device_that_cannot_be_probed_is_not_blank(machine, answer):
    machine.drive("nvme0n1", "S1")
    machine.answers["wipefs"] = answer
    found, = block.signatures(machine, "/dev/nvme0n1")
    assert found.startswith("something that could not be read (")


def test_wipefs_of_old_that_prints_nothing_for_nothing(machine):
    machine.drive("nvme0n1", "S1")
    machine.answers["wipefs"] = Completed(0, "")
    assert block.signatures(machine, "/dev/nvme0n1") == []


def test_a_label_with_control_characters(machine):
    machine.drive("nvme0n1", "S1")
    machine.answers["wipefs"] = Completed(0, '{"signatures": [{"type": "ext4", "label": "a\tb"}]}')
    assert block.signatures(machine, "/dev/nvme0n1") == ["ext4 signature (label a\tb)"]


def test_a_drive_without_signature_that_cannot_be_read_is_not_spare(machine):
    machine.drive("nvme0n1", "S1", b"")
    machine.folder.joinpath("dev/nvme0n1").unlink()
    assert looked_inside(machine) == ["cannot be read: No such file or directory"]


def test_drives_are_whole_nvme_namespaces_in_the_order_of_serials(machine):
    machine.drive("nvme1n1", "S1")
    machine.drive("nvme0n1", "S2")
    machine.partition("nvme0n1", 1)
    machine.md("md127", ["nvme1n1"])
    machine.stacked("sda", [])
    found = block.drives(machine, [])
    assert [(drive.name, drive.serial, drive.wwid) for drive in found] == [("nvme1n1", "S1", "eui.S1"), ("nvme0n1", "S2", "eui.S2")]
    assert found[0].size == 1 << 30
    assert found[0].label == "nvme1n1 (serial S1)"


def test_two_namespaces_of_one_drive(machine):
    machine.drive("nvme0n2", "S1", wwid="eui.b")
    machine.drive("nvme0n1", "S1", wwid="eui.a")
    assert [drive.name for drive in block.drives(machine, [])] == ["nvme0n1", "nvme0n2"]


def test_multipath_counts_the_namespace_and_not_its_paths(machine):
    machine.drive("nvme0n1", "S1", multipath=True)
    assert [(drive.name, drive.serial) for drive in block.drives(machine, [])] == [("nvme0n1", "S1")]


@pytest.mark.parametrize(("multipath", "path"), [(False, "transport"), (True, "nvme3/transport")])
@pytest.mark.parametrize(("transport", "names"), [("pcie", ["nvme0n1"]), ("rdma", []), ("tcp", [])])
def test_a_namespace_of_another_computer_is_none(machine, multipath, path, transport, names):
    machine.drive("nvme0n1", "S1", multipath=multipath)
    machine.write(f"/sys/block/nvme0n1/device/{path}", f"{transport}\n")
    assert [drive.name for drive in block.drives(machine, [])] == names


def test_a_namespace_without_capacity_is_none(machine):
    machine.drive("nvme0n1", "S1", sectors=0)
    assert block.drives(machine, []) == []


def test_system_on_a_partition(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.mount(machine.partition("nvme0n1", 1), "/", "ext4")
    assert system_drives(machine) == ["nvme0n1"]


def test_system_on_a_partition_of_a_multipath_namespace(machine):
    machine.drive("nvme0n1", "S1", multipath=True)
    machine.mount(machine.partition("nvme0n1", 1), "/", "ext4")
    assert system_drives(machine) == ["nvme0n1"]


def test_system_on_raid_1(machine):
    for number in range(3):
        machine.drive(f"nvme{number}n1", f"S{number}")
    machine.md("md0", [machine.partition("nvme0n1", 2), machine.partition("nvme1n1", 2)])
    machine.mount("md0", "/", "ext4")
    assert system_drives(machine) == ["nvme0n1", "nvme1n1"]


def test_system_on_lvm_on_luks(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.mapping("dm-0", "crypt", [machine.partition("nvme0n1", 3)])
    machine.mapping("dm-1", "vg-root", ["dm-0"])
    machine.mount("dm-1", "/", "ext4")
    assert system_drives(machine) == ["nvme0n1"]


@pytest.mark.parametrize("path", ["/boot", "/boot/efi", "/usr", "/var", "/home"])
def test_other_mounts_of_the_system(machine, path):
    machine.drive("nvme0n1", "S1")
    machine.mount(machine.partition("nvme0n1", 1), path, "ext4")
    assert system_drives(machine) == ["nvme0n1"]


def test_root_on_no_block_device(machine):
    machine.drive("nvme0n1", "S1")
    machine.mount("0:25", "/", "overlay", source="overlay")
    assert system_drives(machine) == []


def test_superblocks_of_a_system_drive_are_not_read(machine):
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.mount("nvme0n1", "/", "ext4")
    drive, = block.drives(machine, block.mounts(machine))
    assert drive.superblock is None and drive.xfs is None


def test_nothing_inside(machine):
    machine.drive("nvme0n1", "S1")
    assert looked_inside(machine) == []
    assert [argv[0] for argv in machine.ran] == ["wipefs"]


def test_everything_inside_is_named(machine):
    machine.drive("nvme0n1", "S1")
    machine.signatures["/dev/nvme0n1"] = [("gpt", None)]
    machine.mount(machine.partition("nvme0n1", 1), "/data", "ext4")
    machine.swap("/dev/" + machine.partition("nvme0n1", 2))
    machine.mapping("dm-0", "vg-data", [machine.partition("nvme0n1", 3)])
    assert looked_inside(machine) == [
        "is mounted at /data", "is swap space in use (nvme0n1p2)", "is used by dm-0 (vg-data)", "has the partition nvme0n1p1",
        "has the partition nvme0n1p2", "has the partition nvme0n1p3", "holds GPT partition table signature",
    ]


def test_a_whole_drive_that_is_mounted_swap_or_held(machine):
    machine.drive("nvme0n1", "S1")
    machine.mount("nvme0n1", "/data", "ext4")
    machine.swap("/dev/nvme0n1")
    machine.md("md3", ["nvme0n1"])
    assert looked_inside(machine) == ["is mounted at /data", "is swap space in use (nvme0n1)", "is used by md3"]


def test_a_member_of_an_array_is_named_with_its_uuid(machine):
    machine.drive("nvme0n1", "S1", md_superblock(name="host:data"))
    assert looked_inside(machine) == [f"is a member of the md array host:data (UUID {ARRAY})"]


def test_a_drive_that_the_kernel_refuses_is_in_use(machine, monkeypatch):
    machine.drive("nvme0n1", "S1")
    monkeypatch.setattr(block, "in_use", lambda machine, device: device == "/dev/nvme0n1")
    assert looked_inside(machine) == ["is in use by something that this check does not see"]


@pytest.mark.parametrize(("state", "found"), [
    ("clean", [("md127", True)]), ("active", [("md127", True)]), ("readonly", [("md127", True)]), ("read-auto", [("md127", True)]),
    ("inactive", [("md127", False)]), ("broken", [("md127", False)]), ("clear", []),
])
def test_arrays(machine, state, found):
    machine.drive("nvme0n1", "S1")
    machine.md("md127", ["nvme0n1"], state=state)
    assert [(array.name, array.running) for array in block.arrays(machine)] == found


def test_members_of_an_array(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.md("md127", ["nvme1n1", "nvme0n1"])
    array, = block.arrays(machine)
    assert (array.path, array.members, array.device) == ("/dev/md127", ["nvme0n1", "nvme1n1"], machine.number("md127"))


def test_contents_are_text_that_a_program_can_take(machine):
    machine.drive("nvme0n1", "S1", md_superblock().replace(b"any:", b"\xff\xfe\xfd:"))
    assert json.loads(json.dumps(looked_inside(machine)))


# Data that no signature names


TAR = b"etc/hostname".ljust(512, b"\0")


def put(machine: Captured, offset: int, data: bytes = TAR) -> None:
    with open(machine.path("/dev/nvme0n1"), "r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(data)


@pytest.mark.parametrize("offset", [0, 512, 1 << 20, (4 << 20) - 512, -512, -(1 << 20)])
def test_raw_data_at_an_edge_are_seen(machine, offset):
    machine.drive("nvme0n1", "S1")
    put(machine, offset)
    found, = looked_inside(machine)
    assert found == f"holds data that no signature names, at byte {offset % (1 << 30)}"


@pytest.mark.parametrize("start", [5 << 20, 100 << 20, 700 << 20])
def test_raw_data_in_the_middle_are_seen_by_a_sample(machine, start):
    machine.drive("nvme0n1", "S1")
    put(machine, start, b"x" * (20 << 20))
    assert looked_inside(machine)[0].startswith("holds data that no signature names")


@pytest.mark.parametrize("pattern", [b"\0" * 1024, b"\xff" * 1024, b"\0" * 512 + b"\xff" * 512])
def test_what_was_discarded_is_blank(machine, pattern):
    machine.drive("nvme0n1", "S1")
    put(machine, 8192, pattern * 8)
    assert looked_inside(machine) == []


@pytest.mark.parametrize("pattern", [b"\0\xff" * 256, b"\1" * 512, b"\0" * 511 + b"\1"])
def test_what_no_discard_leaves_is_data(machine, pattern):
    machine.drive("nvme0n1", "S1")
    put(machine, 8192, pattern)
    assert looked_inside(machine) == ["holds data that no signature names, at byte 8192"]


@given(st.integers(1, 1 << 44))
@settings(max_examples=30)
def test_what_is_read_lies_within_the_device_and_is_bounded(sectors):
    size = sectors * 512
    regions = block.regions(size)
    assert regions[0][0] == 0 and sum(regions[-1]) == size
    assert all(0 <= offset and offset + length <= size and offset % 512 == 0 for offset, length in regions)
    assert sum(length for _offset, length in regions) <= 2 * block.EDGE + block.SAMPLES * block.SAMPLE


def test_a_drive_that_ends_early_is_not_blank(machine):
    machine.drive("nvme0n1", "S1")
    os.truncate(machine.path("/dev/nvme0n1"), 1 << 29)
    assert looked_inside(machine)[0].startswith("cannot be read: it ends at byte")


def test_a_drive_that_does_not_answer_in_time_is_not_blank(machine, monkeypatch):
    machine.drive("nvme0n1", "S1")
    monkeypatch.setattr(block, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(block, "first_data", lambda path, size: time.sleep(5))
    assert looked_inside(machine) == ["cannot be read: no answer in 0.1 s"]
