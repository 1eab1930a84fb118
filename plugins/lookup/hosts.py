# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: hosts
short_description: Lines of /etc/hosts for all nodes of the inventory
version_added: 0.1.0
description:
  - A line for each host of the group C(onecc) that has an address, in the order of names, whether or not it is reached now and
    whatever C(--limit) says; and for each node that the inventory leaves out for now (C(onecc_absent)).
  - The address is the private one of C(onecc_instance), else the public one, else C(ansible_host) where that is an address. The
    names are the host's in the inventory and the host name that the API knows.
  - Of each name only what stands before the first dot is used, and only if no other node bears it, in whatever case. Names that
    mean something else, such as C(localhost) or an address, are not used. Loopback addresses are none of a node.
  - It fails where the version of ansible-core does not let it read the hosts of the inventory.
  - Only variables that the inventory gives to the host itself are read, never those of a group.
author:
  - The onecc.cluster developers (@onecc)
"""

EXAMPLES = r"""
- name: Have all nodes in a file
  ansible.builtin.copy:
    dest: /etc/hosts.d/cluster
    content: "{{ lookup('onecc.cluster.hosts') }}"
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
from ansible_collections.onecc.cluster.plugins.plugin_utils import _hosts_file


class LookupModule(LookupBase):
    """Hands the inventory's hosts to `_hosts_file`."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [_hosts_file.text(_hosts_file.nodes(variables or {}))]
