# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import block, mdadm, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import (
    ARRAY,
    FILESYSTEM,
    OTHER_ARRAY,
    OTHER_FILESYSTEM,
    Captured,
    md_superblock,
    spec,
    volume,
    xfs_superblock,
)

RECORD = "/var/lib/onecc/nvme_raid/scratch.json"


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def plan(machine: Captured, **fields: object) -> storage.Plan:
    return storage.plan(machine, spec(**fields))


def fields_of(found: storage.Plan) -> list[str]:
    return [item["field"] for item in found.differences]


def steps(found: storage.Plan) -> list[str]:
    return [name for name, _arguments in found.steps]


def chosen(found: storage.Plan) -> list[str]:
    """The serial numbers of the drives that are to be made into the volume."""
    (step, arguments), = found.steps
    assert step == "create"
    return [drive.serial for drive in arguments["drives"]]


def refusal(found: storage.Plan) -> str:
    """The message of a plan that does nothing but refuse."""
    assert found.steps == []
    message, = found.refused
    return message


def in_state(found: storage.Plan) -> bool:
    return found.differences == [] and found.steps == []


# Nothing but spare drives


@pytest.mark.parametrize(("serials", "layout"), [
    ([], "directory"),
    (["S1"], "drive"),
    (["S1", "S2"], "array"),
    (["S1", "S2", "S3", "S4"], "array"),
    ([f"S{number}" for number in range(1, 9)], "array"),
])
def test_spare_drives_decide_the_layout(machine, serials, layout):
    for number, serial in enumerate(serials):
        machine.drive(f"nvme{number}n1", serial)
    found = plan(machine)
    assert found.layout == layout
    assert found.refused == []
    assert (found.device, found.filesystem) == (None, None)
    if serials:
        assert chosen(found) == serials
        difference, = found.differences
        assert (difference["name"], difference["field"], difference["is"], difference["should"]) == ("scratch", "exists", False, layout)
        assert all(serial in difference["message"] for serial in serials)
    else:
        assert in_state(found)


@pytest.mark.parametrize(("count", "layout", "fits"), [
    (0, "array", False), (1, "array", False), (2, "array", True), (8, "array", True),
    (0, "drive", False), (1, "drive", True), (2, "drive", False),
    (0, "directory", True), (2, "directory", True),
])
def test_a_declared_layout(machine, count, layout, fits):
    for number in range(count):
        machine.drive(f"nvme{number}n1", f"S{number}")
    found = plan(machine, layout=layout)
    if fits:
        assert found.layout == layout and found.refused == []
    else:
        assert f"layout '{layout}'" in refusal(found)


def test_a_declared_directory_does_not_look_at_drives(machine):
    machine.drive("nvme0n1", "S1")
    assert in_state(plan(machine, layout="directory")) and machine.ran == []


@pytest.mark.parametrize("drives", [1, 3])
def test_another_number_of_drives_than_declared(machine, drives):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    message = refusal(plan(machine, drives=drives))
    assert f"nvme_raid_drives declares {drives}" in message and "S1" in message and "S2" in message


def test_the_declared_number_of_drives(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    assert chosen(plan(machine, drives=2)) == ["S1", "S2"]


def test_names_of_another_boot_give_the_same_plan(tmp_path):
    plans = []
    for boot, names in enumerate((["nvme0n1", "nvme1n1", "nvme2n1"], ["nvme2n1", "nvme0n1", "nvme1n1"])):
        machine = Captured(tmp_path / str(boot))
        for name, serial in zip(names, ["S1", "S2", "S3"]):
            machine.drive(name, serial)
        plans.append(chosen(plan(machine)))
    assert plans[0] == plans[1] == ["S1", "S2", "S3"]


def test_multipath_names(machine):
    machine.drive("nvme0n1", "S1", multipath=True)
    machine.drive("nvme1n1", "S2")
    assert chosen(plan(machine)) == ["S1", "S2"]


def test_namespaces_without_capacity_do_not_count(machine):
    machine.drive("nvme0n1", "S1", sectors=0)
    machine.drive("nvme1n1", "S2")
    assert chosen(plan(machine)) == ["S2"]


def system_on_a_partition(machine):
    machine.drive("nvme8n1", "SYS1")
    machine.mount(machine.partition("nvme8n1", 1), "/", "ext4")


def system_on_raid_1(machine):
    machine.drive("nvme8n1", "SYS1")
    machine.drive("nvme9n1", "SYS2")
    machine.md("md0", [machine.partition("nvme8n1", 2), machine.partition("nvme9n1", 2)])
    machine.mount("md0", "/", "ext4")


def system_on_lvm(machine):
    machine.drive("nvme8n1", "SYS1")
    machine.mapping("dm-0", "vg-root", [machine.partition("nvme8n1", 3)])
    machine.mount("dm-0", "/", "ext4")


def system_on_whole_drives_in_raid_1(machine):
    for number, serial in ((8, "SYS1"), (9, "SYS2")):
        machine.drive(f"nvme{number}n1", serial, md_superblock(OTHER_ARRAY, "any:scratch", level=1))
    machine.md("md0", ["nvme8n1", "nvme9n1"])
    machine.mount("md0", "/", "ext4")


@pytest.mark.parametrize("system", [system_on_a_partition, system_on_raid_1, system_on_lvm, system_on_whole_drives_in_raid_1])
def test_drives_of_the_system_are_neither_taken_nor_refused(machine, system):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    system(machine)
    assert chosen(plan(machine)) == ["S1", "S2"]


# Drives that hold something else


def holds(*signatures):
    def arrange(machine):
        machine.signatures["/dev/nvme1n1"] = list(signatures)
    return arrange


def is_mounted(machine):
    machine.mount("nvme1n1", "/data", "ext4")


def is_swap(machine):
    machine.swap("/dev/nvme1n1")


def has_a_partition(machine):
    machine.partition("nvme1n1", 1)


def has_a_mounted_partition(machine):
    machine.mount(machine.partition("nvme1n1", 1), "/var/lib/docker", "ext4")


def is_held_by_a_mapping(machine):
    machine.mapping("dm-0", "vg-data", ["nvme1n1"])


def is_held_by_an_array_without_superblock(machine):
    machine.md("md3", ["nvme1n1"])


FOREIGN = [
    (holds(("ext4", "data")), "holds ext4 signature (label data)"),
    (holds(("xfs", None)), "holds xfs signature"),
    (holds(("crypto_LUKS", None)), "holds LUKS signature"),
    (holds(("LVM2_member", None)), "holds LVM signature"),
    (holds(("linux_raid_member", None)), "holds md array member signature"),
    (holds(("gpt", None), ("PMBR", None)), "holds GPT partition table signature, protective MBR signature"),
    (holds(("zfs_member", None)), "holds zfs_member signature"),
    (is_mounted, "is mounted at /data"),
    (is_swap, "is swap space in use (nvme1n1)"),
    (has_a_partition, "has the partition nvme1n1p1"),
    (has_a_mounted_partition, "is mounted at /var/lib/docker"),
    (is_held_by_a_mapping, "is used by dm-0 (vg-data)"),
    (is_held_by_an_array_without_superblock, "is used by md3"),
]


@pytest.mark.parametrize(("arrange", "words"), FOREIGN)
def test_a_foreign_drive_is_refused_by_its_serial(machine, arrange, words):
    for number in range(3):
        machine.drive(f"nvme{number}n1", f"S{number}")
    arrange(machine)
    found = plan(machine)
    message = refusal(found)
    assert "drive nvme1n1 (serial S1) " in message and words in message
    assert "adding 'S1' to nvme_raid_ignore" in message
    assert found.layout is None


@pytest.mark.parametrize(("arrange", "_words"), FOREIGN)
def test_a_foreign_drive_that_is_ignored(machine, arrange, _words):
    for number in range(3):
        machine.drive(f"nvme{number}n1", f"S{number}")
    arrange(machine)
    assert chosen(plan(machine, ignore=["S1"])) == ["S0", "S2"]


def test_a_foreign_xfs_of_the_same_label_beside_spare_drives(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock())
    machine.signatures["/dev/nvme0n1"] = [("xfs", "scratch")]
    machine.drive("nvme1n1", "S2")
    assert "holds xfs signature (label scratch)" in refusal(plan(machine))


def test_a_member_of_an_array_of_another_name(machine):
    machine.drive("nvme0n1", "S1", md_superblock(OTHER_ARRAY, "node-7:database"))
    machine.drive("nvme1n1", "S2")
    message = refusal(plan(machine))
    assert f"drive nvme0n1 (serial S1) is a member of the md array node-7:database (UUID {OTHER_ARRAY})" in message


@pytest.mark.parametrize("name", ["any:scratch2", "scratch:data", "any:myscratch"])
def test_a_name_that_only_resembles_the_declared_one(machine, name):
    machine.drive("nvme0n1", "S1", md_superblock(name=name))
    machine.drive("nvme1n1", "S2", md_superblock(name=name))
    assert len(plan(machine).refused) == 2


def test_each_foreign_drive_is_named(machine):
    for number in range(2):
        machine.drive(f"nvme{number}n1", f"S{number}")
        machine.signatures[f"/dev/nvme{number}n1"] = [("ext4", None)]
    found = plan(machine)
    assert ["S0" in message for message in found.refused] == [True, False]
    assert ["S1" in message for message in found.refused] == [False, True]


def test_a_declared_layout_does_not_take_a_foreign_drive(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.signatures["/dev/nvme1n1"] = [("ext4", None)]
    found = plan(machine, layout="array", drives=2)
    assert found.steps == [] and any("S2" in message for message in found.refused)


def test_all_drives_ignored(machine):
    machine.drive("nvme0n1", "S1")
    assert in_state(plan(machine, ignore=["S1"]))


# An array that is there


@pytest.mark.parametrize("md", ["md127", "md7", "md126"])
def test_an_array_in_state(machine, md):
    volume(machine, md)
    found = plan(machine)
    assert in_state(found)
    assert (found.layout, found.device, found.filesystem) == ("array", f"/dev/{md}", FILESYSTEM)
    assert machine.ran == []  # not even a process


def test_an_array_in_state_beside_drives_of_the_system_and_foreign_ones(machine):
    volume(machine)
    system_on_a_partition(machine)
    machine.drive("nvme5n1", "S5")
    machine.mount("nvme5n1", "/data", "ext4")
    assert in_state(plan(machine))


def test_an_array_in_state_with_the_names_of_another_boot(machine):
    machine.drive("nvme4n1", "S1", md_superblock())
    machine.drive("nvme0n1", "S2", md_superblock())
    machine.md("md127", ["nvme4n1", "nvme0n1"], xfs_superblock())
    machine.mdadm_conf()
    machine.record()
    assert in_state(plan(machine))


def test_a_spare_drive_beside_an_array_in_state_stays_alone(machine):
    volume(machine)
    machine.drive("nvme7n1", "S7")
    assert in_state(plan(machine))


@pytest.mark.parametrize(("name", "adopt"), [("any:scratch", False), ("scratch", True), ("oldhost:scratch", True)])
def test_an_array_without_record_is_adopted(machine, name, adopt):
    machine.drive("nvme0n1", "S1", md_superblock(name=name))
    machine.drive("nvme1n1", "S2", md_superblock(name=name))
    machine.md("md7", ["nvme0n1", "nvme1n1"], xfs_superblock())
    machine.mdadm_conf()
    found = plan(machine, adopt=adopt)
    assert (found.layout, found.device, found.filesystem) == ("array", "/dev/md7", FILESYSTEM)
    assert fields_of(found) == steps(found) == ["record"]
    written = found.steps[0][1]
    machine.write(RECORD, json.dumps(written))
    assert in_state(plan(machine))


def test_a_record_finds_the_array_under_any_name(machine):
    machine.drive("nvme0n1", "S1", md_superblock(name="x:renamed"))
    machine.drive("nvme1n1", "S2", md_superblock(name="x:renamed"))
    machine.md("md127", ["nvme0n1", "nvme1n1"], xfs_superblock())
    machine.mdadm_conf()
    machine.record()
    assert in_state(plan(machine))


def test_two_arrays_of_one_name(machine):
    machine.drive("nvme0n1", "S1", md_superblock(drives=1))
    machine.drive("nvme1n1", "S2", md_superblock(OTHER_ARRAY, drives=1))
    message = refusal(plan(machine))
    assert all(word in message for word in (ARRAY, OTHER_ARRAY, "S1", "S2"))


def test_the_recorded_one_of_two_arrays_of_one_name(machine):
    volume(machine)
    machine.drive("nvme5n1", "S5", md_superblock(OTHER_ARRAY, drives=1))
    assert in_state(plan(machine))


def test_an_array_of_the_name_on_ignored_drives_is_left_alone(machine):
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", "S2", md_superblock())
    machine.md("md127", ["nvme0n1", "nvme1n1"], xfs_superblock())
    machine.drive("nvme2n1", "S3")
    machine.drive("nvme3n1", "S4")
    assert chosen(plan(machine, ignore=["S1", "S2"])) == ["S3", "S4"]


def test_an_array_that_is_not_running(machine):
    volume(machine)
    os.remove(machine.path("/sys/block/md127"))
    found = plan(machine)
    assert fields_of(found) == ["running"] and steps(found) == ["assemble"]
    arguments = found.steps[0][1]
    assert arguments["uuid"] == ARRAY
    assert [drive.serial for drive in arguments["drives"]] == ["S1", "S2"]
    assert (found.layout, found.device) == ("array", None)


@pytest.mark.parametrize("state", ["inactive", "broken"])
def test_an_array_that_was_gathered_and_not_started(machine, state):
    volume(machine)
    machine.write("/sys/devices/virtual/block/md127/md/array_state", state + "\n")
    found = plan(machine)
    assert steps(found) == ["assemble"]
    assert [array.name for array in storage.gathered(machine, found.steps[0][1]["drives"])] == ["md127"]


@pytest.mark.parametrize(("superblock", "declared", "field"), [
    ({"chunk_kib": 64}, {}, "chunk_kib"),
    ({}, {"chunk_kib": 1024}, "chunk_kib"),
    ({"level": 1}, {}, "level"),
    ({"level": -1}, {}, "level"),
    ({}, {"drives": 3}, "drives"),
    ({}, {"layout": "drive"}, "layout"),
])
def test_an_array_that_is_not_as_declared(machine, superblock, declared, field):
    volume(machine)
    for drive in ("nvme0n1", "nvme1n1"):
        machine.write(f"/dev/{drive}", md_superblock(**superblock))
    found = plan(machine, **declared)
    assert field in refusal(found).split(" is ")[0] and fields_of(found) == [field]
    assert ARRAY in refusal(found)


def test_as_many_drives_as_declared(machine):
    volume(machine)
    assert in_state(plan(machine, drives=2, layout="array"))


# What the array holds


def test_a_blank_array_is_formatted(machine):
    record = volume(machine)
    machine.write("/dev/md127", bytes(8192))
    found = plan(machine)
    assert fields_of(found) == ["filesystem"] and steps(found) == ["format"]
    arguments = found.steps[0][1]
    assert (arguments["device"], arguments["chunk_kib"]) == ("/dev/md127", 512)
    assert {**arguments["fields"], "filesystem": FILESYSTEM} == record
    assert found.filesystem is None


def test_an_array_whose_mkfs_was_cut_is_formatted(machine):
    volume(machine)
    machine.write("/dev/md127", xfs_superblock(in_progress=True))
    assert steps(plan(machine)) == ["format"]


@pytest.mark.parametrize("type_", ["ext4", "btrfs", "LVM2_member", "crypto_LUKS", "gpt"])
def test_an_array_with_another_content_is_refused(machine, type_):
    volume(machine)
    machine.write("/dev/md127", bytes(8192))
    machine.signatures["/dev/md127"] = [(type_, "data")]
    message = refusal(plan(machine))
    assert block.CONTENTS.get(type_, type_) in message and "declared is xfs" in message


def test_an_array_that_cannot_be_probed_is_not_formatted(machine):
    volume(machine)
    machine.write("/dev/md127", bytes(8192))
    machine.answers["wipefs"] = Completed(1, "", "wipefs: error: Input/output error")
    assert "Input/output error" in refusal(plan(machine))


def test_another_file_system_on_the_array_is_adopted(machine):
    volume(machine)
    machine.write("/dev/md127", xfs_superblock(OTHER_FILESYSTEM, label="old"))
    found = plan(machine)
    assert fields_of(found) == ["record"] and found.filesystem == OTHER_FILESYSTEM


# Lost drives and rebuilding


def lose(machine: Captured, name: str) -> None:
    os.remove(machine.path(f"/sys/block/{name}"))


def test_a_lost_drive(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    found = plan(machine)
    message = refusal(found)
    assert "1 of the 2 drives" in message and "serial S2" in message and f"nvme_raid_rebuild to ['{ARRAY}']" in message
    assert "S1" not in message
    assert (found.differences[0]["is"], found.differences[0]["should"]) == (1, 2)


def test_a_replaced_drive_is_not_taken(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    machine.drive("nvme4n1", "NEW")
    assert "serial S2" in refusal(plan(machine))


def test_all_drives_replaced(machine):
    machine.record()
    machine.drive("nvme0n1", "NEW1")
    machine.drive("nvme1n1", "NEW2")
    message = refusal(plan(machine))
    assert "2 of the 2 drives" in message and "S1, S2" in message


def test_a_lost_drive_without_record(machine):
    volume(machine)
    os.remove(machine.path(RECORD))
    lose(machine, "nvme1n1")
    message = refusal(plan(machine))
    assert "1 of the 2 drives" in message and "serial" not in message


def test_rebuild_that_names_the_array(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    machine.drive("nvme4n1", "NEW")
    found = plan(machine, rebuild=[OTHER_ARRAY, ARRAY])
    assert found.refused == [] and chosen(found) == ["NEW", "S1"]
    assert found.steps[0][1]["own"] == [ARRAY]
    assert ARRAY in found.differences[0]["message"]


def test_rebuild_that_names_another_array(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    machine.drive("nvme4n1", "NEW")
    assert ARRAY in refusal(plan(machine, rebuild=[OTHER_ARRAY]))


def test_rebuild_frees_only_the_drives_of_the_array(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    machine.drive("nvme4n1", "NEW")
    machine.drive("nvme5n1", "S5", md_superblock(OTHER_ARRAY, "x:database"))
    message = refusal(plan(machine, rebuild=[ARRAY]))
    assert "S5" in message and "database" in message


def test_rebuild_of_an_array_that_is_not_there_changes_nothing(machine):
    volume(machine)
    assert in_state(plan(machine, rebuild=[OTHER_ARRAY]))


def test_rebuild_keeps_to_the_declared_number_of_drives(machine):
    volume(machine)
    lose(machine, "nvme1n1")
    assert "nvme_raid_drives declares 2" in refusal(plan(machine, rebuild=[ARRAY], drives=2))


# A creation that was cut


def interrupted(machine: Captured, **fields: object) -> None:
    machine.record(status="creating", **fields)


def test_creation_cut_before_the_first_write(machine):
    interrupted(machine)
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    found = plan(machine)
    assert chosen(found) == ["S1", "S2"] and "interrupted" in found.differences[0]["message"]


def test_creation_cut_between_two_superblocks(machine):
    interrupted(machine)
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", "S2")
    assert chosen(plan(machine)) == ["S1", "S2"]


def test_creation_cut_after_the_file_system(machine):
    volume(machine)
    interrupted(machine)
    found = plan(machine)
    assert chosen(found) == ["S1", "S2"] and found.steps[0][1]["own"] == [ARRAY]


def test_creation_of_a_single_drive_cut_within_mkfs(machine):
    interrupted(machine, layout="drive", uuid=FILESYSTEM, serials=["S1"])
    machine.drive("nvme0n1", "S1", xfs_superblock(in_progress=True))
    assert chosen(plan(machine)) == ["S1"]


def test_rebuild_cut_before_the_old_marks_are_gone(machine):
    interrupted(machine, replaces=[OTHER_ARRAY])
    machine.drive("nvme0n1", "S1", md_superblock(OTHER_ARRAY))
    machine.drive("nvme1n1", "S2", md_superblock())
    found = plan(machine)
    assert chosen(found) == ["S1", "S2"] and found.steps[0][1]["own"] == sorted([ARRAY, OTHER_ARRAY])


@pytest.mark.parametrize(("arrange", "words"), FOREIGN)
def test_creation_is_not_resumed_over_a_drive_that_got_other_content(machine, arrange, words):
    interrupted(machine)
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", "S2")
    arrange(machine)
    assert "serial S2" in refusal(plan(machine)) and words in refusal(plan(machine))


def test_creation_is_not_resumed_over_the_superblock_of_another_array(machine):
    interrupted(machine)
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", "S2", md_superblock(OTHER_ARRAY, "any:scratch"))
    assert OTHER_ARRAY in refusal(plan(machine))


def test_creation_is_not_resumed_over_what_somebody_mounted_since(machine):
    volume(machine)
    interrupted(machine)
    machine.mount("md127", "/mnt/rescue")
    found = plan(machine)
    assert found.steps == [] and all("/mnt/rescue" in message for message in found.refused)
    assert len(found.refused) == 2
    assert chosen(plan(machine, rebuild=[ARRAY])) == ["S1", "S2"]


def test_creation_is_not_resumed_over_a_single_drive_that_somebody_mounted_since(machine):
    interrupted(machine, layout="drive", uuid=FILESYSTEM, serials=["S1"])
    machine.drive("nvme0n1", "S1", xfs_superblock())
    machine.mount("nvme0n1", "/mnt/rescue")
    assert "/mnt/rescue" in refusal(plan(machine))


# The record


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "1", '"x"', "{}", "\0\0\0\0", '{"status": "creating"}',
    '{"status": "creating", "uuid": 1, "filesystem": "", "replaces": [], "drives": [{"wwid": "w", "serial": "s"}]}',
    '{"status": "created", "uuid": "u", "filesystem": "f", "replaces": [[]], "drives": [{"wwid": "w", "serial": "s"}]}',
    '{"status": "created", "uuid": "u", "filesystem": "f", "replaces": [], "drives": [1]}',
    '{"status": "created", "uuid": "u", "filesystem": "f", "replaces": [], "drives": [{"wwid": {}, "serial": "s"}]}',
    '{"status": "created", "uuid": "u", "filesystem": "f", "replaces": [], "drives": [{"serial": "s"}]}',
    '{"status": "created", "uuid": "u", "filesystem": "f", "replaces": [], "drives": []}',
    "[" * 200000,
])
def test_a_record_that_cannot_be_used_counts_as_none(machine, text):
    volume(machine)
    machine.write(RECORD, text)
    found = plan(machine)
    assert fields_of(found) == steps(found) == ["record"]


@pytest.mark.parametrize("fields", [
    {"serials": ["S1", "S9"]}, {"filesystem": OTHER_FILESYSTEM}, {"layout": "drive"}, {"extra": 1}, {"schema": 0},
])
def test_a_record_that_says_something_else_is_written_anew(machine, fields):
    volume(machine)
    right = machine.record()
    machine.record(**fields)
    found = plan(machine)
    assert steps(found) == ["record"] and found.steps[0][1] == right


# A single drive


def single(machine: Captured) -> None:
    machine.drive("nvme0n1", "S1", xfs_superblock(unit_kib=0))
    machine.record(layout="drive", uuid=FILESYSTEM, serials=["S1"])


def test_a_single_drive_in_state(machine):
    single(machine)
    found = plan(machine)
    assert in_state(found)
    assert (found.layout, found.device, found.filesystem) == ("drive", "/dev/nvme0n1", FILESYSTEM)


def test_a_single_drive_without_record_is_adopted_by_its_label(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock())
    system_on_a_partition(machine)
    machine.drive("nvme5n1", "S5", xfs_superblock(OTHER_FILESYSTEM))
    found = plan(machine, ignore=["S5"], adopt=True)
    assert found.device == "/dev/nvme0n1" and steps(found) == ["record"]
    machine.signatures["/dev/nvme0n1"] = [("xfs", "scratch")]
    assert "label scratch" in refusal(plan(machine, ignore=["S5"]))


def test_a_single_drive_of_another_label_is_refused(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock(label="data"))
    machine.signatures["/dev/nvme0n1"] = [("xfs", "data")]
    assert "label data" in refusal(plan(machine))


def test_a_single_drive_is_not_adopted_where_an_array_is_declared(machine):
    machine.drive("nvme0n1", "S1", xfs_superblock())
    machine.signatures["/dev/nvme0n1"] = [("xfs", "scratch")]
    assert plan(machine, layout="array").steps == []
    assert any("S1" in message for message in plan(machine, layout="array").refused)


@pytest.mark.parametrize("declared", [{"layout": "array"}, {"drives": 2}])
def test_a_single_drive_where_an_array_is_declared(machine, declared):
    single(machine)
    message = refusal(plan(machine, **declared))
    assert "S1" in message and f"nvme_raid_rebuild to ['{FILESYSTEM}']" in message


def test_a_single_drive_that_lost_its_file_system(machine):
    single(machine)
    machine.write("/dev/nvme0n1", bytes(8192))
    message = refusal(plan(machine))
    assert FILESYSTEM in message and "serial S1" in message


def test_a_single_drive_is_rebuilt_by_the_uuid_of_its_file_system(machine):
    single(machine)
    machine.drive("nvme1n1", "S2")
    assert chosen(plan(machine, rebuild=[FILESYSTEM])) == ["S1", "S2"]


# What the boot needs


@pytest.mark.parametrize("text", [None, "", "HOMEHOST <system>\n", f"ARRAY /dev/md/old metadata=1.2 UUID={ARRAY}\n"])
def test_mdadm_conf_without_the_array(machine, text):
    volume(machine)
    os.remove(machine.path(mdadm.CONF))
    if text is not None:
        machine.write(mdadm.CONF, text)
    found = plan(machine)
    assert fields_of(found) == ["mdadm.conf"] and steps(found) == ["mdadm_conf"]
    arguments = found.steps[0][1]
    assert arguments["before"] == (text or "")
    machine.write(mdadm.CONF, arguments["after"])
    assert in_state(plan(machine))


def test_bytes_of_mdadm_conf_that_are_no_text_are_kept(machine):
    volume(machine)
    machine.write(mdadm.CONF, b"# caf\xe9\r\nHOMEHOST <system>\r\n")
    (_step, arguments), = plan(machine).steps
    written = arguments["after"].encode("utf-8", "surrogateescape")
    assert written.startswith(b"# caf\xe9\r\nHOMEHOST <system>\r\nARRAY ")


def boot(machine: Captured, name: str, time: int) -> None:
    os.utime(machine.write(f"/boot/{name}", ""), (time, time))


def test_an_initramfs_older_than_mdadm_conf(machine):
    volume(machine)
    machine.write(mdadm.HOOK, "")
    os.utime(machine.path(mdadm.CONF), (2000, 2000))
    for version, time in (("6.8.0-1", 1000), ("6.8.0-2", 3000), ("6.8.0-3", 1999)):
        boot(machine, f"initrd.img-{version}", time)
        boot(machine, f"vmlinuz-{version}", 500)
    found = plan(machine)
    assert fields_of(found) == steps(found) == ["initramfs"]
    assert found.differences[0]["is"] == ["/boot/initrd.img-6.8.0-1", "/boot/initrd.img-6.8.0-3"]


def test_images_that_update_initramfs_does_not_renew_do_not_count(machine):
    volume(machine)
    machine.write(mdadm.HOOK, "")
    os.utime(machine.path(mdadm.CONF), (2000, 2000))
    boot(machine, "vmlinuz-6.8.0-1", 500)
    boot(machine, "initrd.img-6.8.0-1", 3000)
    for name in ("initrd.img-6.8.0-1.old-dkms", "initrd.img-5.15.0-9", "initrd.img-6.8.0-1.new", "initrd.img.old"):
        boot(machine, name, 1000)
    assert in_state(plan(machine))


def test_no_initramfs_without_the_hook_of_mdadm(machine):
    volume(machine)
    os.utime(machine.path(mdadm.CONF), (2000, 2000))
    boot(machine, "vmlinuz-6.8.0-1", 500)
    boot(machine, "initrd.img-6.8.0-1", 1000)
    assert in_state(plan(machine))


# The declaration of an array


@pytest.mark.parametrize("name", ["scratch", "a", "a_b-c0123456"])
def test_valid_names(name):
    assert storage.invalid(spec(name=name)) is None


@pytest.mark.parametrize("name", ["", "Scratch", "0a", "-a", "a" * 13, "a b", "a/b", "../x", "a\n", "$(id)", "{{ x }}", "é"])
def test_invalid_names(name):
    message = storage.invalid(spec(name=name))
    assert repr(name) in message and "allowed" in message


@pytest.mark.parametrize(("fields", "valid"), [
    ({"chunk_kib": 4}, True), ({"chunk_kib": 1024}, True), ({"drives": 1}, True),
    ({"chunk_kib": 0}, False), ({"chunk_kib": 2}, False), ({"chunk_kib": 96}, False), ({"chunk_kib": -512}, False),
    ({"drives": 0}, False), ({"drives": -1}, False),
])
def test_numbers(fields, valid):
    message = storage.invalid(spec(**fields))
    if valid:
        assert message is None
    else:
        (field, value), = fields.items()
        assert f"{field} is {value}" in message and "allowed" in message


def test_new_uuids_are_as_mdadm_writes_them():
    first, second = storage.new_uuid(), storage.new_uuid()
    assert first != second
    assert [len(part) for part in first.split(":")] == [8, 8, 8, 8]


# Drives that cannot be written to


def test_a_read_only_drive_is_named_and_no_other_is_taken(machine):
    for number in range(4):
        machine.drive(f"nvme{number}n1", f"S{number}")
    machine.write("/sys/block/nvme2n1/ro", "1\n")
    message = refusal(plan(machine))
    assert "nvme2n1 (serial S2) is read-only" in message and "S1" not in message
    machine.write("/sys/block/nvme2n1/ro", "0\n")
    assert chosen(plan(machine)) == ["S0", "S1", "S2", "S3"]


def test_a_drive_of_an_array_that_became_read_only_is_named(machine):
    volume(machine)
    machine.write("/sys/block/nvme1n1/ro", "1\n")
    assert "nvme1n1 (serial S2) is read-only" in refusal(plan(machine))


def test_an_array_that_somebody_made_read_only_is_named(machine):
    volume(machine)
    machine.write("/sys/block/md127/md/array_state", "readonly\n")
    assert "mdadm --readwrite /dev/md127" in refusal(plan(machine))


def test_drives_too_small_for_a_file_system_are_named(machine):
    machine.drive("nvme0n1", "S1", sectors=1 << 17)
    assert "mkfs.xfs needs 300 MiB" in refusal(plan(machine))


# Content without a signature


def raw(machine: Captured, name: str) -> None:
    machine.write(f"/dev/{name}", b"etc/hostname".ljust(8192, b"\0"))


def test_a_drive_with_raw_data_is_foreign_until_it_may_be_overwritten(machine):
    for number in range(3):
        machine.drive(f"nvme{number}n1", f"S{number}")
    raw(machine, "nvme1n1")
    message = refusal(plan(machine))
    assert "drive nvme1n1 (serial S1) holds data that no signature names" in message and "'S1' to nvme_raid_overwrite" in message
    assert "S1" in refusal(plan(machine, overwrite=["S0", "S2"]))
    assert chosen(plan(machine, overwrite=["S1"])) == ["S0", "S1", "S2"]


@pytest.mark.parametrize(("arrange", "allowed"), [
    (holds(("ext4", "data")), True), (has_a_partition, True), (is_mounted, False), (is_swap, False), (has_a_mounted_partition, False),
    (is_held_by_a_mapping, False), (is_held_by_an_array_without_superblock, False),
])
def test_what_is_in_use_is_not_overwritten(machine, arrange, allowed):
    for number in range(2):
        machine.drive(f"nvme{number}n1", f"S{number}")
    arrange(machine)
    found = plan(machine, overwrite=["S1"])
    assert (chosen(found) == ["S0", "S1"]) if allowed else ("take it out of that use first" in refusal(found))


def test_an_array_with_raw_data_is_not_formatted(machine):
    volume(machine)
    raw(machine, "md127")
    assert "holds data that no signature names" in refusal(plan(machine))


def test_creation_is_not_resumed_over_raw_data(machine):
    interrupted(machine)
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", "S2")
    raw(machine, "nvme1n1")
    assert "serial S2" in refusal(plan(machine))


@pytest.mark.parametrize(("serial", "resumed"), [("S2", True), ("S3", False)])
def test_creation_is_resumed_over_what_its_own_wiping_left(machine, serial, resumed):
    interrupted(machine)
    machine.drive("nvme0n1", "S1", md_superblock())
    machine.drive("nvme1n1", serial)
    with open(machine.path("/dev/nvme1n1"), "r+b") as file:
        file.seek(6 << 20)
        file.write(b"x" * (20 << 20))
    found = plan(machine)
    assert (chosen(found) == ["S1", "S2"]) if resumed else ("serial S3" in refusal(found))


# Blank drives in place of an array


@pytest.mark.parametrize("serials", [("S1", "S2"), ("NEW1", "NEW2"), ("S1", "NEW2")])
def test_blank_drives_in_place_of_the_array(machine, serials):
    machine.record()
    for number, serial in enumerate(serials):
        machine.drive(f"nvme{number}n1", serial)
    assert "set" in refusal(plan(machine)) and "nvme_raid_recreate" in refusal(plan(machine))
    assert chosen(plan(machine, recreate=True)) == sorted(serials)


def test_recreating_loses_nothing(machine):
    machine.record()
    machine.drive("nvme0n1", "S1")
    assert "nvme_raid_recreate" not in refusal(plan(machine, recreate=True))  # fewer than there were
    machine.drive("nvme1n1", "S2")
    raw(machine, "nvme1n1")
    assert "nvme_raid_rebuild" in refusal(plan(machine, recreate=True, overwrite=["S2"]))
    machine.write("/dev/nvme1n1", bytes(8192))
    machine.drive("nvme2n1", "S3", md_superblock(drives=2))
    assert refusal(plan(machine, recreate=True))


def test_an_array_that_lost_one_drive_is_not_recreated(machine):
    volume(machine)
    machine.write("/dev/nvme1n1", bytes(8192))
    assert "nvme_raid_rebuild" in refusal(plan(machine, recreate=True))


def test_an_array_in_state_is_not_recreated(machine):
    volume(machine)
    assert in_state(plan(machine, recreate=True, overwrite=["S1", "S2"], adopt=True))


# More than a name


@pytest.mark.parametrize(("name", "label"), [("any:scratch", "theirs"), ("host:scratch", "scratch"), ("scratch", "scratch"), ("any:scratch", None)])
@pytest.mark.parametrize("runs", [True, False])
def test_an_array_of_the_name_alone_is_not_adopted(machine, name, label, runs):
    content = xfs_superblock(label=label) if label else bytes(8192)
    for number in range(2):
        path = machine.drive(f"nvme{number}n1", f"S{number}", md_superblock(name=name, role=number, data=storage.DATA_OFFSET))
        with open(machine.path(path), "r+b") as file:
            file.seek(storage.DATA_OFFSET)
            file.write(content)
    if runs:
        machine.md("md7", ["nvme0n1", "nvme1n1"], content)
    message = refusal(plan(machine))
    assert "nvme_raid_adopt" in message and ARRAY in message
    assert plan(machine, adopt=True).refused == []


def test_an_array_that_does_not_run_is_known_by_what_its_first_drive_holds(machine):
    for number, role in enumerate((1, 0)):
        path = machine.drive(f"nvme{number}n1", f"S{number}", md_superblock(role=role, data=storage.DATA_OFFSET))
        with open(machine.path(path), "r+b") as file:
            file.seek(storage.DATA_OFFSET)
            file.write(xfs_superblock() if role == 0 else b"x" * 512)
    assert steps(plan(machine)) == ["assemble"]


# Stripes


@pytest.mark.parametrize(("unit_kib", "drives"), [(64, 2), (512, 4), (0, 0)])
def test_a_file_system_whose_stripe_does_not_fit_is_named(machine, unit_kib, drives):
    volume(machine)
    machine.write("/dev/md127", xfs_superblock(unit_kib=unit_kib, drives=drives))
    found = plan(machine)
    assert fields_of(found) == ["stripe"] and ("sunit=1024,swidth=2048" in refusal(found)) == bool(unit_kib)


# Whether a boot gathers it


@pytest.mark.parametrize(("lines", "gathers"), [
    ("DEVICE /dev/sd*[0-9] /dev/vd*\n", False), ("DEVICE containers\n", False), ("device /dev/nvme0n1\n", False),
    ("DEV\t/dev/sda\n  /dev/vda\n", False), ("DEVICE /dev/sda # partitions\n", False),
    ("DEVICE partitions containers\n", True), ("DEVICE /dev/sda\nDEVICE partitions\n", True), ("DEVICE /dev/nvme*\n", True),
    ("DEVICE /dev/nvme0n1\n /dev/nvme1n1\n", True), ("#DEVICE /dev/sda\n", True), ('DEVICE "/dev/nvme[01]n1"\n', True),
])
def test_device_lines_of_mdadm_conf(machine, lines, gathers):
    volume(machine)
    before = lines + machine.text(mdadm.CONF)
    machine.write(mdadm.CONF, before)
    found = plan(machine)
    if gathers:
        assert in_state(found)
        return
    assert fields_of(found) == ["mdadm.conf"] and mdadm.CONF in found.differences[0]["message"]
    (_step, arguments), = found.steps
    assert arguments["after"] == before + mdadm.DEVICE + "\n"
    machine.write(mdadm.CONF, arguments["after"])
    assert in_state(plan(machine))


def test_device_lines_of_another_file(machine):
    volume(machine)
    machine.write(f"{mdadm.CONF_FOLDER}/vendor.conf", "DEVICE /dev/sd*\n")
    machine.write(f"{mdadm.CONF_FOLDER}/vendor.conf.bak", "DEVICE /dev/vd*\n")
    found = plan(machine)
    assert fields_of(found) == ["mdadm.conf"] and "vendor.conf)" in found.differences[0]["message"]
    machine.write(mdadm.CONF, found.steps[0][1]["after"])
    assert in_state(plan(machine))


@pytest.mark.parametrize("line", [f"ARRAY /dev/md/data UUID={ARRAY}", f"ARRAY <ignore> UUID={ARRAY}", f"ARRAY /dev/md/scratch UUID={OTHER_ARRAY}"])
def test_another_file_that_names_the_array_otherwise(machine, line):
    volume(machine)
    machine.write(f"{mdadm.CONF_FOLDER}/vendor.conf", line + "\n")
    assert f"{mdadm.CONF_FOLDER}/vendor.conf" in refusal(plan(machine))


def test_a_masked_rule_is_named_before_anything_is_made(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    machine.write(f"/etc/udev/rules.d/{mdadm.RULE}", "")
    assert f"/etc/udev/rules.d/{mdadm.RULE}" in refusal(plan(machine))
