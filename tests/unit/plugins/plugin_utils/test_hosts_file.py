# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _hosts_file
from ansible_collections.onecc.cluster.plugins.plugin_utils._hosts_file import Node


@pytest.mark.parametrize(("variables", "expected"), [
    ({"onecc_instance": {"private_ip": "10.0.0.1", "ip": "192.0.2.1", "hostname": "n1"}}, Node("n", "10.0.0.1", "n1")),
    ({"onecc_instance": {"private_ip": None, "ip": "192.0.2.1", "hostname": "n"}}, Node("n", "192.0.2.1", None)),
    ({"ansible_host": "10.0.0.2"}, Node("n", "10.0.0.2", None)),
    ({"ansible_host": "node.example"}, None),
    ({}, None),
    ({"onecc_instance": {"private_ip": "10.0.0.1", "hostname": "a b\n127.0.0.1 x"}}, Node("n", "10.0.0.1", None)),
    ({"onecc_instance": {"private_ip": "10.0.0.1\n127.0.0.1 x"}}, None),
])
def test_a_node(variables, expected):
    assert _hosts_file.node("n", variables) == expected


def test_a_name_that_is_none():
    assert _hosts_file.node("a b", {"ansible_host": "10.0.0.1"}) is None


def test_lines_in_the_order_of_names():
    found = [Node("n10", "10.0.0.10", None), Node("n9", "10.0.0.9", "head")]
    assert _hosts_file.text(found) == "10.0.0.9 n9 head\n10.0.0.10 n10\n"


def test_an_alias_belongs_to_one():
    found = [Node("a", "10.0.0.1", "x"), Node("b", "10.0.0.2", "x"), Node("c", "10.0.0.3", "a")]
    assert _hosts_file.text(found) == "10.0.0.1 a\n10.0.0.2 b\n10.0.0.3 c\n"


def test_all_hosts_of_the_group_by_their_own_variables():
    hosts = {name: SimpleNamespace(name=name, vars={"ansible_host": address}) for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))}
    inventory = SimpleNamespace(get_host=hosts.get)
    variables = {"hostvars": SimpleNamespace(_inventory=inventory), "groups": {"onecc": ["a", "gone"], "all": ["a", "b"]}}
    assert _hosts_file.nodes(variables) == [Node("a", "10.0.0.1", None)]
    assert _hosts_file.nodes({}) == []


def test_a_node_that_is_away_stays():
    host = SimpleNamespace(name="a", vars={"ansible_host": "10.0.0.1"})
    away = [
        {"name": "b", "private_ip": "10.0.0.2", "ip": None, "hostname": "b1", "status": "unhealthy"},
        {"name": "a", "private_ip": "10.0.0.9", "ip": None, "hostname": None, "status": "booting"},
    ]
    variables = {"hostvars": SimpleNamespace(_inventory=SimpleNamespace(get_host={"a": host}.get)), "groups": {"onecc": ["a"]}, "onecc_absent": away}
    assert _hosts_file.nodes(variables) == [Node("a", "10.0.0.1", None), Node("b", "10.0.0.2", "b1")]
