# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mpi_hosts
short_description: Lines of a host file of MPI for the compute nodes of the inventory
version_added: 0.1.0
description:
  - A line for each host of the group C(onecc_compute), in the order of names, with as many C(slots) as the node has GPUs. Where
    nobody knows how many, the line is the name alone.
  - Nodes that the inventory leaves out for now are not in it, because C(mpirun) fails where one does not answer.
  - Only variables that the inventory gives to the host itself are read, never those of a group.
author:
  - The onecc.cluster developers (@onecc)
"""

EXAMPLES = r"""
- name: Have a host file for one's own runs
  ansible.builtin.copy:
    dest: /home/ubuntu/hosts.mpi
    content: "{{ lookup('onecc.cluster.mpi_hosts') }}"
    mode: "0644"
"""

RETURN = r"""
_raw:
  description: The lines, as one text.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _mpi_hosts


class LookupModule(LookupBase):
    """Hands the inventory's hosts to `_mpi_hosts`."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [_mpi_hosts.text(variables or {})]
