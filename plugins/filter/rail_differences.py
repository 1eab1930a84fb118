# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rail_differences
short_description: Which nodes have other rails than their peers, and in what they differ
version_added: 0.1.0
author:
  - The onecc.cluster developers (@onecc)
description:
  - Compares the rails of nodes, as M(onecc.cluster.node_facts) gathers them, and says for each odd node what is missing, down, slower,
    narrower, or in another order than with most of its peers.
  - Peers are the nodes of the same instance type; where that is not known, those with the same sort of GPU.
  - A rail that is down is said whatever the peers have. Without a peer nothing else can be.
positional: _input
options:
  _input:
    description: C(onecc_node) of M(onecc.cluster.node_facts) by host, with the subsets V(gpus) and V(rails). Hosts without are passed over.
    type: dict
    required: true
  types:
    description: Instance types by host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ dict(hosts | zip(hosts | map('extract', hostvars, ['ansible_facts', 'onecc_node']))) | onecc.cluster.rail_differences }}"
  vars:
    hosts: "{{ ansible_play_hosts }}"
  run_once: true
"""

RETURN = r"""
_value:
  description:
    - What differs, with C(host), C(field), C(rail) (its name on the node), C(is), C(should), and C(message), the same in a line for a person.
    - A C(field) is V(facts) where what a node sent is not as documented and cannot be compared, else V(gpus), V(missing), V(extra),
      V(down), V(slower), V(narrower) or V(order).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.plugin_utils import _rails
from jinja2 import Undefined


def rail_differences(nodes: dict[str, Any], types: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The differences of all nodes."""
    if not isinstance(nodes, dict):
        raise AnsibleFilterError(f"rail_differences: it takes facts by host, not {nodes!r}.")
    # A host that was not reached has none, which Ansible hands over as undefined.
    known = {host: facts for host, facts in nodes.items() if facts is not None and not isinstance(facts, Undefined)}
    if known and not any(isinstance(facts, dict) and "rails" in facts for facts in known.values()):
        raise AnsibleFilterError("rail_differences: no facts have rails. Gather the subsets gpus and rails.")
    return _rails.differences(known, {host: type_ for host, type_ in (types or {}).items() if type_ and isinstance(type_, str)})


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {"rail_differences": rail_differences}
