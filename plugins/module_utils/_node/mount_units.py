# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""A declared mount as a systemd mount unit: what the unit says, and what is mounted."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, fstab, mount_options, specs, storage, unit_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access, in_the_way, inode_of, systems_own
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

UNITS = "/etc/systemd/system"
# Not local-fs.target: a drive that is missing must not keep a node from booting.
WANTED_BY = "multi-user.target"
# nfs(5): mount.nfs tries for 2 minutes by default. A boot waits for multi-user.target no longer than this.
MOUNT_SECONDS = 30
# nfs(5), the option port: that of version 4.
NFS_PORT = 2049
# In the unit of a mount whose type was detected: type, source and options as they were found. What somebody changes in the
# unit's other lines is then a difference, and not found anew.
FOUND = "Found"


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
    wanted = ["nofail", *(["_netdev"] if mount["fstype"] in specs.NFS else [])]
    options = ",".join([*mount["options"], *(option for option in wanted if option not in mount["options"])])
    # systemd.unit(5), "Specifiers": a percent sign stands for itself when it is doubled.
    what, where, options = (text.replace("%", "%%") for text in (source, mount["path"], options))
    bound = f"TimeoutSec={MOUNT_SECONDS}\n" if mount["fstype"] in specs.NETWORK else ""
    # systemd.unit(5): a section whose name begins with X- is for other programs.
    found = f"\n[X-Onecc]\n{FOUND}={mount[FOUND]}\n" if FOUND in mount else ""
    return (
        "# Managed by onecc.cluster: the next site.yml undoes what is changed here.\n"
        f"[Unit]\nDescription={where} as declared\n\n"
        f"[Mount]\nWhat={what}\nWhere={where}\nType={mount['fstype']}\nOptions={options}\n{bound}\n"
        f"[Install]\nWantedBy={WANTED_BY}\n{found}"
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
    return [line for line in fstab.entries(text) if [os.path.normpath(re.sub("/+", "/", word)) for word in line.split()[1:2]] == [path]]


def detected(machine: Machine, mount: dict) -> dict:
    """The mount with the type, source and options that the node knows, where they are not declared.

    In this order: what is mounted there; what is mounted elsewhere from the same source; the unit or the line of fstab for
    the mount point; else virtiofs, whose tag is the declared source.
    """
    if mount["fstype"] != specs.DETECTED or mount.get("array"):
        return mount
    path, source = mount["path"], mount["source"]
    known = [found for found in (_of_unit(machine, path), _of_fstab(machine, path)) if found]
    mounted = [item for item in [top(machine, path)] if item]
    mounted += [item for item in block.mounts(machine) if item.source == source]
    seen = [found for item in mounted if (found := _known(path, item.source, item.fstype, ""))]
    # The kernel says nfs4 where the unit says nfs: what is written down is kept where it means the same.
    first = next((found for found in known if seen and _same(found, seen[0])), None)
    first = first or next(iter(seen + known), {"source": source, "fstype": "virtiofs"})
    options = known[0]["options"] if known else []
    record = " ".join((first["fstype"], first["source"], ",".join(options))).strip().replace("%", "%%")
    return {
        **mount, "source": first["source"], "fstype": first["fstype"], "options": mount["options"] or options, FOUND: record,
    }


def _same(one: dict, other: dict) -> bool:
    """Whether two mounts are of the same file system."""
    families = {type_: specs.NFS for type_ in specs.NFS}
    return (
        families.get(one["fstype"], one["fstype"]) == families.get(other["fstype"], other["fstype"])
        and _plain(one["source"]) == _plain(other["source"])
    )


def _of_unit(machine: Machine, path: str) -> dict | None:
    """What the mount point's unit says: one of ours what was found before it was written."""
    fields: dict[str, str] = {}
    for line in (machine.text(f"{UNITS}/{unit_name(path)}") or "").splitlines():
        key, _equals, value = line.partition("=")
        fields[key.strip()] = value.strip().replace("%%", "%")
    if FOUND in fields:
        fstype, source, options = (fields[FOUND].split(" ") + ["", ""])[:3]
        return _known(path, source, fstype, options)
    return _known(path, fields.get("What", ""), fields.get("Type", ""), fields.get("Options", ""))


def _of_fstab(machine: Machine, path: str) -> dict | None:
    """What the mount point's line of fstab says."""
    for line in fstab_lines(machine.text("/etc/fstab") or "", path):
        source, _path, fstype, options = (line.split() + ["", ""])[:4]
        if found := _known(path, source, fstype, options):
            return found
    return None


def _known(path: str, source: str, fstype: str, options: str) -> dict | None:
    """A mount that the node is set up for, if it is one that a declaration could say."""
    words = [word for word in options.split(",") if word not in ("", "defaults", "nofail", "_netdev")]
    found = {"path": path, "source": source, "fstype": fstype, "options": words}
    return found if fstype in specs.NETWORK and not invalid(found) else None


def server(mount: dict) -> str | None:
    """The server of an export; None for what is no export."""
    if mount["fstype"] not in specs.NFS or not mount["source"]:
        return None
    host, colon, _path = mount["source"].partition(":/")
    return host.strip("[]") if colon else None


def port(mount: dict) -> int:
    """The port of an export's server."""
    ports = [option[5:] for option in mount["options"] if option.startswith("port=") and option[5:].isdecimal()]
    return int(ports[-1]) if ports else NFS_PORT


def silence(machine: Machine, mount: dict) -> str | None:
    """One line where the server of a mount does not answer, else None."""
    host = server(mount)
    if host and (host in machine.silent_servers or not machine.reachable(host, port(mount))):
        machine.silent_servers.add(host)
        return f"the server {host} does not answer, so {mount['source']} cannot be mounted at {mount['path']}"
    return None


def check(machine: Machine, declared: dict) -> Iterator[dict]:
    mount = detected(machine, declared)
    path, rests_on, mounted = mount["path"], target(machine, mount), top(machine, mount["path"])
    yield from _access(mount)
    if rests_on.directory:
        yield from _directory(machine, mount)
        return
    if rests_on.source:
        yield from _unit(machine, mount, rests_on.source)
    for line in fstab_lines(machine.text("/etc/fstab") or "", path):
        yield difference(path, "fstab", line, None, f"mount {path}: /etc/fstab mounts it too: {line}")
    if held := _automount(machine, path):
        yield difference(path, "automount", True, False, f"mount {path}: {held}", remedy="manual")
    elif not mounted:
        yield from _not_mounted(machine, mount)
    elif (should := _should(machine, mount, rests_on, mounted)) is not None:
        yield difference(
            path, "source", mounted.source, should,
            f"mount {path}: {mounted.source} is mounted there, declared is {should}. It is not ours to detach: "
            "unmount it, or declare another path", remedy="manual",
        )
    else:
        yield from _options(mount, mounted)
        yield from _answers(machine, mount, mounted)


def _access(mount: dict) -> Iterator[dict]:
    """An owner or a group that the node does not know. They may be made by another role, before the mount is."""
    for field, known in (("owner", pwd.getpwnam), ("group", grp.getgrnam)):
        name = mount.get(field)
        try:
            if name and not name.isdecimal():
                known(name)
        except KeyError:
            yield difference(mount["path"], field, None, name, f"mount {mount['path']}: the node does not know the {field} {name!r}")


def _automount(machine: Machine, path: str) -> str | None:
    """What mounts something at a path, or above it, as soon as somebody looks there, and how it is ended; else None."""
    unit = unit_name(path)[:-len("mount")] + "automount"
    at = [mount for mount in block.mounts(machine) if mount.path == path and mount.fstype == "autofs"]
    if any(mount.source == "systemd-1" for mount in at):
        return (f"systemd's {unit} holds the path, to mount there what it is told to as soon as somebody looks. Run `systemctl stop {unit}`, "
                "which unmounts that too, and run again; a line of /etc/fstab with x-systemd.automount brings it back at a boot")
    above = _innermost(machine, path)
    if at or above and above.fstype == "autofs":
        where = at[0] if at else above
        return (f"automount(8) holds {where.path} ({where.source}). Take it out of its maps (auto.master), or declare another path")
    if link := unit_files.wanted(machine, unit):
        return f"{link} has a boot start {unit}, which then holds the path. Run `systemctl disable --now {unit}`"
    return None


def _innermost(machine: Machine, path: str) -> block.Mounted | None:
    """What a path lies on, the last one where several are."""
    found = [mount for mount in block.mounts(machine) if path == mount.path or path.startswith(mount.path.rstrip("/") + "/")]
    return max(reversed(found), key=lambda mount: len(mount.path), default=None)


def _not_mounted(machine: Machine, mount: dict) -> Iterator[dict]:
    path, below = mount["path"], _innermost(machine, mount["path"])
    if not (below and below.fstype in specs.NETWORK):  # whose server may not answer
        if wrong := _mount_point(machine, path, below):
            yield difference(path, "mount_point", False, True, f"mount {path}: {wrong}", remedy="manual")
            return
        if hidden := machine.names(path):
            yield difference(
                path, "empty", False, True, f"mount {path}: nothing is mounted there, and it holds {len(hidden)} entries that a mount "
                f"would hide ({hidden[0]}, …). Move them away first", remedy="manual",
            )
            return
    why = silence(machine, mount)
    yield difference(path, "mounted", False, True, f"mount {path}: nothing is mounted there" + (f": {why}" if why else ""))


def _mount_point(machine: Machine, path: str, below: block.Mounted | None) -> str | None:
    """Why nothing can be mounted at a path. systemd.mount(5): not where there is a link on the way."""
    real = machine.real(path)
    if real != path:
        return f"it leads to {real} by a symbolic link, and systemd mounts nothing there. Declare {real}, or remove the link"
    if os.path.lexists(machine.path(path)):
        return None if os.path.isdir(machine.path(path)) else "it is not a directory. Move it away, or declare another path"
    if below and "ro" in below.options:
        return f"there is no such directory, and {below.path} is read-only, so none can be made. Make it there, or declare another path"
    return None


def _options(mount: dict, mounted: block.Mounted) -> Iterator[dict]:
    path, wanted = mount["path"], mount_options.effective(mount["options"])
    # rw is what mount(8) takes where nothing else is said, and what the kernel takes away from a file system with errors.
    wanted = wanted if {"ro", "rw"} & set(wanted) else ["rw", *wanted]
    missing = [option for option in wanted if not mount_options.has(mounted, option)]
    lasting = [option for option in missing if option not in mount_options.REMOUNTED]
    if lasting and mounted.fstype in ("xfs", *specs.NETWORK):
        yield difference(
            path, "options", sorted(mounted.options), wanted, f"mount {path}: it is mounted without {', '.join(missing)}, and a remount does not "
            f"change {', '.join(lasting)}. Run `systemctl stop {unit_name(path)}` when nothing uses it, and run again", remedy="manual",
        )
    elif missing:
        yield difference(
            path, "options", sorted(mounted.options), wanted, f"mount {path}: it is mounted without {', '.join(missing)}",
        )


def _answers(machine: Machine, mount: dict, mounted: block.Mounted) -> Iterator[dict]:
    path, host = mount["path"], server(mount)
    try:
        if host in machine.silent_servers:
            raise TimeoutError
        inode = machine.inode(path) if mounted.fstype in specs.NETWORK else os.stat(machine.path(path))
    except TimeoutError:
        machine.silent_servers.add(host or mounted.source)
        who = f"the server {host} does not answer" if host else f"{mounted.source} does not answer"
        yield difference(
            path, "answers", False, True,
            f"mount {path}: {who}, so whoever reads {path} waits. It is mounted from {mounted.source}: start the server, "
            "or unmount it with umount -f -l", remedy="manual",
        )
        return
    except OSError as error:
        # An XFS that lost a drive under way, or an NFS whose server forgot it.
        yield difference(
            path, "mounted", error.strerror, True, f"mount {path}: {mounted.source} is mounted there and does not answer: "
            f"{error.strerror}. It is not ours to detach: unmount it", remedy="manual",
        )
        return
    yield from check_access("mount", path, inode, mount)


def _should(machine: Machine, mount: dict, rests_on: Target, mounted: block.Mounted) -> str | None:
    """What should be mounted in place of what is; None where it is the right thing."""
    if rests_on.device:
        device = machine.attribute(f"/sys/class/block/{os.path.basename(rests_on.device)}/dev")
        return None if mounted.device == device else rests_on.device
    if mount["fstype"] not in specs.NETWORK:
        return None  # /dev/sda1 may be the LABEL=data that is declared
    return None if _same({"source": mounted.source, "fstype": mounted.fstype}, mount) else mount["source"]


def _plain(source: str) -> str:
    """An export as the kernel may write it: with or without a slash at the end."""
    return source if source.endswith(":/") else source.rstrip("/")


def _directory(machine: Machine, mount: dict) -> Iterator[dict]:
    """What takes the place of a mount where no drive is spare. A directory that holds anything is somebody's, and stays as it is."""
    path, inode = mount["path"], inode_of(machine, mount["path"])
    if inode is None:
        yield difference(path, "exists", False, True, f"mount {path}: there is no spare drive, and no directory {path} either")
        return
    if other := in_the_way(machine, path, directory=True):
        yield other
        return
    found = list(check_access("mount", path, inode, mount))
    if not found:
        return
    why = systems_own(path) or (f"{path} holds {machine.names(path)[0]!r}" if machine.names(path) else None)
    if why:
        now = "; ".join(item["message"] for item in found)
        yield difference(
            path, "empty", False, True, f"{now}. There is no spare drive, and {why}: it stays as it is. Declare another path, or it as it is",
            remedy="manual",
        )
        return
    yield from found


def _unit(machine: Machine, mount: dict, source: str) -> Iterator[dict]:
    path, name, text = mount["path"], unit_name(mount["path"]), unit_text(mount, source)
    link = machine.path(f"{UNITS}/{WANTED_BY}.wants/{name}")
    if machine.text(f"{UNITS}/{name}") != text:
        yield difference(path, "unit", False, True, f"mount {path}: {UNITS}/{name} is not as declared")
    elif not os.path.islink(link) or os.path.basename(os.readlink(link)) != name:
        yield difference(path, "enabled", False, True, f"mount {path}: the unit {name} is not enabled, so a boot forgets it")
    for file, how in unit_files.overriding(machine, name, text, "Mount"):
        yield difference(
            path, "overridden", file, None, f"mount {path}: {file} {how}, so {UNITS}/{name} is not what holds. Remove it, or declare what it says",
            remedy="manual",
        )
