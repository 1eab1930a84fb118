# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The fabric view: from what the InfiniBand tools print to what a fabric is and what is wrong with it, as plain data."""

from __future__ import annotations

from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric, _fabric_findings, _fabric_layout, _fabric_nodes, _slurm
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_seen import Seen

SCHEMA = 1


def view(
    ibnetdiscover: str, iblinkinfo: str = "", nodes: list[Node] | None = None, rails: int | None = None, spines: int | None = None
) -> dict[str, Any]:
    """The view, as plugins/modules/fabric_view.py documents it. `nodes`, `rails` and `spines` are what there should be."""
    unread: list[str] = []
    fabric = _fabric.parse(ibnetdiscover, unread)
    if not any(device.kind == _fabric.SWITCH for device in fabric.values()):
        raise _fabric.FabricError(
            "There is no switch in the output of ibnetdiscover: the node it ran on is not connected, or those who run the fabric keep "
            "others from asking (M_Key). Ask another node, or them."
        )
    placed = _fabric_nodes.place(fabric, nodes or [])
    layout = _fabric_layout.layout(fabric, placed.rails)
    seen = Seen(fabric, _fabric.parse_states(iblinkinfo, unread), placed, layout)
    names = layout.names
    pods = {f"pod{number}": pod for number, pod in enumerate(layout.pods, 1)}
    return {
        "schema": SCHEMA,
        "rails": placed.width,
        "rail_optimized": bool(layout.pods) and all(len(set(pod.leaves.values())) == len(pod.leaves) > 1 for pod in layout.pods),
        "pods": [
            {"name": name, "nodes": pod.nodes, "leaves": [names.get(pod.leaves.get(rail, "")) for rail in range(placed.width)]}
            for name, pod in pods.items()
        ],
        "nodes": [{"name": node, "rails": _rails(node, placed, layout)} for node in placed.rails],
        "switches": [
            {"name": names[guid], "guid": f"0x{guid}", "tier": tier, "links": _links(fabric, layout, guid)}
            for tier, guids in (("leaf", layout.leaves), ("spine", layout.spines)) for guid in guids
        ],
        "others": [
            {"name": port.description, "guid": f"0x{port.guid}", "switch": names[port.switch], "port": port.number}
            for port in placed.others + placed.unnamed
        ],
        "unread": unread,
        "findings": _fabric_findings.findings(seen, nodes or [], rails, spines),
    }


def _rails(node: str, placed: _fabric_nodes.Placed, layout: _fabric_layout.Layout) -> list[dict[str, Any]]:
    return [
        {
            "rail": rail, "device": port.device or None, "guid": f"0x{port.guid}", "switch": layout.names[port.switch],
            "port": port.number, "rate": str(port.rate),
        }
        for rail, port in placed.rails[node].items()
    ]


def _links(fabric: _fabric.Fabric, layout: _fabric_layout.Layout, guid: str) -> dict[str, int]:
    """How many links lead to each other switch."""
    links: dict[str, int] = {}
    for link in fabric[guid].links.values():
        if fabric[link.guid].kind == _fabric.SWITCH:
            links[layout.names[link.guid]] = links.get(layout.names[link.guid], 0) + 1
    return links


def topology_conf(found: dict[str, Any]) -> str:
    """Slurm's topology.conf of a view."""
    seen = {node for pod in found["pods"] for node in pod["nodes"]}
    cables = [cable for item in found["findings"] if item["kind"] == "absent" for cable in item["cables"]]
    unseen = sorted({cable["node"] for cable in cables} | {node["name"] for node in found["nodes"]} - seen)
    return _slurm.topology_conf({pod["name"]: pod["nodes"] for pod in found["pods"]}, unseen)


def table(found: dict[str, Any]) -> list[str]:
    """A line that says what the fabric is, and one for each finding."""
    tiers = [switch["tier"] for switch in found["switches"]]
    head = (
        f"{_count(len(found['nodes']), 'node')} with {_count(found['rails'], 'rail')} in {_count(len(found['pods']), 'pod')}, "
        f"{_count(tiers.count('leaf'), 'leaf', 'leaves')}, {_count(tiers.count('spine'), 'spine')}: "
    )
    findings = found["findings"]
    count = _count(len(findings), "finding") if findings else "nothing is wrong"
    width = max((len(item["kind"]) for item in findings), default=0)
    return [head + count, *(f"{item['kind']:{width}}  {item['message']}" for item in findings)]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
