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

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

RECORDS = "/var/lib/onecc/nvme_raid"
MDADM_CONF = "/etc/mdadm/mdadm.conf"
INITRAMFS_HOOK = "/usr/share/initramfs-tools/hooks/mdadm"


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
        self.differences.append(difference(name, field, is_, should, f"array {name}: {message}", refused=True))

    @property
    def refused(self) -> list[str]:
        return [item["message"] for item in self.differences if item.get("refused")]


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
        return _create(machine, spec, drives, mounted, {record["uuid"], *record["replaces"]}, "its creation was interrupted")
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
    if not members or len(members) < members[0].superblock.drives:
        return _lost(spec, members, record, identity)
    return _existing_array(machine, spec, members, record)


def _members(name: str, drives: list, record: dict) -> tuple[list, set]:
    """The drives of the array and its UUID: the recorded one first, else every array of that name."""
    marked = [drive for drive in drives if drive.superblock]
    members = [drive for drive in marked if drive.superblock.uuid == record.get("uuid")]
    if not members:
        members = [drive for drive in marked if drive.superblock.name.rpartition(":")[2] == name]
    return members, {drive.superblock.uuid for drive in members}


def _single(spec: dict, drives: list, record: dict):
    """The one drive that bears the file system: the recorded one; without a record, the only drive if it has the label."""
    bearers = [drive for drive in drives if drive.xfs and drive.xfs.complete]
    if record:
        return next((drive for drive in bearers if drive.xfs.uuid == record["uuid"]), None)
    labelled = [drive for drive in bearers if drive.xfs.label == spec["name"]]
    return labelled[0] if labelled and len(drives) == 1 and spec["layout"] != "array" else None


def _lost(spec: dict, members: list, record: dict, identity: str) -> Plan:
    result = Plan()
    have = {drive.wwid for drive in members}
    lost = [drive["serial"] for drive in record.get("drives", []) if drive["wwid"] not in have]
    total = members[0].superblock.drives if members else len(record.get("drives", []))
    serials = f" (serial {', '.join(lost)})" if lost else ""
    result.refuse(
        spec["name"], "drives", len(members), total,
        f"{total - len(members)} of the {total} drives of {identity} are gone or wiped{serials}, and the data with them. To build it "
        f"anew from the drives that are there, set nvme_raid_rebuild to ['{identity}']",
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
    names = {drive.name for drive in members}
    gathered = [array for array in block.arrays(machine) if names & set(array.members)]
    running = [array for array in gathered if array.running]
    if not running:
        result.differs(name, "running", False, True, f"{mark.uuid} is not running on {_labels(members)}")
        result.steps.append(("assemble", {"uuid": mark.uuid, "drives": members, "stop": gathered}))
        return result
    result.device = running[0].path
    drives = [{"wwid": drive.wwid, "serial": drive.serial} for drive in members]
    fields = {"layout": "array", "uuid": mark.uuid, "drives": drives}
    if found := _filesystem(machine, spec, result, fields, mark.chunk_kib):
        _recorded(result, spec, record, {**fields, "filesystem": found})
        _boot(machine, result, name, mark.uuid)
    return result


def _existing_drive(machine: Machine, spec: dict, drive, record: dict) -> Plan:
    result = Plan("drive")
    if spec["layout"] == "array" or (spec["drives"] or 1) != 1:
        result.refuse(spec["name"], "layout", "drive", "array", f"{drive.label} alone bears it, declared is an array of "
                      f"{spec['drives'] or 'several'} drives. To lose its data and build that, set nvme_raid_rebuild to "
                      f"['{drive.xfs.uuid}']")
    result.device, result.filesystem = drive.path, drive.xfs.uuid
    drives = [{"wwid": drive.wwid, "serial": drive.serial}]
    fields = {"layout": "drive", "uuid": drive.xfs.uuid, "filesystem": drive.xfs.uuid, "drives": drives}
    _recorded(result, spec, record, fields)
    return result


def _filesystem(machine: Machine, spec: dict, result: Plan, fields: dict, chunk_kib: int) -> str | None:
    """The UUID of the XFS on the array. A blank array, or one where mkfs was cut, gets one; another content stays."""
    found = block.xfs(machine, result.device)
    if found and found.complete:
        result.filesystem = found.uuid
        return found.uuid
    other = [] if found else block.signatures(machine, result.device)
    if other:
        result.refuse(spec["name"], "filesystem", ", ".join(other), "xfs", f"it holds {', '.join(other)}, declared is xfs. "
                      "Nothing is done to it: keep it and declare another name (nvme_raid_name), or wipe it yourself")
        return None
    result.differs(spec["name"], "filesystem", None, "xfs", f"{result.device} has no file system")
    fields = {**_record(spec, fields), "filesystem": block.uuid_text(os.urandom(16))}
    result.steps.append(("format", {"device": result.device, "fields": fields, "chunk_kib": chunk_kib}))
    return None


def _record(spec: dict, fields: dict) -> dict:
    return {"schema": 1, "status": "created", "name": spec["name"], "replaces": [], **fields}


def _recorded(result: Plan, spec: dict, record: dict, fields: dict) -> None:
    should = _record(spec, fields)
    if record != should:
        result.differs(spec["name"], "record", record.get("uuid"), should["uuid"],
                       f"{record_path(spec['name'])} does not say that it is {should['uuid']}")
        result.steps.append(("record", should))


def _boot(machine: Machine, result: Plan, name: str, array: str) -> None:
    """mdadm.conf gives the array its path at every boot, also in the initramfs, which has a copy of it."""
    text = machine.text(MDADM_CONF, "surrogateescape") or ""
    wanted = mdadm_conf(text, name, array)
    if text != wanted:
        result.differs(name, "mdadm.conf", None, array, f"{MDADM_CONF} does not give {array} the path /dev/md/{name}")
        result.steps.append(("mdadm_conf", {"before": text, "after": wanted}))
    elif stale := stale_initramfs(machine):
        result.differs(name, "initramfs", stale, [], f"{', '.join(stale)} is older than {MDADM_CONF}, which it copies")
        result.steps.append(("initramfs", {}))


def mdadm_conf(text: str, name: str, array: str) -> str:
    """The text of mdadm.conf with one line for the array, and none that gives its path or UUID to anything else.

    All other lines stay as they are. mdadm.conf(5): a line that begins with white space continues the one before.
    """
    line = f"ARRAY /dev/md/{name} metadata=1.2 UUID={array}"
    entries = re.split(r"(?m)^(?![ \t])", text)
    if [entry.strip() for entry in entries if _claims(entry, name, array)] == [line]:
        return text
    kept = "".join(entry for entry in entries if not _claims(entry, name, array))
    return kept + ("" if not kept or kept.endswith("\n") else "\n") + line + "\n"


def _claims(entry: str, name: str, array: str) -> bool:
    words = entry.split()
    # mdadm.conf(5): keywords may be cut to three letters, and any character may part the digits of a UUID.
    if len(words) < 2 or len(words[0]) < 3 or not "array".startswith(words[0].lower()):
        return False
    uuids = [word[5:] for word in words[2:] if word.lower().startswith("uuid=")]
    return words[1] in (f"/dev/md/{name}", name) or any(_digits(uuid_) == _digits(array) for uuid_ in uuids)


def _digits(uuid_: str) -> str:
    return re.sub(r"[^0-9a-f]", "", uuid_.lower())


def stale_initramfs(machine: Machine) -> list[str]:
    """The initramfs images in /boot that were made before mdadm.conf was last written.

    Those of kernels that are there: update-initramfs(8) never renews what else lies in /boot, such as a copy that DKMS
    made (initrd.img-6.8.0-60-generic.old-dkms).
    """
    if not machine.exists(INITRAMFS_HOOK):
        return []
    written = os.stat(machine.path(MDADM_CONF)).st_mtime
    kernels = [name[len("vmlinuz-"):] for name in machine.names("/boot") if name.startswith("vmlinuz-")]
    images = [f"/boot/initrd.img-{kernel}" for kernel in kernels if machine.exists(f"/boot/initrd.img-{kernel}")]
    return [image for image in images if os.stat(machine.path(image)).st_mtime < written]


def _create(machine: Machine, spec: dict, drives: list, mounted: list, own: set[str], why: str) -> Plan:
    """The plan to create what was declared from spare drives. Drives that bear a UUID of `own` count as spare."""
    result, name = Plan(), spec["name"]
    spare = []
    for drive in drives:
        if _bears(drive, own):
            _refuse_mounted(machine, spec, drive, mounted, result)
            spare.append(drive)
            continue
        block.look_inside(machine, drive, mounted)
        if drive.contents:
            result.refuse(
                name, "drives", drive.contents, [], f"drive {drive.label} {', '.join(drive.contents)}. Nothing is touched, and "
                f"no array is built as long as that is undecided: free the drive yourself if its data may go, or leave it "
                f"out by adding '{drive.serial}' to nvme_raid_ignore",
            )
        else:
            spare.append(drive)
    layout = _layout(spec, spare, result)
    if result.differences:
        return result
    result.layout = layout
    if layout == "directory":
        return result
    what = f"an array of {len(spare)} drives" if layout == "array" else "a single drive"
    result.differs(name, "exists", False, layout, f"{why or 'it does not exist'}: {what} is to be made of {_labels(spare)}")
    result.steps.append(("create", {"layout": layout, "drives": spare, "own": sorted(own)}))
    return result


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
