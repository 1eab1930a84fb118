# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: file_system_mounts
short_description: What to mount on a node, from what the API attached to it and what is declared
version_added: 0.1.0
author:
  - The onecc.cluster developers (@onecc)
description:
  - Makes mounts, as a declaration has them, of the file systems in C(onecc_instance.file_systems) and of those declared in
    C(filesystems_mounts). One that has the name of an attached file system completes it.
  - An attached file system is mounted where the API says only if that is below C(/lambda/nfs), C(/home), C(/mnt) or C(/data), and no
    part of the path is hidden. Any other place has to be declared.
positional: _input
options:
  _input:
    description: Declared file systems, dictionaries of C(name), C(mount_point), C(type), C(source) and C(options).
    type: list
    elements: dict
    required: true
  attached:
    description: Attached file systems, dictionaries of C(id), C(name) and C(mount_point), any of which may be null.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ filesystems_mounts | onecc.cluster.file_system_mounts(onecc_instance.file_systems) }}"
"""

RETURN = r"""
_value:
  description: Mounts, dictionaries of C(path), C(source), C(fstype) and C(options).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

# OpenAPI document 1.10.0, Filesystem.mount_point: where a file system is mounted unless a launch says otherwise.
DEFAULT_FOLDER = "/lambda/nfs"
DETECTED = "detect"
# Where the API may have something mounted unasked: its own folder, and what people have for data. Anywhere else a mount
# would take the place of the system's files.
FOLDERS = (DEFAULT_FOLDER, "/home", "/mnt", "/data")


def file_system_mounts(declared: list[dict[str, Any]], attached: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A mount for each file system, the attached ones first."""
    by_name = {item["name"]: item for item in declared}
    names = [item.get("name") for item in attached or []]
    mounts = [_mount(_harmless(item, _given(by_name.get(item.get("name"), {})))) for item in attached or []]
    return mounts + [_mount(item) for item in declared if item["name"] not in names]


def _given(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if value is not None}


def _harmless(item: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """An attached file system, completed by what is declared of it. Its place is the API's choice within limits alone."""
    path = item.get("mount_point")
    if path and "mount_point" not in declared and not _is_place_for_data(path):
        raise AnsibleFilterError(
            f"The API has the file system {item.get('name') or item.get('id')!r} at {path!r}. Unasked it is mounted below "
            f"{', '.join(FOLDERS)} only, at a path without hidden parts. To have it there, declare its name and mount_point in "
            "filesystems_mounts; to have none that the API attached, set filesystems_attached to false."
        )
    return {**item, **declared}


def _is_place_for_data(path: str) -> bool:
    parts = path.rstrip("/").split("/")[1:]
    below = any(path.startswith(f"{folder}/") and path.rstrip("/") != folder for folder in FOLDERS)
    return below and not any(part == "" or part.startswith(".") for part in parts)


def _mount(item: dict[str, Any]) -> dict[str, Any]:
    name, path = item.get("name"), item.get("mount_point")
    if not name and not path:
        raise AnsibleFilterError(
            f"The API says neither name nor mount point of the attached file system {item.get('id')!r}. Set filesystems_attached "
            "to false, and declare the file systems of this node in filesystems_mounts."
        )
    if name and not path and "/" in name:
        raise AnsibleFilterError(f"The file system {name!r} has no mount point, and its name cannot be that of a directory. "
                                 "Give its mount_point in filesystems_mounts.")
    path = path or f"{DEFAULT_FOLDER}/{name}"
    return {
        "path": path.rstrip("/") or "/",
        "source": item.get("source") or name or path.rstrip("/").rpartition("/")[2],
        "fstype": item.get("type") or DETECTED,
        "options": item.get("options") or [],
    }


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {"file_system_mounts": file_system_mounts}
