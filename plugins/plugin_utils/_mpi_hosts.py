# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The host file by which mpirun starts a process for each GPU of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _hosts_file
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import COMPUTE, GROUP, gpus_of_type, is_host_name, natural


def text(variables: Mapping[str, Any]) -> str:
    """A line a compute node of the inventory, in the order of names, out of a host's variables."""
    hosts = _hosts_file.own_variables(variables, f"{GROUP}_{COMPUTE}")
    names = sorted(filter(is_host_name, hosts), key=natural)
    return "".join(line(name, hosts[name].get("onecc_instance") or {}) for name in names)


def line(name: str, instance: Mapping[str, Any]) -> str:
    """A node with as many slots as it has GPUs; without a number where nobody knows how many, which lets mpirun count processors."""
    gpus = instance.get("gpus")
    gpus = gpus if gpus is not None else gpus_of_type(instance.get("instance_type"))
    return f"{name} slots={gpus}\n" if gpus else f"{name}\n"
