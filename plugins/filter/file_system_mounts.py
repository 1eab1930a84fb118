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


def file_system_mounts(declared: list[dict[str, Any]], attached: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A mount for each file system, the attached ones first."""
    by_name = {item["name"]: item for item in declared}
    names = [item.get("name") for item in attached or []]
    mounts = [_mount({**item, **_given(by_name.get(item.get("name"), {}))}) for item in attached or []]
    return mounts + [_mount(item) for item in declared if item["name"] not in names]


def _given(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if value is not None}


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
