# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""What update.yml is told, and the order in which it goes through the nodes."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

PREFIX = "onecc_update_"

# By name without the prefix. docs/update.md describes them.
SETTINGS: dict[str, dict[str, Any]] = {
    "batch": {"type": "str", "default": "25%"},
    # Names, or how many. What is given as a number becomes a list of one text.
    "canary": {"type": "list", "elements": "str", "default": ["1"]},
    "max_failures": {"type": "int", "default": 1},
    "reboot": {"type": "bool", "default": False},
    # A computer with 8 GPUs and 2 TB of memory takes a quarter of an hour to start.
    "reboot_timeout": {"type": "int", "default": 1800},
    "drain": {"type": "path"},
    "resume": {"type": "path"},
    "records": {"type": "path", "default": "~/.local/state/onecc/update"},
}

_BATCH = re.compile(r"([1-9]\d*)|([1-9]\d?|100)%")


def settings(given: dict[str, Any], nodes: list[str]) -> dict[str, Any]:
    """The settings by name without the prefix, complete: `canary` is a number or a list of names, paths are absolute.

    `given` are the variables that begin with the prefix, `nodes` all nodes of this run.
    """
    values = {name: value for name, value in given.items() if value is not None}
    spec = {PREFIX + name: options for name, options in SETTINGS.items()}
    if unknown := sorted(set(given) - set(spec)):
        raise _declaration.DeclarationError(f"update: there is no setting {', '.join(unknown)}. There are: {', '.join(spec)}.")
    validated = _declaration.validate(spec, values, "update")
    found = {name: validated[PREFIX + name] for name in SETTINGS}
    found["canary"] = _canary(found["canary"])
    for name in ("drain", "resume", "records"):
        found[name] = found[name] and os.path.abspath(os.path.expanduser(found[name]))
    if wrong := _wrong(found, nodes):
        raise _declaration.DeclarationError(f"update: {'; '.join(wrong)}.")
    return found


def _canary(given: list[str]) -> int | list[str]:
    return int(given[0]) if len(given) == 1 and re.fullmatch(r"\d+", given[0]) else given


def _wrong(found: dict[str, Any], nodes: list[str]) -> list[str]:
    """What the types alone do not say."""
    wrong = []
    if not _BATCH.fullmatch(found["batch"]):
        wrong.append(f"{PREFIX}batch is {found['batch']!r}; allowed are a number of nodes from 1 on, and 1% to 100%")
    wrong += [f"{PREFIX}{name} is {found[name]}; allowed is 1 or more" for name in ("max_failures", "reboot_timeout") if found[name] < 1]
    if isinstance(found["canary"], list) and (unknown := [name for name in found["canary"] if name not in nodes]):
        wrong.append(
            f"{PREFIX}canary names {', '.join(unknown)}, which this run does not look after; "
            "allowed are names of its nodes, or a number, 0 for none"
        )
    for name, other in (("drain", "resume"), ("resume", "drain")):
        if found[name] and not os.path.isfile(found[name]):
            wrong.append(f"{PREFIX}{name} is {found[name]}, and there is no such file; allowed is a file of tasks")
        if found[name] and not found[other]:
            wrong.append(f"{PREFIX}{name} is set and {PREFIX}{other} is not; set both, or neither")
    return wrong


def plan(settings: dict[str, Any], differing: list[str], nodes: list[str], groups: dict[str, list[str]]) -> dict[str, Any]:
    """Canaries and batches of the nodes that differ, of all `nodes` of the run, and lines that say this and the settings."""
    order, canary = _in_order(differing, groups), settings["canary"]
    canaries = order[:canary] if isinstance(canary, int) else [name for name in order if name in canary]
    heads = groups.get("onecc_head", [])
    found = batches(canaries, heads, len(order)) + batches(
        [name for name in order if name not in canaries], heads, size(settings["batch"], sum(name not in heads for name in nodes))
    )
    return {"canaries": canaries, "batches": found, "said": said(settings, canaries, found, len(nodes))}


def size(batch: str, nodes: int) -> int:
    """How many nodes a batch has, of so many that are no heads: a percentage is rounded down, and at least one node."""
    return max(1, nodes * int(batch[:-1]) // 100) if batch.endswith("%") else int(batch)


def batches(order: list[str], heads: list[str], most: int) -> list[list[str]]:
    """The nodes in batches of so many at most, and head nodes at the end.

    The way to all other nodes leads through the heads. So a head is alone in its batch, and comes when no other node needs a
    way any more.
    """
    others = [name for name in order if name not in heads]
    return [others[start:start + most] for start in range(0, len(others), max(1, most))] + [[name] for name in order if name in heads]


def _in_order(names: list[str], groups: dict[str, list[str]]) -> list[str]:
    """Compute nodes, what is in neither group, head nodes; within these as they were given."""
    return sorted(names, key=lambda name: (name in groups.get("onecc_head", []), name not in groups.get("onecc_compute", [])))


def said(settings: dict[str, Any], canaries: list[str], found: list[list[str]], nodes: int) -> list[str]:
    """What is to be done, for people."""
    count = sum(map(len, found))
    return [
        f"{count} of {nodes} nodes {'differs' if count == 1 else 'differ'} from the declared state. One batch after the other:",
        *(f"{number}. {', '.join(batch)}{' (canary)' if batch[0] in canaries else ''}" for number, batch in enumerate(found, 1)),
        f"{settings['drain']} drains a node, {settings['resume']} resumes it." if settings["drain"] else
        f"Nothing drains a node, and its jobs are not waited for: {PREFIX}drain names no tasks.",
        "A node that has to be rebooted is." if settings["reboot"] else f"No node is rebooted: {PREFIX}reboot is false.",
    ]
