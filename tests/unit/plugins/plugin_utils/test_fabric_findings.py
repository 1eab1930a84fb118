# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric_view
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import FabricError
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node
from ansible_collections.onecc.cluster.tests.unit import fabrics
from hypothesis import given, settings
from hypothesis import strategies as st

SHAPES = {
    "three nodes": {"nodes": 3},
    "no spines": {"nodes": 20, "spines": 0},
    "one spine": {"nodes": 8, "spines": 1, "uplinks": 8},
    "four rails": {"nodes": 20, "rails": 4, "down": 8, "uplinks": 8, "spines": 2},
    "a pod of two nodes": {"nodes": 34},
    "a full cluster": {"nodes": 64},
    "oversubscribed": {"nodes": 96, "down": 48, "uplinks": 16, "spines": 4},
    "four pods": {"nodes": 128, "spines": 16},
}


def view(fabric, **declared):
    return _fabric_view.view(fabric.text(), **declared)


def messages(found):
    return [finding["message"] for finding in found["findings"]]


def named(*names):
    return [Node(name) for name in names]


def single_leaf(nodes):
    """16 GPUs on one switch."""
    fabric = fabrics.Fabric()
    leaf = fabric.switch("leaf")
    for node in range(1, nodes + 1):
        for rail in range(8):
            fabric.connect((leaf, 8 * node + rail - 7), (fabric.hca(f"node-{node} mlx5_{rail + 1}"), 1))
    return fabric


# Shapes


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_structure(shape):
    found = view(fabrics.cluster(**shape))
    rails, down = shape.get("rails", 8), shape.get("down", 32)
    pods = -(-shape["nodes"] // down)
    assert found["findings"] == [] and found["rail_optimized"] and found["rails"] == rails and found["schema"] == 1
    assert [pod["leaves"] for pod in found["pods"]] == [[f"leaf-{pod + 1}-{rail}" for rail in range(rails)] for pod in range(pods)]
    assert [name for pod in found["pods"] for name in pod["nodes"]] == [f"node-{number + 1}" for number in range(shape["nodes"])]
    assert [switch["tier"] for switch in found["switches"]] == ["leaf"] * pods * rails + ["spine"] * shape.get("spines", 8)
    assert all(rail["switch"] == f"leaf-{number // down + 1}-{rail['rail']}" for number, node in enumerate(found["nodes"]) for rail in node["rails"])
    if shape.get("spines", 8):
        each = shape.get("uplinks", 32) // shape.get("spines", 8)
        assert set(found["switches"][0]["links"].values()) == {each}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_each_fault_is_named_and_nothing_else(shape, seed):
    chance, fabric = random.Random(seed), fabrics.cluster(**shape)
    kinds = None if shape.get("spines", 8) > 1 else ("swapped rails", "dead rail", "slow rail")
    fault = fabrics.harm(fabric, chance, set(), *([kinds] if kinds else []))
    assert [fabrics.said(finding) for finding in view(fabric)["findings"]] == [fault]


@pytest.mark.parametrize("seed", range(5))
def test_many_faults_at_once(seed):
    chance, fabric, harmed = random.Random(seed), fabrics.cluster(), set()
    faults = {fabrics.harm(fabric, chance, harmed) for _number in range(50)}
    found = [fabrics.said(finding) for finding in view(fabric)["findings"]]
    assert (set(found) - faults, faults - set(found), len(found)) == (set(), set(), len(faults))


def test_all_rails_on_one_leaf():
    found = view(single_leaf(2))
    assert (found["findings"], found["rail_optimized"]) == ([], False)
    assert _fabric_view.table(found) == ["2 nodes with 8 rails in 1 pod, 1 leaf, 0 spines: nothing is wrong"]
    assert _fabric_view.topology_conf(found).splitlines()[1:] == ["SwitchName=pod1 Nodes=node-[1-2]"]


def test_all_rails_of_a_node_on_the_leaf_of_its_rack():
    fabric = fabrics.cluster(nodes=8, rails=2, down=2, uplinks=2, spines=1)
    for node in range(8):
        leaf = f"leaf-{node // 2 + 1}-0"
        fabric.cut((fabric.find(f"leaf-{node // 2 + 1}-1"), node % 2 + 1))
        fabric.connect((fabric.find(leaf), 10 + node % 2), (fabric.find(f"node-{node + 1} mlx5_2"), 1))
    for pod in range(1, 5):
        fabric.remove(fabric.find(f"leaf-{pod}-1"))
    found = view(fabric)
    assert (found["findings"], found["rail_optimized"], len(found["pods"])) == ([], False, 4)


def test_two_nodes_of_which_one_is_wrong():
    """Nobody can tell which."""
    fabric = fabrics.cluster(nodes=2)
    fabric.swap((fabric.find("leaf-1-3"), 2), (fabric.find("leaf-1-4"), 2))
    finding, = view(fabric)["findings"]
    assert fabrics.said(finding) in [frozenset([("miswired",), (node, 3), (node, 4)]) for node in ("node-1", "node-2")]


def test_pod_of_two_nodes_with_a_cable_of_another_pod():
    """There, one of two nodes is right; the leaf that is another rail's in the other pod is wrong."""
    fabric = fabrics.cluster(nodes=34)
    fabric.swap((fabric.find("leaf-1-3"), 31), (fabric.find("leaf-2-7"), 1))
    assert [fabrics.said(finding) for finding in view(fabric)["findings"]] == [frozenset([("miswired",), ("node-31", 3), ("node-33", 7)])]


# Rails


def test_swapped_cables_say_where_each_belongs():
    fabric = fabrics.cluster(nodes=4)
    fabric.swap((fabric.find("leaf-1-3"), 2), (fabric.find("leaf-1-4"), 3))
    finding, = view(fabric)["findings"]
    assert finding["message"] == (
        "node-2 rail 3 (mlx5_4) and node-3 rail 4 (mlx5_5) are swapped: they lead to leaf-1-4 port 3 and leaf-1-3 port 2, "
        "and belong on leaf-1-3 port 2 and leaf-1-4 port 3"
    )
    assert finding["cables"] == [
        {"node": "node-2", "rail": 3, "is": "leaf-1-4 port 3", "should": "leaf-1-3 port 2"},
        {"node": "node-3", "rail": 4, "is": "leaf-1-3 port 2", "should": "leaf-1-4 port 3"},
    ]


def test_cable_in_a_free_port():
    fabric = fabrics.cluster(nodes=4)
    _end, hca = fabric.cut((fabric.find("leaf-1-3"), 2))
    fabric.connect((fabric.find("leaf-1-6"), 20), hca)
    assert messages(view(fabric)) == ["node-2 rail 3 (mlx5_4) leads to leaf-1-6 port 20, and belongs on leaf-1-3 port 2"]


def test_node_with_every_cable_wrong():
    """It is still a node of its pod."""
    fabric = fabrics.cluster(nodes=40)
    hcas = [fabric.cut((fabric.find(f"leaf-1-{rail}"), 7))[1] for rail in range(8)]
    for rail in range(8):
        fabric.connect((fabric.find(f"leaf-1-{(rail + 1) % 8}"), 7), hcas[rail])
    found = view(fabric)
    assert {fabrics.said(finding) for finding in found["findings"]} == {frozenset([("miswired",), ("node-7", rail)]) for rail in range(8)}
    assert "node-7" in found["pods"][0]["nodes"] and len(found["pods"]) == 2


def test_rail_on_a_spine():
    fabric = fabrics.cluster(nodes=4, uplinks=8)
    _end, hca = fabric.cut((fabric.find("leaf-1-3"), 2))
    fabric.connect((fabric.find("spine-2"), 60), hca)
    assert messages(view(fabric)) == ["node-2 rail 3 (mlx5_4) leads to spine-2 port 60, and belongs on leaf-1-3 port 2"]


def test_rail_in_the_port_of_an_uplink():
    fabric = fabrics.cluster(nodes=40)
    fabric.swap((fabric.find("leaf-1-6"), 5), (fabric.find("leaf-2-6"), 40))
    found = view(fabric)
    assert {fabrics.said(finding) for finding in found["findings"]} == {
        frozenset([("miswired",), ("node-5", 6)]), frozenset([("missing",), ("leaf-2-6", 40)]),
    }
    assert "an HCA is there" in messages(found)[1]


def test_leaf_without_power():
    fabric = fabrics.cluster(nodes=40)
    fabric.remove(fabric.find("leaf-1-3"))
    found = view(fabric)
    assert messages(found) == ["rail 3 of node-[1-32] is missing: their leaf switch is not in the fabric"]
    assert found["pods"][0]["leaves"][3] is None and len(found["findings"][0]["cables"]) == 32


def test_nodes_that_are_away():
    fabric = fabrics.cluster(nodes=4)
    for rail in range(1, 9):
        fabric.remove(fabric.find(f"node-3 mlx5_{rail}"))
    assert view(fabric)["findings"] == []
    found = view(fabric, nodes=named("node-1", "node-2", "node-3", "node-4"), rails=8, spines=8)
    assert messages(found) == ["node-3: none of its HCAs is in the fabric"]
    assert _fabric_view.topology_conf(found).splitlines()[1:] == [
        "SwitchName=pod1 Nodes=node-[1-2,4]", "# Not in the fabric when this was written: node-3",
    ]


def test_what_only_a_declaration_tells():
    fabric = fabrics.cluster(nodes=4, rails=7, spines=7, uplinks=28)
    assert messages(view(fabric)) == []
    assert messages(view(fabric, rails=8, spines=8)) == ["nodes have 7 rails; 8 are declared", "there are 7 spine switches; 8 are declared"]


# Which node, which rail


def rails(found, node):
    return {rail["rail"]: rail["device"] for item in found["nodes"] if item["name"] == node for rail in item["rails"]}


@pytest.mark.parametrize("names", [{"mlx5_": "HCA-"}, {"mlx5_": "ibp1"}, {" ": "\t "}, {"node-": "gpu-node."}, {"node-": "10-0-0-"}])
def test_names_of_devices(names):
    fabric = fabrics.cluster(nodes=4)
    for device, name in fabric.names.items():
        if device.startswith("H"):
            for old, new in names.items():
                fabric.names[device] = name.replace(old, new)
    found = view(fabric)
    assert found["findings"] == [] and len(found["nodes"]) == 4 and list(rails(found, found["nodes"][0]["name"])) == list(range(8))


def test_rails_are_in_the_order_of_numbers():
    """mlx5_10 comes after mlx5_9; and a node without one of them has the others in their places."""
    fabric = fabrics.cluster(nodes=4)
    for node in range(1, 5):
        for old, new in zip(range(8, 0, -1), (11, 10, 9, 6, 5, 4, 3, 0)):
            fabric.names[fabric.find(f"node-{node} mlx5_{old}")] = f"node-{node} mlx5_{new}"
    fabric.remove(fabric.find("node-2 mlx5_5"))
    found = view(fabric)
    assert list(rails(found, "node-1").values()) == [f"mlx5_{number}" for number in (0, 3, 4, 5, 6, 9, 10, 11)]
    assert messages(found) == ["node-2 rail 3 is not in the fabric; it belongs on leaf-1-3 port 2"]


def test_what_nodes_say_of_their_rails_comes_before_names():
    """By GUID of the HCA or of its port; a node that says nothing has the order of those that do."""
    fabric = fabrics.cluster(nodes=4)
    for node in range(1, 5):
        for one, other in ((1, 8), (2, 7)):
            first, second = fabric.find(f"node-{node} mlx5_{one}"), fabric.find(f"node-{node} mlx5_{other}")
            fabric.names[first], fabric.names[second] = fabric.names[second], fabric.names[first]
    guids = {
        node: tuple(fabric.cables[fabric.find(f"leaf-1-{rail}"), node][0][2:] for rail in range(8)) for node in range(1, 5)
    }
    ports = {node: tuple(f"{int(guid, 16) + 1:016x}" for guid in of) for node, of in guids.items()}
    nodes = [Node("a", (), guids[1]), Node("b", (), ports[2]), Node("c", (), (None, *guids[3][1:])), Node("node-4")]
    found = view(fabric, nodes=nodes)
    assert list(rails(found, "node-4").values()) == [f"mlx5_{number}" for number in (8, 7, 3, 4, 5, 6, 2, 1)]
    assert messages(found) == ["c rail 0 is not in the fabric; it belongs on leaf-1-0"]


def test_names_of_nodes():
    fabric = fabrics.cluster(nodes=4)
    nodes = [Node("Node-1"), Node("x", ("node-2",)), Node("node-3.example.com"), Node("y", ("node-4.cluster.local",))]
    found = view(fabric, nodes=nodes)
    assert (found["findings"], [node["name"] for node in found["nodes"]]) == ([], ["Node-1", "node-3.example.com", "x", "y"])


def test_others_are_no_nodes():
    fabric = fabrics.cluster(nodes=4)
    leaf = fabric.find("leaf-1-0")
    for number, name in enumerate(["storage-1 mlx5_0", "storage-2 mlx5_0", "ufm mlx5_0", "Mellanox Technologies Aggregation Node"]):
        fabric.connect((leaf, 20 + number), (fabric.hca(name), 1))
    found = view(fabric)
    assert found["findings"] == [] and len(found["nodes"]) == 4
    assert [other["name"] for other in found["others"]] == ["storage-1 mlx5_0", "storage-2 mlx5_0", "ufm mlx5_0"]
    assert [node["name"] for node in view(fabric, nodes=named("node-1", "node-2", "node-4"))["nodes"]] == ["node-1", "node-2", "node-4"]


def test_one_node_with_more_hcas_than_others():
    fabric = fabrics.cluster(nodes=4)
    fabric.connect((fabric.find("leaf-1-0"), 20), (fabric.hca("node-2 mlx5_9"), 1))
    found = view(fabric)
    assert (found["findings"], found["rails"], [other["name"] for other in found["others"]]) == ([], 8, ["node-2 mlx5_9"])


@pytest.mark.parametrize("nodes", [None, [f"node-{number}" for number in range(1, 9)]])
def test_two_nodes_with_an_hca_that_those_beside_them_lack(nodes):
    """It is no rail that the others miss."""
    fabric = fabrics.cluster(nodes=8)
    for number in (2, 3):
        fabric.connect((fabric.find("leaf-1-0"), 20 + number), (fabric.hca(f"node-{number} mlx5_9"), 1))
    found = view(fabric, nodes=nodes and named(*nodes))
    assert (found["findings"], found["rails"]) == ([], 8)


def test_two_ports_of_an_hca_are_two_rails():
    fabric = fabrics.Fabric()
    leaves = [fabric.switch(f"leaf-{number}") for number in range(2)]
    for node in range(1, 4):
        hca = fabric.hca(f"node-{node} mlx5_0")
        for rail, leaf in enumerate(leaves):
            fabric.connect((leaf, node), (hca, rail + 1))
    found = view(fabric)
    assert found["findings"] == [] and rails(found, "node-1") == {0: "mlx5_0:1", 1: "mlx5_0:2"}


def test_two_hcas_of_one_name():
    fabric = fabrics.cluster(nodes=4)
    fabric.names[fabric.find("node-3 mlx5_2")] = "node-2 mlx5_2"
    findings = view(fabric)["findings"]
    assert [fabrics.said(finding) for finding in findings] == [
        frozenset([("missing",), ("node-3", 1)]), frozenset([("ambiguous",), ("node-2", 1)]),
    ]
    assert findings[1]["message"] == "2 HCAs are called node-2 mlx5_2: at leaf-1-1 port 2, leaf-1-1 port 3"


@pytest.mark.parametrize("name", ["MT4129 ConnectX7   Mellanox Technologies", "", "<script>", "node-2"])
def test_hca_without_a_name(name):
    fabric = fabrics.cluster(nodes=4)
    guid = fabric.find("node-2 mlx5_2")
    fabric.names[guid] = name
    findings = view(fabric, nodes=named("node-1", "node-2", "node-3", "node-4"))["findings"]
    assert [finding["kind"] for finding in findings] == ["missing", "unnamed"]
    assert repr(name) in findings[1]["message"] and findings[1]["message"].endswith("at leaf-1-1 port 2")


def test_no_node_by_name():
    fabric = fabrics.cluster(nodes=2)
    with pytest.raises(FabricError, match="None of the 1 nodes .other, .*node-1 mlx5_1.*GUIDs"):
        view(fabric, nodes=named("other"))
    for device in fabric.names:
        fabric.names[device] = "MT4129 ConnectX7   Mellanox Technologies"
    with pytest.raises(FabricError, match="No node is in the fabric by name.*MT4129"):
        view(fabric)


def test_no_switch():
    fabric = fabrics.Fabric()
    fabric.connect((fabric.hca("node-1 mlx5_1"), 1), (fabric.hca("node-2 mlx5_1"), 1))
    with pytest.raises(FabricError, match="no switch.*M_Key"):
        view(fabric)


def test_names_of_switches():
    """That of a managed one; the GUID where several have the same."""
    fabric = fabrics.cluster(nodes=4)
    for device, name in fabric.names.items():
        if name.startswith("leaf"):
            fabric.names[device] = f"MF0;{name}:MQM9700/U1"
        if name.startswith("spine"):
            fabric.names[device] = "Quantum Mellanox Technologies"
    found = view(fabric)
    names = [switch["name"] for switch in found["switches"]]
    assert found["findings"] == [] and names[:2] == ["leaf-1-0", "leaf-1-1"]
    assert all(switch["name"] == switch["guid"] for switch in found["switches"] if switch["tier"] == "spine")


def chassis(fabric, names):
    for device, name in fabric.names.items():
        if name in names:
            fabric.names[device] = names[name]


def test_names_of_chips_of_a_director_switch():
    fabric = fabrics.cluster(nodes=4, rails=2, spines=2, uplinks=4)
    chassis(fabric, {
        "leaf-1-0": "MF0;core-1:MCS8500/L01/U1", "leaf-1-1": "MF0;core-1:MCS8500/L02/U1", "spine-1": "MF0;q:Q3400_RA/U1", "spine-2": "MF0;q:Q3400_RA/U2",
    })
    assert [switch["name"] for switch in view(fabric)["switches"]] == ["core-1/L01/U1", "core-1/L02/U1", "q", "q/U2"]


def storage(fabric, name, hcas):
    """A host with more HCAs than the fabric has rails, at the far end of the leaves."""
    leaves = [device for device, known in fabric.names.items() if known.startswith("leaf")]
    for number in range(hcas):
        leaf = leaves[number % len(leaves)]
        port = next(port for port in range(64, 0, -1) if (leaf, port) not in fabric.cables)
        fabric.connect((leaf, port), (fabric.hca(f"{name} mlx5_{number}"), 1))


@pytest.mark.parametrize("nodes", [None, [f"node-{number}" for number in range(1, 17)]])
def test_storage_with_more_hcas_than_nodes(nodes):
    fabric = fabrics.cluster(nodes=16, down=16, uplinks=16)
    for number in range(1, 4):
        storage(fabric, f"store-{number}", 10)
    found = view(fabric, nodes=nodes and named(*nodes))
    assert (found["findings"], found["rails"], len(found["nodes"]), len(found["others"])) == ([], 8, 16, 30)
    fabric.cut(fabric.cables[fabric.find("leaf-1-3"), 2])
    assert [fabrics.said(item) for item in view(fabric, nodes=nodes and named(*nodes))["findings"]] == [frozenset([("missing",), ("node-2", 3)])]


def test_nodes_of_two_racks_have_names_of_their_own():
    fabric = fabrics.cluster(nodes=8)
    for device, name in fabric.names.items():
        if name.startswith(("node-6 ", "node-7 ", "node-8 ")):
            fabric.names[device] = f"rack-b-{name}"
    found = view(fabric)
    assert (found["findings"], len(found["nodes"])) == ([], 8)


def dual(nodes=4, hcas=2):
    """Adapters with two ports, each a rail."""
    fabric = fabrics.Fabric()
    leaves = [fabric.switch(f"leaf-{number}") for number in range(2 * hcas)]
    for node in range(1, nodes + 1):
        for number in range(hcas):
            hca = fabric.hca(f"node-{node} mlx5_{number}")
            for port in (1, 2):
                fabric.connect((leaves[2 * number + port - 1], node), (hca, port))
    return fabric


@pytest.mark.parametrize("leaf", range(4))
def test_a_dual_port_hca_with_one_cable(leaf):
    """The port that is left keeps its name."""
    fabric = dual()
    fabric.cut((fabric.find(f"leaf-{leaf}"), 3))
    for nodes in (None, named("node-1", "node-2", "node-3", "node-4")):
        finding, = view(fabric, nodes=nodes)["findings"]
        assert fabrics.said(finding) == frozenset([("missing",), ("node-3", leaf)])


def test_a_node_that_calls_itself_as_nobody_does():
    fabric = fabrics.cluster(nodes=4, rails=2)
    for rail in (1, 2):
        fabric.names[fabric.find(f"node-2 mlx5_{rail}")] = f"localhost mlx5_{rail}"
    nodes = named("node-1", "node-2", "node-3", "node-4")
    findings = view(fabric, nodes=nodes)["findings"]
    assert [item["kind"] for item in findings] == ["absent", "unnamed", "unnamed"]
    assert findings[0]["message"] == "node-2: none of its HCAs is in the fabric under its name"
    assert [item["cables"][0]["port"] for item in findings[1:]] == [2, 2]
    assert view(fabric, nodes=named("node-1", "localhost", "node-3", "node-4"))["findings"] == [], "unless a node is called so"


def told(fabric, node, rails=8):
    """What a node says of its rails."""
    return tuple(f"{int(fabric.find(f'{node} mlx5_{rail + 1}')[2:], 16) + 1:016x}" for rail in range(rails))


def test_a_node_that_counts_its_rails_otherwise():
    """As one that lost a GPU may: its cables and its peers agree on the order."""
    fabric = fabrics.cluster(nodes=4)
    guids = {node: told(fabric, node) for node in ("node-1", "node-2", "node-3", "node-4")}
    guids["node-3"] = guids["node-3"][-1:] + guids["node-3"][:-1]
    nodes = [Node(name, (), of) for name, of in guids.items()]
    assert view(fabric, nodes=nodes)["findings"] == []
    fabric.swap((fabric.find("leaf-1-3"), 2), (fabric.find("leaf-1-4"), 2))
    assert [fabrics.said(item) for item in view(fabric, nodes=nodes)["findings"]] == [frozenset([("miswired",), ("node-2", 3), ("node-2", 4)])]


def test_a_guid_that_two_nodes_claim():
    """It is neither's for that; its own name decides."""
    fabric = fabrics.cluster(nodes=4)
    nodes = [Node(name, (), told(fabric, name)) for name in ("node-1", "node-2", "node-3")]
    nodes.append(Node("node-4", (), told(fabric, "node-1")))
    found = view(fabric, nodes=nodes)
    assert (found["findings"], len(found["nodes"])) == ([], 4)


def test_a_leaf_of_the_only_pod_is_without_power():
    """What nodes told says that there is a rail."""
    fabric = fabrics.cluster(nodes=4)
    nodes = [Node(name, (), told(fabric, name)) for name in ("node-1", "node-2", "node-3", "node-4")]
    fabric.remove(fabric.find("leaf-1-7"))
    assert messages(view(fabric, nodes=nodes)) == ["rail 7 of node-[1-4] is missing: their leaf switch is not in the fabric"]


BUILT = {
    "rails": lambda: fabrics.cluster(nodes=8, down=8, uplinks=8, spines=2), "pods": lambda: fabrics.cluster(nodes=20, rails=4, down=8, uplinks=8, spines=2),
    "storage": lambda: with_storage(fabrics.cluster(nodes=8, rails=4, down=8, uplinks=8, spines=2)),
}


def with_storage(fabric):
    storage(fabric, "store-1", 5)
    storage(fabric, "store-2", 5)
    return fabric


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(BUILT)), st.sampled_from([*fabrics.KINDS, "silent node"]), st.booleans(), st.integers(0, 1000))
def test_one_thing_broken(built, kind, declared, seed):
    """Whatever the fabric is like, and whether nodes are declared: it is named, and nothing else."""
    fabric, chance = BUILT[built](), random.Random(seed)
    nodes = sorted({name.split()[0] for name in fabric.names.values() if name.startswith("node-")})
    given_ = {"nodes": named(*nodes)} if declared else {}
    assert view(fabric, **given_)["findings"] == []
    if kind == "silent node":
        silent = chance.choice(nodes[1:])
        for device, name in list(fabric.names.items()):
            if name.startswith(f"{silent} "):
                fabric.remove(device)
        assert [item["message"] for item in view(fabric, **given_)["findings"]] == [f"{silent}: none of its HCAs is in the fabric"] * declared
        return
    others = {end for end in fabric.cables if fabric.names[fabric.cables[end][0]].startswith("store")}
    fault = fabrics.harm(fabric, chance, others, (kind,))
    assert [fabrics.said(item) for item in view(fabric, **given_)["findings"]] == [fault]


# Uplinks


def test_uplinks_of_one_leaf_may_change_places():
    fabric = fabrics.cluster(nodes=40)
    leaf = fabric.find("leaf-1-3")
    fabric.swap((leaf, 33), (leaf, 40))
    assert view(fabric)["findings"] == []


def test_two_leaves_that_are_connected():
    fabric = fabrics.cluster(nodes=40)
    one, other = (fabric.find("leaf-1-3"), 33), (fabric.find("leaf-2-4"), 50)
    fabric.swap(one, fabric.cables[other])
    findings = view(fabric)["findings"]
    assert {fabrics.said(finding) for finding in findings} == {
        frozenset([("miswired",), ("leaf-1-3", 33), ("leaf-2-4", 50)]), frozenset([("miswired",), ("spine-1", 13), ("spine-5", 50)]),
    }


def test_leaves_that_are_cabled_each_in_its_way():
    """Ports say nothing then; numbers of links do."""
    fabric, chance = fabrics.cluster(nodes=40), random.Random(1)
    for leaf in [device for device, name in fabric.names.items() if name.startswith("leaf")]:
        ends = [end for end in fabric.cables if end[0] == leaf and fabric.cables[end][0].startswith("S")]
        far = [fabric.cut(end)[1] for end in ends]
        for end, other in zip(ends, chance.sample(far, len(far))):
            fabric.connect(end, other)
    assert view(fabric)["findings"] == []
    end = next(end for end in sorted(fabric.cables) if end[0] == fabric.find("leaf-1-3") and fabric.cables[end][0] == fabric.find("spine-2"))
    fabric.cut(end)
    assert messages(view(fabric)) == ["leaf-1-3 has 3 links to spine-2, most have 4"]


def test_planes_of_spines():
    """Rails 0 and 1 have spines of their own, as in a fabric of planes; a cable from one plane to the other is wrong."""
    fabric = fabrics.cluster(nodes=32, rails=2, down=8, uplinks=8, spines=4)
    for pod in range(1, 5):
        for rail in range(2):
            leaf = fabric.find(f"leaf-{pod}-{rail}")
            for number in range(8):
                fabric.cut((leaf, 9 + number))
                fabric.connect((leaf, 9 + number), (fabric.find(f"spine-{2 * rail + number // 4 + 1}"), 20 + 4 * pod + number % 4))
    assert view(fabric)["findings"] == []
    fabric.swap((fabric.find("leaf-2-0"), 9), (fabric.find("leaf-3-1"), 14))
    assert [fabrics.said(finding) for finding in view(fabric)["findings"]] == [frozenset([("miswired",), ("leaf-2-0", 9), ("leaf-3-1", 14)])]


# Rates and states


def test_slow_links_say_what_most_have():
    fabric = fabrics.cluster(nodes=4)
    fabric.slow((fabric.find("leaf-1-2"), 3), "4xHDR")
    fabric.slow((fabric.find("leaf-1-2"), 33), "2xNDR")
    findings = view(fabric)["findings"]
    assert [finding["message"] for finding in findings] == [
        "leaf-1-2 port 33 to spine-1 port 9 runs at 2xNDR; most uplinks run at 4xNDR",
        "node-3 rail 2 (mlx5_3) at leaf-1-2 port 3 runs at 4xHDR; most rails run at 4xNDR",
    ]
    assert findings[1]["cables"] == [{"node": "node-3", "rail": 2, "is": "4xHDR", "should": "4xNDR"}]


def test_fast_link_is_no_fault():
    fabric = fabrics.cluster(nodes=4)
    fabric.slow((fabric.find("leaf-1-2"), 3), "4xXDR")
    assert view(fabric)["findings"] == []


def test_ends_that_say_different_rates():
    fabric = fabrics.cluster(nodes=4)
    fabric.rates[fabric.find("node-3 mlx5_3"), 1] = "4xEDR"
    assert [fabrics.said(finding) for finding in view(fabric)["findings"]] == [frozenset([("slow",), ("node-3", 2)])]


def test_tool_that_is_older_than_the_speed():
    """ibnetdiscover prints ??? then; iblinkinfo says it all the same."""
    fabric = fabrics.cluster(nodes=4)
    fabric.usual = "4x???"
    fabric.slow((fabric.find("leaf-1-2"), 3), "4xHDR")
    states = states_of(fabric, "106.25 Gbps")
    for links, usual in (("", "4x???"), (states, "4xNDR")):
        assert _fabric_view.view(fabric.text(), links)["findings"][0]["cables"] == [{"node": "node-3", "rail": 2, "is": "4xHDR", "should": usual}]


def states_of(fabric, speed, **odd):
    """What iblinkinfo prints of the switches."""
    lines = []
    for device, name in fabric.names.items():
        if device.startswith("S"):
            lines.append(f"Switch: 0x{device[2:]} {name}:")
            for owner, number in sorted(fabric.cables):
                if owner == device:
                    state = odd.get(f"{name}:{number}", "Active")
                    lines.append(f'           1   {number:2}[  ] ==( 4X {speed:>18} {state:>6}/  LinkUp)==>       2    1[  ] "x" ( )')
    return "\n".join(lines) + "\n"


def test_link_that_is_there_and_not_active():
    fabric = fabrics.cluster(nodes=4)
    states = states_of(fabric, "106.25 Gbps", **{"leaf-1-2:3": "Initialize", "leaf-1-2:40": "Armed"})
    assert messages(_fabric_view.view(fabric.text(), states)) == [
        "leaf-1-2 port 40 to spine-2 port 12 is Armed; most links are Active",
        "node-3 rail 2 (mlx5_3) at leaf-1-2 port 3 is Initialize; most links are Active",
    ]


def test_table():
    fabric = fabrics.cluster(nodes=4)
    fabric.cut((fabric.find("leaf-1-2"), 3))
    fabric.slow((fabric.find("leaf-1-3"), 3), "4xHDR")
    assert _fabric_view.table(view(fabric)) == [
        "4 nodes with 8 rails in 1 pod, 8 leaves, 8 spines: 2 findings",
        "missing  node-3 rail 2 is not in the fabric; it belongs on leaf-1-2 port 3",
        "slow     node-3 rail 3 (mlx5_4) at leaf-1-3 port 3 runs at 4xHDR; most rails run at 4xNDR",
    ]
