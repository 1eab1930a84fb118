# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""A declared mount as a systemd mount unit: what the unit says, and what is mounted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, specs, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

UNITS = "/etc/systemd/system"
# Not local-fs.target: a drive that is missing must not keep a node from booting.
WANTED_BY = "multi-user.target"
# Options that mount(8) and systemd read and the kernel never shows.
UNSEEN = re.compile(r"defaults|(no)?auto|nofail|_netdev|(no)?user|users|owner|group|comment=.*|x-.*|X-.*")
# Options that the kernel shows by leaving out their opposites. mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS.
SILENT = {"async": "sync", "atime": "noatime", "dev": "nodev", "diratime": "nodiratime", "exec": "noexec", "suid": "nosuid"}


def invalid(mount: dict) -> str | None:
    """What is wrong with a declared mount beyond the types of its fields."""
    for field, (pattern, allowed) in specs.MOUNT_PATTERNS.items():
        value = mount.get(field)
        if value is not None and not re.fullmatch(pattern, value):
            return f"{field} is {value!r}; allowed is {allowed}"
    pattern, allowed = specs.MOUNT_OPTION
    wrong = [option for option in mount["options"] if not re.fullmatch(pattern, option)]
    return f"options has {wrong[0]!r}; each is {allowed}" if wrong else None


def unit_name(path: str) -> str:
    """The unit of a mount point, by the rules of systemd.unit(5), "String escaping for inclusion in unit names"."""
    words = re.sub("/+", "/", path.strip("/"))
    if not words:
        return "-.mount"
    escaped = re.sub(r"[^A-Za-z0-9:_./]", lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()), words)
    escaped = re.sub(r"^\.", r"\\x2e", escaped)
    return escaped.replace("/", "-") + ".mount"


def unit_text(mount: dict, source: str) -> str:
    """The whole unit. `nofail` keeps it from holding up the boot (systemd.mount(5))."""
    options = ",".join([*mount["options"], "nofail"] if "nofail" not in mount["options"] else mount["options"])
    # systemd.unit(5), "Specifiers": a percent sign stands for itself when it is doubled.
    what, where, options = (text.replace("%", "%%") for text in (source, mount["path"], options))
    return (
        "# Managed by onecc.cluster: the next site.yml undoes what is changed here.\n"
        f"[Unit]\nDescription={where} as declared\n\n"
        f"[Mount]\nWhat={what}\nWhere={where}\nType={mount['fstype']}\nOptions={options}\n\n"
        f"[Install]\nWantedBy={WANTED_BY}\n"
    )


class Target:
    """What a mount rests on: `source` for the unit, None where it does not exist yet; `directory` where none is needed."""

    def __init__(self, source: str | None, device: str | None, directory: bool = False) -> None:
        self.source = source
        self.device = device
        self.directory = directory


def target(machine: Machine, mount: dict) -> Target:
    """Resolves a mount of a declared array on this node; any other source is taken as it is written."""
    if not mount.get("array"):
        return Target(mount["source"], None)
    found = storage.plan(machine, mount["array"])
    source = f"/dev/disk/by-uuid/{found.filesystem}" if found.filesystem else None
    return Target(source, found.device, found.layout == "directory")


def top(machine: Machine, path: str) -> block.Mounted | None:
    """What is mounted at a path, the last one where several are."""
    return next((mount for mount in reversed(block.mounts(machine)) if mount.path == path), None)


def fstab_lines(text: str, path: str) -> list[str]:
    """The lines of fstab for a mount point. They would compete with the unit, and may hold up the boot."""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    return [line for line in lines if [word.rstrip("/") for word in line.split()[1:2]] == [path.rstrip("/")]]


def check(machine: Machine, mount: dict) -> Iterator[dict]:
    path, rests_on, mounted = mount["path"], target(machine, mount), top(machine, mount["path"])
    if rests_on.directory:
        yield from _directory(machine, mount)
        return
    if rests_on.source:
        yield from _unit(machine, mount, rests_on.source)
    for line in fstab_lines(machine.text("/etc/fstab") or "", path):
        yield difference(path, "fstab", line, None, f"mount {path}: /etc/fstab mounts it too: {line}")
    if not mounted:
        yield difference(path, "mounted", False, True, f"mount {path}: nothing is mounted there")
        return
    if rests_on.device:
        device = machine.attribute(f"/sys/class/block/{os.path.basename(rests_on.device)}/dev")
        if mounted.device != device:
            yield difference(
                path, "source", mounted.source, rests_on.device,
                f"mount {path}: {mounted.source} is mounted there, declared is {rests_on.device}. It is not ours to detach: "
                "unmount it, or declare another path", refused=True,
            )
            return
    missing = [option for option in mount["options"] if not _has(mounted, option)]
    if missing:
        yield difference(
            path, "options", sorted(mounted.options), mount["options"],
            f"mount {path}: it is mounted without {', '.join(missing)}",
        )
    try:
        inode = os.stat(machine.path(path))
    except OSError as error:
        # An XFS that lost a drive under way, or an NFS whose server forgot it.
        yield difference(
            path, "mounted", error.strerror, True, f"mount {path}: {mounted.source} is mounted there and does not answer: "
            f"{error.strerror}. It is not ours to detach: unmount it", refused=True,
        )
        return
    yield from check_access("mount", path, inode, mount)


def _has(mounted: block.Mounted, option: str) -> bool:
    if option in SILENT:
        return SILENT[option] not in mounted.options
    return option in mounted.options or bool(UNSEEN.fullmatch(option))


def _directory(machine: Machine, mount: dict) -> Iterator[dict]:
    path = mount["path"]
    if not os.path.isdir(machine.path(path)):
        yield difference(path, "exists", False, True, f"mount {path}: there is no spare drive, and no directory {path} either")
    else:
        yield from check_access("directory", path, os.stat(machine.path(path)), mount)


def _unit(machine: Machine, mount: dict, source: str) -> Iterator[dict]:
    path, name = mount["path"], unit_name(mount["path"])
    if machine.text(f"{UNITS}/{name}") != unit_text(mount, source):
        yield difference(path, "unit", False, True, f"mount {path}: {UNITS}/{name} is not as declared")
    elif not os.path.islink(machine.path(f"{UNITS}/{WANTED_BY}.wants/{name}")):
        yield difference(path, "enabled", False, True, f"mount {path}: the unit {name} is not enabled, so a boot forgets it")
