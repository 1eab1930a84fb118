# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.filter.rail_differences import rail_differences
from ansible_collections.onecc.cluster.plugins.module_utils._node import facts
from ansible_collections.onecc.cluster.tests.unit.playbook import COLLECTION, LOCAL
from ansible_collections.onecc.cluster.tests.unit.sysfs import HDR, Sysfs, address, bridged, rail_path, rewrite


def gathered(machine: Sysfs, **declared: object) -> dict:
    return facts.gathered(machine, ["gpus", "rails"], declared, None)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The facts of a node as it should be."""
    machine = Sysfs(tmp_path_factory.mktemp("good"))
    machine.gpu_node()
    return gathered(machine)


@pytest.fixture
def odd(tmp_path):
    """Makes the facts of a node on which something is broken."""
    def make(**broken: dict) -> dict:
        machine = Sysfs(tmp_path / f"odd{len(list(tmp_path.iterdir()))}")
        machine.gpu_node(broken={int(number[1:]): given for number, given in broken.items()})
        return gathered(machine)

    return make


def found(nodes: dict, types: dict | None = None) -> list[tuple]:
    return [(item["host"], item["field"], item["rail"], item["is"], item["should"]) for item in rail_differences(nodes, types)]


def beside(good: dict, odd: dict, peers: int = 3) -> dict:
    return {"odd": odd, **{f"n{i}": good for i in range(peers)}}


def test_all_alike(good):
    assert found({f"n{i}": good for i in range(4)}) == found({"n": good}) == found({}) == []


def test_a_missing_rail(good, odd):
    nodes = beside(good, odd(_4={"gone": True}))
    assert found(nodes) == [("odd", "missing", "mlx5_5", None, "mlx5_5")]
    assert rail_differences(nodes)[0]["message"] == "rail 4 is missing; 3 of 3 peers have it, as mlx5_5"


def test_names_that_moved_up_after_a_missing_rail_are_not_told(good, tmp_path):
    machine = Sysfs(tmp_path)
    machine.gpu_node(names=["mlx5_1", "mlx5_2", "x", *(f"mlx5_{i}" for i in range(3, 8))], broken={2: {"gone": True}})
    assert [item[:3] for item in found(beside(good, gathered(machine)))] == [("odd", "missing", "mlx5_3")]


def test_a_rail_that_is_down(good, odd):
    nodes = beside(good, odd(_0={"up": False}))
    assert found(nodes) == [("odd", "down", "mlx5_1", "DOWN", "ACTIVE")]
    assert "rail 0 (mlx5_1, ib0, 0000:13:00.0) is down (DOWN, Polling); it is up on 3 of 3 peers" in rail_differences(nodes)[0]["message"]


def test_down_is_said_without_peers(odd):
    assert found({"odd": odd(_0={"up": False})}) == [("odd", "down", "mlx5_1", "DOWN", "ACTIVE")]


def test_a_slower_rail(good, odd):
    nodes = beside(good, odd(_7={"rate": HDR}))
    assert found(nodes) == [("odd", "slower", "mlx5_8", 200, 400)]
    assert "has 200 Gb/s; 3 of 3 peers have 400" in rail_differences(nodes)[0]["message"]


def test_all_rails_of_a_node_slower(good, odd):
    assert len(found(beside(good, odd(**{f"_{i}": {"rate": HDR} for i in range(8)})))) == 8


def test_a_narrower_link(good, tmp_path):
    machine = Sysfs(tmp_path)
    machine.gpu_node()
    rewrite(machine, f"/sys/bus/pci/devices/{address(rail_path(2))}", current_link_width="8", current_link_speed="16.0 GT/s PCIe")
    assert found(beside(good, gathered(machine))) == [("odd", "narrower", "mlx5_3", 8, 16), ("odd", "narrower", "mlx5_3", 16, 32)]


def test_another_order(good, tmp_path):
    machine = Sysfs(tmp_path)
    swapped = [f"mlx5_{i}" for i in (1, 2, 4, 3, 5, 6, 7, 8)]
    machine.gpu_node(names=swapped)
    nodes = beside(good, gathered(machine))
    assert found(nodes) == [("odd", "order", None, swapped, [f"mlx5_{i}" for i in range(1, 9)])]
    assert "mlx5_2 mlx5_4 mlx5_3 mlx5_5" in rail_differences(nodes)[0]["message"]
    assert [item[0] for item in found(beside(good, gathered(machine), 1))] == ["odd", "n0"], "of two, nobody knows which one is odd"


def test_one_more(good, tmp_path):
    machine = Sysfs(tmp_path)
    machine.gpu_node()
    machine.hca("mlx5_9", f"{bridged(7)}/0000:82:02.0/0000:85:00.0")
    assert ("odd", "extra") in [item[:2] for item in found(beside(good, gathered(machine, count=9)))]


def test_a_gpu_less(good, tmp_path):
    machine = Sysfs(tmp_path)
    machine.gpu_node()
    machine.folder.joinpath("sys/bus/pci/devices", good["gpus"][3]["address"]).unlink()
    assert found(beside(good, gathered(machine))) == [("odd", "gpus", None, 7, 8)]


def test_of_two_the_better_one_is_right(good, odd):
    assert [item[0] for item in found(beside(good, odd(_4={"gone": True}), 1))] == ["odd"]
    assert [item[0] for item in found(beside(good, odd(_4={"rate": HDR}), 1))] == ["odd"]


def test_virtual_machines_and_soft_roce_are_compared_by_addresses_and_interfaces(tmp_path):
    def lab(name: str, devices: dict[str, str], down: str = "") -> dict:
        machine = Sysfs(tmp_path / name)
        for device, net in devices.items():
            machine.rxe(device, net, up=net != down)
        return gathered(machine, link_layer="Ethernet")

    usual = {"mlx5_0": "rail0", "mlx5_1": "rail1"}
    good = lab("good", usual)
    assert found(beside(good, lab("down", usual, "rail1"))) == [("odd", "down", "mlx5_1", "DOWN", "ACTIVE")]
    assert [item[1] for item in found(beside(good, lab("renamed", {"foo": "rail0", "mlx5_1": "rail1"})))] == ["order"]
    assert found(beside(good, lab("less", {"mlx5_0": "rail0"}))) == [("odd", "missing", "mlx5_1", None, "mlx5_1")]


def test_types_are_compared_apart(good, odd):
    other = odd(**{f"_{i}": {"rate": HDR} for i in range(8)})
    nodes = {"a": good, "b": good, "c": other, "d": good}
    assert found(nodes, {"a": "h100", "b": "h100", "c": "a100", "d": None}) == []
    assert {item[0] for item in found(nodes, {"c": ""})} == {"c"}


def test_a_gpu_and_its_rail_are_gone(good, tmp_path):
    """The node cannot know, and its rails behind them have moved; its peers tell by address."""
    machine = Sysfs(tmp_path)
    machine.gpu_node(broken={3: {"gone": True}})
    machine.folder.joinpath("sys/bus/pci/devices", good["gpus"][3]["address"]).unlink()
    assert found(beside(good, gathered(machine))) == [("odd", "gpus", None, 7, 8), ("odd", "missing", "mlx5_4", None, "mlx5_4")]


def test_a_node_whose_pci_tells_less_than_that_of_its_peers(good):
    """One way to know a rail for all: not each node's own."""
    odd = copy.deepcopy(good)
    odd["rails"]["by"] = "address"
    assert found(beside(good, odd)) == []


def wrong_facts(good):
    for path, value in (
        (("rails",), None), (("rails",), []), (("rails", "by"), "mood"), (("rails", "rails"), {"a": 1}), (("rails", "rails"), [None]),
        (("rails", "rails"), [{}] * 3), (("rails", "rails", 0, "index"), "0"), (("rails", "rails", 0, "name"), None), (("rails", "rails", 0, "rate"), "fast"),
        (("rails", "rails", 0, "rate"), float("nan")), (("rails", "rails", 0, "width"), True), (("rails", "rails", 0, "address"), ["a"]),
        (("rails", "rails", 0, "interface"), "\x1b]0;owned\x07"), (("rails", "rails", 0, "name"), "mlx5_0\nnode1  in state"),
        (("gpus",), 8), (("gpus",), [8]), (("gpus", 0, "id"), {"a": 1}), ((), "text"), ((), ["list"]), ((), {}),
    ):
        wrong: dict = {"facts": copy.deepcopy(good)}
        *way, last = ("facts", *path)
        at = wrong
        for key in way:
            at = at[key]
        at[last] = value
        yield wrong["facts"]


def test_facts_that_are_not_as_documented_cost_their_node_alone(good, odd):
    down = odd(_0={"up": False})
    for wrong in wrong_facts(good):
        nodes = {"liar": wrong, "down": down, "a": good, "b": good}
        assert [item[:2] for item in found(nodes)] == [("liar", "facts"), ("down", "down")], wrong
        assert rail_differences(nodes)[0]["message"].isprintable()


def test_nodes_without_facts(good, odd):
    assert found({**beside(good, odd(_0={"up": False})), "away": None})[0][0] == "odd"
    with pytest.raises(AnsibleFilterError, match="no facts have rails"):
        rail_differences({"n": {}})
    with pytest.raises(AnsibleFilterError, match="facts by host"):
        rail_differences([good])


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_playbook(tmp_path, good, odd, check):
    """With the facts of captured nodes in place of gathered ones."""
    play, = yaml.safe_load((COLLECTION / "playbooks" / "rails.yml").read_text())
    assert list(play["tasks"][0])[1] == "onecc.cluster.node_facts"
    play["tasks"][0] = {
        "name": "Facts", "ansible.builtin.set_fact": {"onecc_node": "{{ captured }}", "cacheable": True},
    }
    slow = copy.deepcopy(good)
    slow["rails"]["rails"][1]["rate"] = 200
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    hosts = {
        "n1": {"captured": good}, "n2": {"captured": good}, "n3": {"captured": slow, "onecc_instance": {"instance_type": "other"}},
        "n0": {"captured": {"rails": "none"}},
        "n4": {"captured": odd(_3={"up": False}), "onecc_instance": {"instance_type": None}}, "n5": {"captured": slow},
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"onecc_compute": {"hosts": hosts}}))
    link = tmp_path / "ansible_collections" / "onecc" / "cluster"
    link.parent.mkdir(parents=True)
    link.symlink_to(COLLECTION)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts.json", "play.yml", "-e", LOCAL, *check],
        cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path),
             "ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 2, done.stdout + done.stderr
    failed = sorted(line.split("[")[1].split("]")[0] for line in done.stdout.splitlines() if line.startswith("fatal: ["))
    assert failed == ["n0", "n4", "n5"], done.stdout
    assert "is down (DOWN, Polling); it is up on 3 of 3 peers" in done.stdout
    assert "has 200 Gb/s; 3 of 3 peers have 400" in done.stdout
