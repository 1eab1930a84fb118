# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Compares a machine with a declared state and says what differs. Changes nothing."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, obstacles
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine, TooLarge

NODE = "ansible_collections.onecc.cluster.plugins.module_utils._node."


def check(machine: Machine, state: dict[str, list[dict]]) -> list[dict]:
    """The differences of every resource in `state` (resources by kind), each marked with its kind, in the state's order."""
    found = []
    for kind, resources in state.items():
        module = importlib.import_module(NODE + "kinds." + kind)
        if any(item.get("where") for item in resources):  # else its code is not even loaded
            resources = importlib.import_module(NODE + "presence").here(machine, resources)
            if not resources:
                continue
        found += [{"kind": kind, **item} for item in compare(machine, module, resources, obstacles.roots_own(state.get("directories", [])))]
    return found


def compare(machine: Machine, module: types.ModuleType, resources: list[dict], roots_own: frozenset[str] = frozenset()) -> Iterator[dict]:
    """The differences of the resources of a kind, and why those that a run would mend cannot be.

    `roots_own` are the directories that a run gives to root, or gives back, before it writes in them.
    """
    own, found = [], []
    for resource in resources:
        # A kind that says itself which files it writes has none where a user could have a say.
        declared = [] if hasattr(module, "files") else obstacles.files(machine, resource, set())
        refused = [(path, why) for path in declared if (why := obstacles.stranger(machine, path))]
        found += [strangers(resource, path, why, roots_own) for path, why in refused]
        own += [] if refused else [resource]
    try:
        found.extend(module.check(machine, own))
    except TooLarge as error:
        found.append(difference(error.filename, "size", None, None, f"{error.filename}: {error.strerror}, which is not read", remedy="manual"))
    yield from found
    for resource in own:
        name = resource.get("name") or resource.get("path")
        fields = {item["field"] for item in found if item["name"] == name and item["remedy"] != "manual"}
        for path in getattr(module, "files", obstacles.files)(machine, resource, fields) if fields else ():
            yield from (unwritable(resource, why) for why in obstacles.obstacles(machine, path))


def strangers(resource: dict, path: str, why: durable.Refused, roots_own: frozenset[str]) -> dict:
    """The difference of a resource whose file lies in somebody else's folder, which is not read: a run mends it where it mends the folder."""
    if why.folder in roots_own:
        return difference(resource.get("name") or resource.get("path"), "folder", why.stranger[0], 0, f"{path}: {why}, so it is written anew")
    return unwritable(resource, f"{path}: {why}")


def unwritable(resource: dict, why: str) -> dict:
    return difference(resource.get("name") or resource.get("path"), obstacles.FIELD, False, True, why, remedy="manual")
