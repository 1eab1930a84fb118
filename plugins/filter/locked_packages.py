# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: locked_packages
short_description: The packages of a lock, as a declaration has them
version_added: 0.1.0
author:
  - The onecc.cluster developers (@onecc)
description:
  - Makes C(locked_packages) of the text of a lock that M(onecc.cluster.package_lock) has written, and of packages that are declared
    besides. One of the latter that the lock has too takes the place of the lock's.
positional: _input, declared, hold
options:
  _input:
    description: Text of the lock, empty where there is none.
    type: str
    required: true
  declared:
    description: Packages besides, dictionaries of C(name), C(version), C(hold) and C(family).
    type: list
    elements: dict
    default: []
  hold:
    description: Whether packages are held that do not say so themselves.
    type: bool
    default: true
"""

EXAMPLES = r"""
- onecc.cluster.drift:
    state:
      locked_packages: "{{ lookup('ansible.builtin.file', 'reference.lock.yml') | onecc.cluster.locked_packages }}"
"""

RETURN = r"""
_value:
  description: Packages, dictionaries of C(name), C(version), C(hold), C(family) and C(running).
  type: list
  elements: dict
"""

import re
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.module_utils._node import package_locks


# libyaml's where it is there: several times as fast, and each host of a run reads the lock.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Refuses a mapping that has a key twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _value in node.value]
        if twice := [key for number, key in enumerate(keys) if key in keys[:number]]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


# Mappings are constructed in two steps there, past the method above.
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))


def locked_packages(text: str, declared: list[dict[str, Any]] | None = None, hold: bool = True) -> list[dict[str, Any]]:
    """The packages of the lock and those that are declared besides, by name."""
    lock = _parsed(text) if text.strip() else {"packages": [], "kernel": None}
    packages = {item["name"]: {"name": item["name"], "version": item["version"]} for item in lock["packages"]}
    for name, package in packages.items():
        if re.fullmatch(rf"linux-image-(unsigned-)?{re.escape(lock['kernel'] or '')}", name):
            package["running"] = "kernel"
    packages.update({item["name"]: {key: value for key, value in item.items() if value is not None} for item in declared or []})
    return [{"hold": hold, **package} for _name, package in sorted(packages.items())]


def _parsed(text: str) -> dict[str, Any]:
    try:
        lock = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise AnsibleFilterError(f"The package lock is not YAML: {error}") from error
    if not isinstance(lock, dict) or lock.get("schema") != package_locks.SCHEMA:
        found = lock.get("schema") if isinstance(lock, dict) else lock
        raise AnsibleFilterError(f"The package lock has schema {str(found)[:60]!r}; this release reads {package_locks.SCHEMA}. Make a new one.")
    if not isinstance(lock.get("packages"), list):
        raise AnsibleFilterError("The package lock has no list of packages. Make a new one.")
    for item in lock["packages"]:
        if not isinstance(item, dict) or not all(isinstance(item.get(field), str) for field in ("name", "version")):
            raise AnsibleFilterError(f"The package lock has {str(item)[:120]!r} among its packages; each has a name and a version as text.")
    names = [item["name"] for item in lock["packages"]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AnsibleFilterError(f"The package lock has {', '.join(twice)[:120]} more than once. Make a new one.")
    if not isinstance(kernel := lock.get("kernel"), (str, type(None))):
        raise AnsibleFilterError(f"The package lock has the kernel {kernel!r}, which is not a text; put it in quotes.")
    return {"packages": lock["packages"], "kernel": kernel}


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {"locked_packages": locked_packages}
