# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a node's spare NVMe drives are, and what is left to do until they are what was declared.

The check and the module that acts both ask `plan()`, so they cannot disagree. It is asked anew after every round of
steps, and a record on the node says which array is being created: so a run that was cut anywhere is taken up again.
"""

from __future__ import annotations

import json
import os
import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, mdadm, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

RECORDS = "/var/lib/onecc/nvme_raid"
# Where on each drive the array's data begins, so that it is known before there is an array what will show through it. mdadm(8)
# takes between 1 and 128 MiB by the drive's size where nothing is said.
DATA_OFFSET = 16 << 20
# mkfs.xfs(8): no file system is smaller.
MIN_BYTES = 300 << 20


class Plan:
    """What differs and what mends it.

    `layout` is "array", "drive" or "directory", None as long as it is undecided. `device` and `filesystem` (its UUID)
    are what a mount rests on, None where that does not exist yet. `steps` are to be taken in their order.
    """

    def __init__(self, layout: str | None = None) -> None:
        self.layout = layout
        self.device: str | None = None
        self.filesystem: str | None = None
        self.differences: list[dict] = []
        self.steps: list[tuple[str, dict]] = []

    def differs(self, name: str, field: str, is_: object, should: object, message: str) -> None:
        self.differences.append(difference(name, field, is_, should, f"array {name}: {message}"))

    def refuse(self, name: str, field: str, is_: object, should: object, message: str) -> None:
        self.differences.append(difference(name, field, is_, should, f"array {name}: {message}", remedy="manual"))

    @property
    def refused(self) -> list[str]:
        return [item["message"] for item in self.differences if item["remedy"] == "manual"]


def new_uuid() -> str:
    """A random UUID as mdadm writes it."""
    return block.uuid_words(os.urandom(16))


def invalid(spec: dict) -> str | None:
    """What is wrong with a declared array beyond the types of its fields."""
    if not re.fullmatch(specs.ARRAY_NAME, spec["name"]):
        return (f"name is {spec['name']!r}; allowed is a lower-case letter, then up to 11 of a-z, 0-9, _ and -, because it is "
                "also the label of the file system")
    chunk = spec["chunk_kib"]
    if chunk < 4 or chunk & (chunk - 1):
        return f"chunk_kib is {chunk}; allowed is a power of two, from 4 on (KiB)"
    if spec["drives"] is not None and spec["drives"] < 1:
        return f"drives is {spec['drives']}; allowed is a number from 1 on, or none at all to take every spare drive"
    return None


def record_path(name: str) -> str:
    return f"{RECORDS}/{name}.json"


def read_record(machine: Machine, name: str) -> dict:
    """What this collection wrote down of the array, empty where it wrote nothing that can be read."""
    try:
        record = json.loads(machine.text(record_path(name)) or "{}")
    except (ValueError, RecursionError):
        return {}
    fields = {"status": str, "uuid": str, "filesystem": str, "replaces": list, "drives": list}
    whole = (
        isinstance(record, dict)
        and all(isinstance(record.get(key), type_) for key, type_ in fields.items())
        and all(isinstance(uuid_, str) for uuid_ in record["replaces"])
        and all(isinstance(drive, dict) and {"wwid", "serial"} <= drive.keys() for drive in record["drives"])
        and all(isinstance(value, str) for drive in record["drives"] for value in drive.values())
    )
    return record if whole and record["drives"] else {}


def plan(machine: Machine, spec: dict) -> Plan:
    """Compares the drives with `spec`, the declared array. Only looks."""
    if spec["layout"] == "directory":
        return Plan("directory")
    mounted = block.mounts(machine)
    drives = [drive for drive in block.drives(machine, mounted) if not drive.system and drive.serial not in spec["ignore"]]
    record = read_record(machine, spec["name"])
    if record.get("status") == "creating":
        # No data was ever handed over: what carries the array's mark is free to be begun anew.
        own, begun = {record["uuid"], *record["replaces"]}, {drive["wwid"] for drive in record["drives"]}
        return _create(machine, spec, drives, mounted, own, "its creation was interrupted", begun)
    return _existing(machine, spec, drives, mounted, record) or _create(machine, spec, drives, mounted, set(), "")


def _existing(machine, spec: dict, drives: list, mounted: list, record: dict) -> Plan | None:
    """The plan for an array or single drive that was there before; None where there is none."""
    members, uuids = _members(spec["name"], drives, record)
    if len(uuids) > 1:
        result = Plan()
        listed = ", ".join(f"{key} on {_labels([d for d in members if d.superblock.uuid == key])}" for key in sorted(uuids))
        result.refuse(spec["name"], "uuid", sorted(uuids), None, f"several arrays bear this name: {listed}. Stop and wipe "
                      "those that are not it, or declare another name (nvme_raid_name)")
        return result
    single = None if members else _single(spec, drives, record)
    identity = members[0].superblock.uuid if members else single.xfs.uuid if single else record.get("uuid")
    if not identity:
        return None
    if identity in spec["rebuild"]:
        return _create(machine, spec, drives, mounted, {identity}, f"it is to be rebuilt in place of {identity}")
    if single:
        return _existing_drive(machine, spec, single, record)
    if not members:
        return _gone(machine, spec, drives, mounted, record)
    if len(members) < members[0].superblock.drives:
        return _lost(spec, members, record, identity)
    if identity != record.get("uuid") and not spec["adopt"] and not _made_here(machine, spec["name"], members):
        result = Plan()
        result.refuse(
            spec["name"], "adopt", identity, None, f"{identity} on {_labels(members)} bears this name, and nothing else says that it was "
            "made by this role. Nothing is done to it: take it over with the data in it by setting nvme_raid_adopt to true, or "
            f"declare another name (nvme_raid_name), or, if its data may go, set nvme_raid_rebuild to ['{identity}']",
        )
        return result
    return _existing_array(machine, spec, members, record)


def _members(name: str, drives: list, record: dict) -> tuple[list, set]:
    """The drives of the array and its UUID: the recorded one first, else every array of that name."""
    marked = [drive for drive in drives if drive.superblock]
    members = [drive for drive in marked if drive.superblock.uuid == record.get("uuid")]
    if not members:
        members = [drive for drive in marked if drive.superblock.name.rpartition(":")[2] == name]
    return members, {drive.superblock.uuid for drive in members}


def _single(spec: dict, drives: list, record: dict):
    """The one drive that bears the file system: the recorded one; without a record and to be adopted, the only drive if it has
    the label, which is no proof of who made it."""
    bearers = [drive for drive in drives if drive.xfs and drive.xfs.complete]
    if record:
        return next((drive for drive in bearers if drive.xfs.uuid == record["uuid"]), None)
    labelled = [drive for drive in bearers if drive.xfs.label == spec["name"]]
    return labelled[0] if spec["adopt"] and labelled and len(drives) == 1 and spec["layout"] != "array" else None


def _made_here(machine: Machine, name: str, members: list) -> bool:
    """Whether an array that nothing on the root disk remembers bears all the marks of one that this role made: of any host, and
    with a file system labelled like it. The first drive's data begin with that, whether the array runs or not."""
    running = [array.path for array in gathered(machine, members) if array.running]
    first = [(drive.path, drive.superblock.data) for drive in members if drive.superblock.role == 0]
    where = [(path, 0) for path in running] or first
    found = block.xfs(machine, *where[0]) if where else None
    mark = members[0].superblock
    return mark.name == f"any:{name}" and mark.level == 0 and bool(found) and found.complete and found.label == name


def _gone(machine: Machine, spec: dict, drives: list, mounted: list, record: dict) -> Plan:
    """The plan where no drive bears the recorded array any more: nodes of a cloud that were stopped come back with blank drives."""
    for drive in drives:
        block.look_inside(machine, drive, mounted)
    blank = len(drives) == len(record["drives"]) and not any(drive.contents for drive in drives)
    if blank and spec["recreate"]:
        return _create(machine, spec, drives, mounted, set(), f"all drives are blank in place of {record['uuid']}")
    return _lost(spec, [], record, record["uuid"], blank)


def _lost(spec: dict, members: list, record: dict, identity: str, blank: bool = False) -> Plan:
    result = Plan()
    have = {drive.wwid for drive in members}
    lost = [drive["serial"] for drive in record.get("drives", []) if drive["wwid"] not in have]
    total = members[0].superblock.drives if members else len(record.get("drives", []))
    serials = f" (serial {', '.join(lost)})" if lost else ""
    result.refuse(
        spec["name"], "drives", len(members), total,
        f"{total - len(members)} of the {total} drives of {identity} are gone or wiped{serials}, and the data with them. "
        + (f"{total} drives are there and blank, as after a stop and start of the node: nothing can be lost by setting nvme_raid_recreate "
           "to true, for all nodes at once" if blank else
           f"To build it anew from the drives that are there, set nvme_raid_rebuild to ['{identity}']"),
    )
    return result


def _existing_array(machine: Machine, spec: dict, members: list, record: dict) -> Plan:
    result, name, mark = Plan("array"), spec["name"], members[0].superblock
    for field, is_, should in (("layout", "array", "array" if spec["layout"] == "auto" else spec["layout"]),
                               ("level", mark.level, 0), ("chunk_kib", mark.chunk_kib, spec["chunk_kib"]),
                               ("drives", mark.drives, spec["drives"] or mark.drives)):
        if is_ != should:
            result.refuse(name, field, is_, should, f"{field} is {is_}, declared is {should}. Nothing but a rebuild changes "
                          f"that, and it loses the data: declare {is_}, or set nvme_raid_rebuild to ['{mark.uuid}']")
    _refuse_read_only(result, name, members)
    running = next((array for array in gathered(machine, members) if array.running), None)
    if not running:
        result.differs(name, "running", False, True, f"{mark.uuid} is not running on {_labels(members)}")
        result.steps.append(("assemble", {"uuid": mark.uuid, "drives": members}))
        return result
    result.device = running.path
    if machine.attribute(f"/sys/block/{running.name}/md/array_state") == "readonly":
        result.refuse(name, "read_only", True, False, f"{running.path} was made read-only, which nothing in this role does. If it may be "
                      f"written to, run mdadm --readwrite {running.path}")
    drives = [{"wwid": drive.wwid, "serial": drive.serial} for drive in members]
    fields = {"layout": "array", "uuid": mark.uuid, "drives": drives}
    if found := _filesystem(machine, spec, result, fields, mark):
        _recorded(result, spec, record, {**fields, "filesystem": found})
        _boot(machine, result, name, mark.uuid, members)
    return result


def gathered(machine: Machine, drives: list) -> list:
    """The arrays that the kernel has of any of these drives, whether they run or not."""
    names = {drive.name for drive in drives}
    return [array for array in block.arrays(machine) if names & set(array.members)]


def _refuse_read_only(result: Plan, name: str, drives: list) -> None:
    for drive in drives:
        if drive.read_only:
            result.refuse(name, "read_only", True, False, f"drive {drive.label} is read-only. Nothing is written to it nor to the others: "
                          "replace it, or, if somebody set it so and not its wear, run blockdev --setrw "
                          f"{drive.path}; nvme_raid_ignore: ['{drive.serial}'] leaves it out")


def _existing_drive(machine: Machine, spec: dict, drive, record: dict) -> Plan:
    result = Plan("drive")
    if spec["layout"] == "array" or (spec["drives"] or 1) != 1:
        result.refuse(spec["name"], "layout", "drive", "array", f"{drive.label} alone bears it, declared is an array of "
                      f"{spec['drives'] or 'several'} drives. To lose its data and build that, set nvme_raid_rebuild to "
                      f"['{drive.xfs.uuid}']")
    result.device, result.filesystem = drive.path, drive.xfs.uuid
    drives = [{"wwid": drive.wwid, "serial": drive.serial}]
    fields = {"layout": "drive", "uuid": drive.xfs.uuid, "filesystem": drive.xfs.uuid, "drives": drives}
    _refuse_read_only(result, spec["name"], [drive])
    _recorded(result, spec, record, fields)
    return result


def _filesystem(machine: Machine, spec: dict, result: Plan, fields: dict, mark: block.Superblock) -> str | None:
    """The UUID of the XFS on the array. A blank array, or one where mkfs was cut, gets one; another content stays."""
    found = block.xfs(machine, result.device)
    if found and found.complete:
        result.filesystem = found.uuid
        if not result.refused and (found.unit_kib, found.width) != (mark.chunk_kib, mark.drives):
            _refuse_stripe(spec, result, found, mark)
        return found.uuid
    other = [] if found else block.signatures(machine, result.device) or _unnamed(machine, result.device)
    if other:
        result.refuse(spec["name"], "filesystem", ", ".join(other), "xfs", f"{result.device} has content: {', '.join(other)}; declared is xfs. "
                      "Nothing is done to it: keep it and declare another name (nvme_raid_name), or wipe it yourself")
        return None
    result.differs(spec["name"], "filesystem", None, "xfs", f"{result.device} has no file system")
    fields = {**_record(spec, fields), "filesystem": block.uuid_text(os.urandom(16))}
    result.steps.append(("format", {"device": result.device, "fields": fields, "chunk_kib": mark.chunk_kib}))
    return None


def _unnamed(machine: Machine, device: str) -> list[str]:
    size = int(machine.attribute(f"/sys/class/block/{os.path.basename(device)}/size") or 0) * block.SECTOR
    found = block.unnamed(machine, device, size)
    return [found] if found else []


def _refuse_stripe(spec: dict, result: Plan, found: block.Xfs, mark: block.Superblock) -> None:
    """XFS lays out files by the stripe that it was made for; one that does not fit costs speed, and nothing says so later."""
    is_ = f"stripes of {found.unit_kib} KiB on {found.width} drives" if found.unit_kib else "no stripes at all"
    unit = mark.chunk_kib * 2  # xfs(5), sunit and swidth: in blocks of 512 bytes
    once = f"unmount it and mount it once with -o sunit={unit},swidth={unit * mark.drives}, which XFS then keeps, or, " if found.unit_kib else ""
    result.refuse(
        spec["name"], "stripe", [found.unit_kib, found.width], [mark.chunk_kib, mark.drives],
        f"its XFS was made for {is_}, the array has stripes of {mark.chunk_kib} KiB on {mark.drives}: {once}"
        f"if its data may go, set nvme_raid_rebuild to ['{mark.uuid}']",
    )


def _record(spec: dict, fields: dict) -> dict:
    return {"schema": 1, "status": "created", "name": spec["name"], "replaces": [], **fields}


def _recorded(result: Plan, spec: dict, record: dict, fields: dict) -> None:
    should = _record(spec, fields)
    if record != should:
        result.differs(spec["name"], "record", record.get("uuid"), should["uuid"],
                       f"{record_path(spec['name'])} does not say that it is {should['uuid']}")
        result.steps.append(("record", should))


def _boot(machine: Machine, result: Plan, name: str, array: str, members: list) -> None:
    """mdadm.conf gives the array its path at every boot, also in the initramfs, which has a copy of it."""
    text = mdadm.texts(machine)[mdadm.CONF]
    named = mdadm.with_array(text, name, array)
    wanted = mdadm.with_devices(machine, named, [drive.path for drive in members])
    if text != named:
        result.differs(name, "mdadm.conf", None, array, f"{mdadm.CONF} does not give {array} the path /dev/md/{name}")
    if named != wanted:
        result.differs(name, "mdadm.conf", "DEVICE", mdadm.DEVICE, "no boot gathers it, because the DEVICE lines of mdadm's configuration "
                       f"({', '.join(path for path, each in mdadm.texts(machine).items() if mdadm.devices(each))}) leave out {_labels(members)}")
    if text != wanted:
        result.steps.append(("mdadm_conf", {"before": text, "after": wanted}))
    elif stale := mdadm.stale_initramfs(machine):
        result.differs(name, "initramfs", stale, [], f"{', '.join(stale)} is older than {mdadm.CONF}, which it copies")
        result.steps.append(("initramfs", {}))
    _refuse_obstacles(machine, result, name, array)


def _refuse_obstacles(machine: Machine, result: Plan, name: str, array: str | None = None) -> None:
    for obstacle in mdadm.obstacles(machine, name, array):
        result.refuse(name, "boot", False, True, f"it is not gathered at boot as declared: {obstacle}")


def _create(
    machine: Machine, spec: dict, drives: list, mounted: list, own: set[str], why: str, begun: frozenset | set = frozenset()
) -> Plan:
    """The plan to create what was declared from spare drives. Drives that bear a UUID of `own` count as spare, and those of
    the WWIDs in `begun` whose creation was cut."""
    result, name = Plan(), spec["name"]
    spare = []
    _refuse_read_only(result, name, drives)
    for drive in drives:
        if _bears(drive, own):
            _refuse_mounted(machine, spec, drive, mounted, result)
            spare.append(drive)
            continue
        block.look_inside(machine, drive, mounted)
        may_go = drive.serial in spec["overwrite"] or drive.wwid in begun and not drive.named and _wiped(machine, drive)
        if drive.uses or drive.contents and not may_go:
            free = "take it out of that use first" if drive.uses else f"if its data may go, add '{drive.serial}' to nvme_raid_overwrite"
            result.refuse(
                name, "drives", drive.contents, [], f"drive {drive.label} {', '.join(drive.contents)}. Nothing is touched, and "
                f"no array is built as long as that is undecided: {free}, or leave it out by adding '{drive.serial}' to nvme_raid_ignore",
            )
        else:
            spare.append(drive)
    layout = _layout(spec, spare, result)
    if layout == "array":
        _refuse_obstacles(machine, result, name)
    if layout != "directory":
        _refuse_small(spec, spare, result)
    if result.differences:
        return result
    result.layout = layout
    if layout == "directory":
        return result
    what = f"an array of {len(spare)} drives" if layout == "array" else "a single drive"
    result.differs(name, "exists", False, layout, f"{why or 'it does not exist'}: {what} is to be made of {_labels(spare)}")
    result.steps.append(("create", {"layout": layout, "drives": spare, "own": sorted(own)}))
    return result


def _wiped(machine: Machine, drive) -> bool:
    """Whether a drive that a creation took begins as that leaves it: blank until there is a superblock of its own. Whoever wrote
    something else to it since has mostly begun at the beginning."""
    return block.blank(machine.data(drive.path, 0, block.SECTOR) or b"x")


def _refuse_small(spec: dict, spare: list, result: Plan) -> None:
    usable = sum(max(0, drive.size - DATA_OFFSET) for drive in spare)
    if spare and usable < MIN_BYTES:
        result.refuse(spec["name"], "size", usable, MIN_BYTES, f"{_labels(spare)} have room for {usable >> 20} MiB; mkfs.xfs needs "
                      f"{MIN_BYTES >> 20} MiB. Leave them out (nvme_raid_ignore), or declare the layout 'directory'")


def _bears(drive, own: set[str]) -> bool:
    mark = drive.superblock or drive.xfs
    return bool(mark) and mark.uuid in own


def _refuse_mounted(machine: Machine, spec: dict, drive, mounted: list, result: Plan) -> None:
    """Refuses what an interrupted creation left and somebody mounted since, unless it may be destroyed by name."""
    identity = (drive.superblock or drive.xfs).uuid
    devices = {array.device for array in block.arrays(machine) if drive.name in array.members}
    devices.add(machine.attribute(f"/sys/block/{drive.name}/dev"))
    paths = [mount.path for mount in mounted if mount.device in devices]
    if paths and identity not in spec["rebuild"]:
        result.refuse(
            spec["name"], "drives", paths, [], f"drive {drive.label} is mounted at {', '.join(paths)}, although the creation of "
            f"{identity} on it was interrupted: unmount it, or, if its data may go, set nvme_raid_rebuild to ['{identity}']",
        )


def _layout(spec: dict, spare: list, result: Plan) -> str:
    """The layout for so many spare drives; says what is wrong where the declaration asks for something else."""
    natural = ("directory", "drive")[len(spare)] if len(spare) < 2 else "array"
    layout = natural if spec["layout"] == "auto" else spec["layout"]
    if spec["drives"] is not None and len(spare) != spec["drives"]:
        result.refuse(spec["name"], "drives", len(spare), spec["drives"],
                      f"{len(spare)} spare drives were found, nvme_raid_drives declares {spec['drives']}: {_labels(spare)}")
    elif layout != natural:
        result.refuse(spec["name"], "layout", natural, layout,
                      f"{len(spare)} spare drives were found ({_labels(spare)}), too few or too many for the layout '{layout}' "
                      "that nvme_raid_layout declares")
    return layout


def _labels(drives: list) -> str:
    return ", ".join(drive.label for drive in drives) or "none"
