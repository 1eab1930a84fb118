# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""NCCL's configuration: settings in a block of its file, its topology file, and MPI's profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf, nccl_files, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# What may be written; the module nccl_config takes the same.
CONFIG = {
    "path": {"type": "str", "default": nccl_conf.PATH},
    "settings": {
        "type": "list", "elements": "dict", "default": [],
        "options": {field: {"type": "str", "required": True} for field in ("name", "value", "reason")},
    },
    "rails": {"type": "dict", "options": specs.RAILS},
    "address": {"type": "str"},
    "topology": {"type": "str"},
    "profile": {"type": "str"},
    "gpudirect": {"type": "bool", "default": False},
    "allow": {"type": "list", "elements": "str", "default": []},
}
# In a declaration the rails are those of that name.
FIELDS = {**CONFIG, "rails": {"type": "str"}}


def complete(resources: list[dict], state: dict[str, list[dict]]) -> None:
    """Puts what a rail is into a configuration that is made from rails, for the node to find them. Raises ValueError."""
    rails = {item["name"]: item for item in state.get("rails", [])}
    for config in resources:
        if config["rails"] is not None and config["rails"] not in rails:
            raise ValueError(f"{config['path']}: there are no rails {config['rails']!r} in this declaration")
        if config["rails"] is not None:
            config["rails"] = {field: rails[config["rails"]][field] for field in specs.RAILS}
        config.update(completed(config))


def completed(declared: dict) -> dict:
    """The configuration with what a node needs to compare the topology file without having it."""
    topology = declared["topology"]
    if topology is None:
        return declared
    return {
        **declared, "sha256": hashlib.sha256(topology.encode()).hexdigest(),
        "addresses": list(dict.fromkeys(nccl_files.topology_addresses(topology))),
    }


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        yield from nccl_files.check(machine, declared)
