# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Mounts: writes, enables and starts a mount unit."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, fstab, mount_units, patience, specs, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# The mount point itself, while nothing is mounted on it: a job that then writes there fails instead of filling the
# root disk.
BARE_MOUNT_POINT_MODE = 0o700


def systemctl(hand: Hand, *arguments: str, why: Callable[[], str | None] = lambda: None) -> None:
    """Runs systemctl. Where it fails, `why` is asked for a cause that a person understands, to say it first."""
    rc, stdout, stderr = hand.run_command(["systemctl", *arguments], environ_update={"LC_ALL": "C"})
    if rc:
        unit = arguments[-1]
        _rc, journal, _err = hand.run_command(["journalctl", "--unit", unit, "--lines", "5", "--output", "cat", "--no-pager"])
        said = " ".join(f"{stderr or stdout} {journal}".split())
        cause = why()
        first = f"{cause}. It is mounted at the next run or boot that finds it. " if cause else ""
        hand.fail_json(msg=f"mount {hand.params['path']}: {first}systemctl {' '.join(arguments)} failed: {said}")


def mount(hand: Hand, machine: Machine, wanted: dict, source: str, fields: set[str]) -> None:
    """Writes the unit where it differs, and mounts, or takes over changed options."""
    path, unit = wanted["path"], mount_units.unit_name(wanted["path"])
    mounted = mount_units.top(machine, path)
    if not mounted and not os.path.isdir(path):
        durable.directory(path, durable.Access(mode=BARE_MOUNT_POINT_MODE))
    durable.write(f"{mount_units.UNITS}/{unit}", mount_units.unit_text(wanted, source), 0o644)
    text = machine.text(fstab.PATH, "surrogateescape") or ""
    if lines := mount_units.fstab_lines(text, path):
        durable.write(fstab.PATH, fstab.commented(text, lines, "mounts this by a unit"), 0o644)
    systemctl(hand, "daemon-reload")
    systemctl(hand, "reenable", unit)
    if not mounted:
        systemctl(hand, "start", unit, why=lambda: mount_units.silence(machine, wanted))
    # A server's file system that has the declared options is left alone: a remount asks the server, and may be refused.
    elif fields & ({"options"} if wanted["fstype"] in specs.NETWORK else {"options", "unit"}):
        systemctl(hand, "reload", unit)


def access(hand: Hand) -> durable.Access:
    """The declared owner, group and mode by their numbers."""
    params = hand.params
    try:
        owner = _number(params["owner"], lambda name: pwd.getpwnam(name).pw_uid)
        group = _number(params["group"], lambda name: grp.getgrnam(name).gr_gid)
    except KeyError:
        names = " or ".join(f"{field} {params[field]!r}" for field in ("owner", "group") if params[field])
        hand.fail_json(msg=f"mount {params['path']}: the node does not know the {names}. Make it there first, or declare another")
    return durable.Access(owner, group, int(params["mode"], 8) if params["mode"] else None)


def set_access(hand: Hand, wanted: durable.Access) -> None:
    """Gives it to the directory that is now at the path, and waits until it is on the disk."""
    path = hand.params["path"]
    if wanted == durable.Access():
        return
    try:
        # The server of a file system may go away under way.
        patience.within(mount_units.MOUNT_SECONDS, lambda: durable.directory(path, wanted))
    except TimeoutError:
        hand.fail_json(msg=f"mount {path}: it is mounted, and does not answer, so owner, group and mode may not be as declared. Is its server up?")
    except OSError as error:
        hand.fail_json(msg=f"mount {path}: owner, group or mode cannot be changed: {error.strerror}")


def _number(name: str | None, known: Callable[[str], int]) -> int:
    """The number of a user or group; -1, which chown(2) leaves as it is, for none."""
    if not name:
        return -1
    return int(name) if name.isdecimal() else known(name)


def converge(hand: Hand) -> dict:
    """Mends what differs, and returns the module's result."""
    machine, params = Machine(), hand.params
    differences = list(mount_units.check(machine, params))
    if refused := [item["message"] for item in differences if item["remedy"] == "manual"]:
        hand.fail_json(msg="\n".join(refused), differences=differences)
    if differences and not hand.check_mode:
        wanted = mount_units.detected(machine, params)  # before fstab changes
        access_ = access(hand)
        rests_on = mount_units.target(machine, wanted)
        if rests_on.directory:
            durable.directory(params["path"], access_)
        elif rests_on.source:
            mount(hand, machine, wanted, rests_on.source, {item["field"] for item in differences})
        else:
            hand.fail_json(msg=f"mount {params['path']}: the array {params['array']['name']} has no file system yet.")
        set_access(hand, access_)
    return mended(differences)


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Mounts what differs, but for what rests on an array that is refused, which is said of the array."""
    machine = Machine()
    ready = [item for item in resources if not (item.get("array") and storage.plan(machine, item["array"]).refused)]
    return [converge(hand.holding(item))["diff"] for item in ready]
