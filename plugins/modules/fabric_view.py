#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_view
short_description: Shows how an InfiniBand fabric is cabled, and what is wrong with it
version_added: 0.1.0
description:
  - Runs C(ibnetdiscover) and C(iblinkinfo) on one node, in one round trip, and makes of what they print the leaf and spine switches of
    the cluster, the leaf that each rail of each node meets, and a list of what is wrong. Nothing on the node or in the fabric changes.
  - How the fabric should be is read from most of it. Nodes whose rails meet the same leaves are a pod. A rail should meet the leaf that it
    meets at most nodes of its pod, a port of a leaf should lead to the spine that it leads to at most leaves, and a link should have the
    rate and the state that most have. Rails are counted from 0.
  - Writes on the controller, where asked to, a picture, C(topology.conf) for Slurm, and the result as JSON.
  - The node needs C(ibnetdiscover) (package infiniband-diags), an HCA with a link, and root's rights (C(become)).
options:
  nodes:
    description:
      - The nodes that should be there. Without it, those of the inventory's group C(onecc_compute), by the names and host names that
        the API gave them, with the rails that their facts C(onecc_node) name, where they were gathered.
      - Where neither says any, whatever has at least half as many HCAs as most nodes have is a node.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      aliases:
        description: Other names by which its HCAs may call it.
        type: list
        elements: str
        default: []
      guids:
        description:
          - GUIDs of its rails, of the HCAs or of their ports, in the order of rails; an empty string for one that is not known.
          - Without them, a rail is known by the description of its HCA, such as C(node-1 mlx5_3) or C(node-1 HCA-4), and its number by
            the order of these names.
        type: list
        elements: str
        default: []
  rails:
    description: How many rails a node has. A rail that no node has is found only by this.
    type: int
  spines:
    description: How many spine switches there are. One that no leaf is connected with any more is found only by this.
    type: int
  ibnetdiscover:
    description: What C(ibnetdiscover) printed earlier or elsewhere, instead of running it now.
    type: str
  iblinkinfo:
    description: What C(iblinkinfo) printed then, without options. It completes O(ibnetdiscover).
    type: str
  svg:
    description: Path, on the controller, of a picture to write.
    type: str
  topology:
    description:
      - Path, on the controller, of a C(topology.conf) for Slurm (C(topology/tree)) to write, in which each pod is a switch.
      - Nodes have the names of O(nodes) there, which have to be those that Slurm knows.
    type: str
  report:
    description: Path, on the controller, of a JSON file to write, with RV(schema) and what else is returned here.
    type: str
  required:
    description: Fail where there is a finding.
    type: bool
    default: false
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: It looks, and writes no file.
    support: full
  diff_mode:
    description: Shows what differs in the files that it writes.
    support: full
"""

EXAMPLES = r"""
- name: What is wrong with the fabric?
  onecc.cluster.fabric_view:
    required: true
  become: true
  run_once: true

- name: A picture, and what Slurm needs to know
  onecc.cluster.fabric_view:
    svg: fabric.svg
    topology: topology.conf
  become: true
  run_once: true

- name: What somebody sent
  onecc.cluster.fabric_view:
    ibnetdiscover: "{{ lookup('ansible.builtin.file', 'ibnetdiscover.txt') }}"
    nodes: []
    svg: theirs.svg
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What is wrong, an entry for each fault.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(absent) for a node, a rail or a spine that is declared and not there.
        - V(miswired) for a cable that leads to the wrong switch, or two that are swapped.
        - V(missing) for a rail or an uplink that its peers have. V(slow) and V(inactive) for one whose rate or state is below most others'.
        - V(ambiguous) for HCAs that bear the same name, V(unnamed) for those of which nobody knows whose they are.
      type: str
    cables:
      description:
        - The cables, each by C(node) and C(rail), or by C(switch) and C(port); with what it C(is) and what it C(should) be, which are
          ports of switches, rates or states.
        - A port that is not known is null.
      type: list
      elements: dict
    message:
      description: The same in a line for people.
      type: str
  sample:
    - kind: miswired
      cables:
        - {node: node-7, rail: 0, is: leaf-2-1 port 25, should: leaf-1-0 port 7}
        - {node: node-57, rail: 1, is: leaf-1-0 port 7, should: leaf-2-1 port 25}
      message: "node-7 rail 0 (mlx5_1) and node-57 rail 1 (mlx5_2) are swapped: they lead to leaf-2-1 port 25 and leaf-1-0 port 7, and
        belong on leaf-1-0 port 7 and leaf-2-1 port 25"
nodes:
  description: The nodes, each with its C(name) and its C(rails), which have C(rail), C(device), C(guid), C(switch), C(port) and C(rate).
  returned: success
  type: list
  elements: dict
pods:
  description: Nodes that have their leaves in common, with the C(name) of the pod, its C(nodes), and its C(leaves) by rail.
  returned: success
  type: list
  elements: dict
switches:
  description: The switches, with C(name), C(guid), C(tier) (V(leaf) or V(spine)), and C(links), how many lead to which other switch.
  returned: success
  type: list
  elements: dict
others:
  description: Ports of HCAs that are no rails of these nodes, with C(name), C(guid), C(switch) and C(port).
  returned: success
  type: list
  elements: dict
unread:
  description: What is wrong with lines of the tools that could not be read and were left out. The first of them are warnings too.
  returned: success
  type: list
  elements: str
rails:
  description: How many rails a node has.
  returned: success
  type: int
rail_optimized:
  description: Whether each rail of a pod has a leaf of its own.
  returned: success
  type: bool
table:
  description: Lines for people, the first of which sums it up.
  returned: success
  type: list
  elements: str
schema:
  description: Number of this result's form. It grows when a program that reads it must change.
  returned: success
  type: int
"""
