# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the declared state of a host as JSON, by role: `declared.py HOST [VARIABLES as JSON]`, in the checkout.

As the comparison renders it, with the inventory and the configuration that a playbook would use.
"""

from __future__ import annotations

import json
import sys

from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager


def declared(host: str, extra: dict) -> dict[str, dict[str, list[dict]]]:
    from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

    loader = DataLoader()
    inventory = InventoryManager(loader, sources=constants.DEFAULT_HOST_LIST)
    manager = VariableManager(loader, inventory)
    HostVars(inventory, manager, loader)  # makes itself known to the manager
    variables = {**manager.get_vars(host=inventory.get_host(host)), **extra}
    templar = Templar(loader, variables=variables)
    roles = variables.get("onecc_roles", _declaration.DEFAULT_ROLES)
    return {role: _declaration.role_state(role, templar, loader, variables) for role in roles}


if __name__ == "__main__":
    init_plugin_loader()
    print(json.dumps(declared(sys.argv[1], json.loads(sys.argv[2]) if sys.argv[2:] else {})))
