# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.onecc.cluster.plugins.plugin_utils import _hosts_file
from ansible_collections.onecc.cluster.plugins.plugin_utils._hosts_file import Node
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("variables", "expected"), [
    ({"onecc_instance": {"private_ip": "10.0.0.1", "ip": "192.0.2.1", "hostname": "n1"}}, Node("n", "10.0.0.1", "n1")),
    ({"onecc_instance": {"private_ip": None, "ip": "192.0.2.1", "hostname": "n"}}, Node("n", "192.0.2.1", None)),
    ({"ansible_host": "10.0.0.2"}, Node("n", "10.0.0.2", None)),
    ({"ansible_host": "node.example"}, None),
    ({}, None),
    ({"onecc_instance": {"private_ip": "10.0.0.1", "hostname": "a b\n127.0.0.1 x"}}, Node("n", "10.0.0.1", None)),
    ({"onecc_instance": {"private_ip": "10.0.0.1\n127.0.0.1 x"}}, None),
    ({"onecc_instance": {"private_ip": "10.0.0.1", "hostname": "n1.cloud.example"}}, Node("n", "10.0.0.1", "n1")),
    ({"onecc_instance": {"private_ip": "10.0.0.1", "hostname": "N.cloud.example"}}, Node("n", "10.0.0.1", None)),
    ({"onecc_instance": {"private_ip": "10.0.0.1", "hostname": "ip6-localhost"}}, Node("n", "10.0.0.1", None)),
    ({"onecc_instance": {"private_ip": "127.0.0.1", "ip": "192.0.2.1"}}, Node("n", "192.0.2.1", None)),
    ({"onecc_instance": {"private_ip": "::ffff:10.0.0.1"}}, Node("n", "10.0.0.1", None)),
    ({"ansible_host": "127.0.0.1"}, None),
])
def test_a_node(variables, expected):
    assert _hosts_file.node("n", variables) == expected


@pytest.mark.parametrize("name", [
    "a b", "localhost", "LOCALHOST", "localhost.localdomain", "localhost4", "x.localhost", "ip6-loopback", "IP6-allnodes", "127.0.0.1",
    "127.1", "2130706433", "0x7f000001", "127.example.com", "ip6-x.example.com",
])
def test_names_that_the_file_must_not_have(name):
    assert _hosts_file.node(name, {"ansible_host": "10.0.0.1"}) is None


def test_only_the_first_label_of_a_name():
    assert _hosts_file.node("github.com", {"ansible_host": "10.0.0.1"}) == Node("github", "10.0.0.1", None)
    assert _hosts_file.node("127.0.0.1", {"ansible_host": "10.0.0.1", "onecc_instance": {"hostname": "x"}}) == Node("x", "10.0.0.1", None)


def test_a_label_belongs_to_one_whatever_its_case():
    found = [Node("HEAD-1", "10.0.0.1", "x"), Node("head-1", "10.0.0.2", None), Node("c", "10.0.0.3", "X"), Node("d", "10.0.0.4", "C")]
    assert _hosts_file.text(found) == "10.0.0.3 c\n10.0.0.4 d\n"


@given(st.lists(st.builds(
    lambda name, hostname, number: _hosts_file.node(name, {"onecc_instance": {"private_ip": f"10.0.0.{number}", "hostname": hostname}}),
    *[st.sampled_from(["a", "A", "a.b", "b", "B.c", "localhost", "ip6-x", "github.com", "127.1", "a b", "x\n1.2.3.4 y"])] * 2, st.integers(1, 9),
), max_size=6))
def test_every_label_is_single_and_leads_to_one_place(found):
    lines = [line.split(" ") for line in _hosts_file.text(item for item in found if item).splitlines()]
    labels = [label.lower() for _address, *line in lines for label in line]
    assert len(set(labels)) == len(labels) and all(len(line) > 1 for line in lines)
    assert set(labels) <= {"a", "b", "github"}


def test_lines_in_the_order_of_names():
    found = [Node("n10", "10.0.0.10", None), Node("n9", "10.0.0.9", "head")]
    assert _hosts_file.text(found) == "10.0.0.9 n9 head\n10.0.0.10 n10\n"


def test_an_alias_belongs_to_one():
    found = [Node("a", "10.0.0.1", "x"), Node("b", "10.0.0.2", "x"), Node("c", "10.0.0.3", "a")]
    assert _hosts_file.text(found) == "10.0.0.1 a\n10.0.0.2 b\n10.0.0.3 c\n"


def test_all_hosts_of_the_group_by_their_own_variables():
    hosts = {name: SimpleNamespace(name=name, vars={"ansible_host": address}) for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))}
    inventory = SimpleNamespace(get_host=hosts.get)
    variables = {"hostvars": SimpleNamespace(_inventory=inventory), "groups": {"onecc": ["a"], "all": ["a", "b"]}}
    assert _hosts_file.nodes(variables) == [Node("a", "10.0.0.1", None)]
    assert _hosts_file.nodes({**variables, "groups": {"all": ["a", "b"]}}) == []


@pytest.mark.parametrize("variables", [
    {"groups": {"onecc": ["a"]}}, {"hostvars": {}, "groups": {"onecc": ["a"]}},
    {"hostvars": SimpleNamespace(_inventory=SimpleNamespace()), "groups": {"onecc": ["a"]}},
    {"hostvars": SimpleNamespace(_inventory=SimpleNamespace(get_host={}.get)), "groups": {"onecc": ["a"]}},
])
def test_an_inventory_that_cannot_be_read_is_not_an_empty_one(variables):
    with pytest.raises(AnsibleError, match="version of ansible-core"):
        _hosts_file.nodes(variables)


def test_a_static_inventory_with_the_core_that_is_here(tmp_path):
    """What `own_variables` uses is not promised by ansible-core, so it is tried with the real one."""
    source = tmp_path / "hosts.yml"
    source.write_text(
        "onecc:\n  vars: {ansible_host: 10.9.9.9}\n  hosts:\n    n-1: {ansible_host: 10.0.0.1}\n    n-2: {}\n"
        "    n-3: {onecc_instance: {private_ip: 10.0.0.3, hostname: x.example}}\n"
    )
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(source)])
    manager = VariableManager(loader=loader, inventory=inventory)
    # A fact of that name is what a node says of itself.
    manager.set_nonpersistent_facts("n-1", {"onecc_instance": {"private_ip": "10.6.6.6"}})
    variables = manager.get_vars(host=inventory.get_host("n-1"))
    variables["hostvars"] = HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    assert _hosts_file.text(_hosts_file.nodes(variables)) == "10.0.0.1 n-1\n10.0.0.3 n-3 x\n"


def test_a_node_that_is_away_stays():
    away = [
        {"name": "b", "private_ip": "10.0.0.2", "ip": None, "hostname": "b1", "status": "unhealthy"},
        {"name": "a", "private_ip": "10.0.0.9", "ip": None, "hostname": None, "status": "booting"},
    ]
    other = [{"name": "c", "private_ip": "10.0.0.3", "ip": None, "hostname": None, "status": "booting"}]
    hosts = {
        "a": SimpleNamespace(vars={"ansible_host": "10.0.0.1", "onecc_absent": away}),
        "z": SimpleNamespace(vars={"ansible_host": "10.0.0.26", "onecc_absent": other}),
    }
    variables = {"hostvars": SimpleNamespace(_inventory=SimpleNamespace(get_host=hosts.get)), "groups": {"onecc": ["a", "z"]}}
    assert _hosts_file.text(_hosts_file.nodes(variables)) == "10.0.0.1 a\n10.0.0.2 b b1\n10.0.0.3 c\n10.0.0.26 z\n"
