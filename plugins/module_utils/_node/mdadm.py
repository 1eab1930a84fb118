# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What decides whether an array is gathered at a boot: mdadm's configuration, the initramfs with its copy of it, and udev's rule."""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

CONF = "/etc/mdadm/mdadm.conf"
# mdadm.conf(5): files in it whose names end in .conf are read too.
CONF_FOLDER = "/etc/mdadm/mdadm.conf.d"
HOOK = "/usr/share/initramfs-tools/hooks/mdadm"
# Of mdadm: the rule by which udev gathers arrays. One of the same name in these folders takes its place (udev(7)).
RULE = "64-md-raid-assembly.rules"
RULE_FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d")
DEVICE = "DEVICE /dev/nvme*"


def texts(machine: Machine) -> dict[str, str]:
    """mdadm's configuration by file."""
    names = [name for name in machine.names(CONF_FOLDER) if name.endswith(".conf")]
    paths = [CONF, *(f"{CONF_FOLDER}/{name}" for name in names)]
    return {path: machine.text(path, "surrogateescape") or "" for path in paths}


def obstacles(machine: Machine, name: str, array: str | None = None) -> list[str]:
    """What keeps an array from being gathered under its name and is not ours to change, a line each with the file."""
    found = []
    for path, text in texts(machine).items():
        others = [entry.strip() for entry in entries(text) if claims(entry, name, array) and entry.strip() != line(name, array or "")]
        if path != CONF and others:
            found.append(f"{path} says {others[0]!r} too, and mdadm then may gather it otherwise. Remove that line")
    # All of these folders come before the one that packages have their rules in.
    masks = [f"{folder}/{RULE}" for folder in RULE_FOLDERS if machine.text(f"{folder}/{RULE}") is not None]
    if masks and not (machine.text(masks[0]) or "").strip():
        found.append(f"{masks[0]} is empty, so no boot gathers an array. Remove it")
    return found


def line(name: str, array: str) -> str:
    return f"ARRAY /dev/md/{name} metadata=1.2 UUID={array}"


def entries(text: str) -> list[str]:
    """mdadm.conf(5): a line that begins with white space continues the one before."""
    return re.split(r"(?m)^(?![ \t])", text)


def with_devices(machine: Machine, text: str, drives: list[str]) -> str:
    """The text of mdadm.conf with a line that lets mdadm look at these drives, if there are such lines and none does.

    Those of all files add up; where there is none, mdadm looks at every drive.
    """
    words = [word for each in ({**texts(machine), CONF: text}).values() for word in devices(each)]
    seen = {os.path.realpath(path) for word in words for path in glob.glob(machine.path(word))}
    if not words or "partitions" in words or all(os.path.realpath(machine.path(drive)) in seen for drive in drives):
        return text
    return text + ("" if not text or text.endswith("\n") else "\n") + DEVICE + "\n"


def devices(text: str) -> list[str]:
    """The words of the DEVICE lines."""
    found = []
    for entry in entries(text):
        words = re.sub(r"(^|\s)#.*", "", entry).replace('"', "").replace("'", "").split()
        if words and _keyword(words[0], "devices"):
            found += words[1:]
    return found


def _keyword(word: str, keyword: str) -> bool:
    """mdadm.conf(5): keywords may be cut to three letters, in whatever case."""
    return len(word) >= 3 and keyword.startswith(word.lower())


def with_array(text: str, name: str, array: str) -> str:
    """The text of mdadm.conf with one line for the array, and none that gives its path or UUID to anything else.

    All other lines stay as they are.
    """
    if [entry.strip() for entry in entries(text) if claims(entry, name, array)] == [line(name, array)]:
        return text
    kept = "".join(entry for entry in entries(text) if not claims(entry, name, array))
    return kept + ("" if not kept or kept.endswith("\n") else "\n") + line(name, array) + "\n"


def claims(entry: str, name: str, array: str | None) -> bool:
    """Whether an entry is of an array of this name or UUID. mdadm.conf(5): any character may part the digits of a UUID."""
    words = entry.split()
    if len(words) < 2 or not _keyword(words[0], "array"):
        return False
    uuids = [word[5:] for word in words[2:] if word.lower().startswith("uuid=")]
    return words[1] in (f"/dev/md/{name}", name) or (array is not None and any(_digits(uuid_) == _digits(array) for uuid_ in uuids))


def _digits(uuid_: str) -> str:
    return re.sub(r"[^0-9a-f]", "", uuid_.lower())


def stale_initramfs(machine: Machine) -> list[str]:
    """The initramfs images in /boot that were made before mdadm.conf was last written.

    Those of kernels that are there: update-initramfs(8) never renews what else lies in /boot, such as a copy that DKMS
    made (initrd.img-6.8.0-60-generic.old-dkms).
    """
    if not machine.exists(HOOK):
        return []
    written = os.stat(machine.path(CONF)).st_mtime
    kernels = [name[len("vmlinuz-"):] for name in machine.names("/boot") if name.startswith("vmlinuz-")]
    images = [f"/boot/initrd.img-{kernel}" for kernel in kernels if machine.exists(f"/boot/initrd.img-{kernel}")]
    return [image for image in images if os.stat(machine.path(image)).st_mtime < written]
