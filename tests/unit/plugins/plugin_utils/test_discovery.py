# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import random

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _discovery as discovery
from hypothesis import given
from hypothesis import strategies as st

ID = "0920582c7ff041399e34823a0be62549"


def row(**changes):
    return {
        "id": ID,
        "name": "us-east-2-1cc-node-1",
        "ip": None,
        "private_ip": "10.0.2.100",
        "status": "active",
        "hostname": "node-1",
        "region": {"name": "us-east-2", "description": "Washington DC"},
        "instance_type": {"name": "gpu_8x_h100_sxm5gdr", "specs": {"gpus": 8, "vcpus": 208}},
        "file_system_names": ["data"],
        "file_system_mounts": [{"mount_point": "/lambda/nfs/data", "file_system_id": "f1"}],
        "jupyter_token": "SECRET-TOKEN",
        "jupyter_url": "https://x/?token=SECRET-TOKEN",
        "tags": [{"key": "team", "value": "vision"}],
        "actions": {},
        "is_reserved": False,
        **changes,
    }


def node(**changes):
    return {**discovery.node_from_row(row(), []), **changes}


def nodes_of(*rows, file_systems=()):
    notes = discovery.Notes()
    return discovery.nodes_from_rows(rows, file_systems, notes), notes


def test_a_row_becomes_a_node_of_known_fields_alone():
    assert discovery.node_from_row(row(), []) == {
        "id": ID,
        "name": "us-east-2-1cc-node-1",
        "hostname": "node-1",
        "region": "us-east-2",
        "instance_type": "gpu_8x_h100_sxm5gdr",
        "gpus": 8,
        "status": "active",
        "ip": None,
        "private_ip": "10.0.2.100",
        "file_systems": [{"id": "f1", "name": "data", "mount_point": "/lambda/nfs/data"}],
        "tags": {"team": "vision"},
    }


def test_all_that_may_be_missing_may_be_missing_or_null():
    bare = {"id": ID}
    empty = dict.fromkeys(row()) | {"id": ID}
    assert discovery.node_from_row(bare, []) == discovery.node_from_row(empty, [])
    assert discovery.node_from_row(bare, [])["file_systems"] == []
    assert discovery.node_from_row(row(instance_type={"specs": None}), [])["gpus"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"id": 7}, "id"),
        ({"id": "-oProxyCommand=touch /tmp/x"}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": ID + "\n"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"name": ["x"]}, "name"),
        ({"hostname": {}}, "hostname"),
        ({"region": "us-east-2"}, "region"),
        ({"region": {"name": 5}}, "region.name"),
        ({"instance_type": []}, "instance_type"),
        ({"instance_type": {"specs": [8]}}, "instance_type.specs"),
        ({"instance_type": {"specs": {"gpus": "8"}}}, "gpus"),
        ({"instance_type": {"specs": {"gpus": True}}}, "gpus"),
        ({"instance_type": {"specs": {"gpus": -1}}}, "gpus"),
        ({"instance_type": {"specs": {"gpus": 8.0}}}, "gpus"),
        ({"status": 1}, "status"),
        ({"ip": 3232235777}, "ip"),
        ({"ip": "1.2.3.4 -oProxyCommand=x"}, "ip"),
        ({"ip": "$(touch /tmp/x)"}, "ip"),
        ({"ip": "0.0.0.0"}, "ip"),
        ({"ip": "224.0.0.1"}, "ip"),
        ({"ip": "1.2.3.4\n"}, "ip"),
        ({"ip": "01.2.3.4"}, "ip"),
        ({"private_ip": "fe80::1%$(touch /tmp/x)"}, "private_ip"),
        ({"private_ip": "fe80::1%eth0"}, "private_ip"),
        ({"private_ip": "\u0661.2.3.4"}, "private_ip"),
        ({"file_system_names": "data"}, "file_system_names"),
        ({"file_system_names": [1]}, "file_system_names"),
        ({"file_system_mounts": {"a": 1}}, "file_system_mounts"),
        ({"file_system_mounts": ["x"]}, "file_system_mounts"),
        ({"file_system_mounts": [{"mount_point": 1}]}, "mount_point"),
        ({"tags": {"team": "x"}}, "tags"),
        ({"tags": [{"value": "x"}]}, "tags"),
        ({"tags": [{"key": "a", "value": 1}]}, "tags.value"),
    ],
)
def test_a_row_that_cannot_be_right_is_left_out_and_named(changes, field):
    nodes, notes = nodes_of(row(**changes), row(id="f" * 32, name="other"))
    assert [entry["name"] for entry in nodes] == ["other"]
    (warning,) = notes.warnings
    assert f"`{field}`" in warning
    assert (ID[:8] in warning) or "id" in changes
    assert warning.isprintable()


@pytest.mark.parametrize("thing", [None, 7, "x", [], [row()], True])
def test_rows_that_are_no_rows(thing):
    nodes, notes = nodes_of(thing)
    assert nodes == [] and "instance 1 of the answer" in notes.warnings[0]


def test_an_instance_listed_twice_is_one_whatever_the_order():
    rows = [row(), row(status="booting")]
    first, notes = nodes_of(*rows)
    assert len(first) == 1 and "listed twice" in notes.warnings[0]
    assert nodes_of(*reversed(rows))[0] == first


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(row(), json_values)), st.lists(json_values, max_size=3))
def test_no_answer_breaks_anything(changes, file_systems):
    notes = discovery.Notes()
    discovery.needs_file_systems([changes])
    discovery.secrets_from_rows([changes], discovery.SECRETS)
    nodes = discovery.nodes_from_rows([{**row(), **changes}], file_systems, notes)
    pairs = discovery.named(nodes, ("name", "hostname", "id"), notes)
    hosts = discovery.with_roles(pairs, {"*": "head"}, False, notes)
    # What comes out can be written, as JSON and to a terminal, and comes out of a cache as it went in.
    json.dumps([discovery.instance_variable(host, {}) for host in hosts], ensure_ascii=False).encode("utf-8")
    assert all(warning.isprintable() for warning in notes.warnings)
    assert discovery.nodes_from_cache(json.loads(json.dumps(nodes)), discovery.Notes()) == nodes


@given(json_values)
def test_no_cache_breaks_anything(entry):
    discovery.nodes_from_cache([entry, {**node(), "tags": entry}, {**node(), "file_systems": entry}], discovery.Notes())


NO_NODE = ["0.0.0.0", "0.0.0.1", "127.0.0.1", "127.9.9.9", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0",
           "::ffff:169.254.169.254", "240.0.0.1", "255.255.255.255", "::ffff:255.255.255.255", "224.0.0.1", "ff02::1", "010.0.0.1", "10.1", "1", "a", ""]


@pytest.mark.parametrize("text", NO_NODE)
def test_addresses_that_are_no_nodes(text):
    assert discovery.plain_address(text) is None
    found, notes = nodes_of(row(private_ip=text))
    assert not text or not found and "`private_ip`" in notes.warnings[0]


@pytest.mark.parametrize(("text", "plain"), [
    ("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("203.0.113.9", "203.0.113.9"), ("2001:DB8::1", "2001:db8::1"), ("fd00::1", "fd00::1"),
    ("100.64.0.1", "100.64.0.1"),
])
def test_addresses_of_nodes(text, plain):
    assert discovery.plain_address(text) == plain


def test_a_local_api_may_have_local_nodes():
    assert [text for text in NO_NODE if discovery.plain_address(text, local=True)] == ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
    (found,) = discovery.nodes_from_rows([row(ip="127.0.0.5")], [], discovery.Notes(), local=True)
    assert discovery.nodes_from_cache([found], discovery.Notes(), local=True) == [found]
    assert discovery.nodes_from_cache([found], discovery.Notes()) == []


@pytest.mark.parametrize("identifier", ["localhost", "LOCALHOST", "all", "onecc", "ungrouped"])
def test_an_id_is_the_last_name_and_must_be_one(identifier):
    assert nodes_of(row(id=identifier))[0] == []


def test_half_a_surrogate_pair_is_replaced():
    assert discovery.node_from_row(row(name="a\ud800"), [])["name"] == "a?"


class TestFileSystems:
    KNOWN = [{"id": "f1", "name": "data", "mount_point": "/lambda/nfs/data"}, {"id": "f2", "name": "home", "mount_point": "/home"}]

    @pytest.mark.parametrize(
        ("names", "mounts", "needed"),
        [
            ([], None, False),
            (None, None, False),
            (["data"], [{}], False),
            (["data"], None, True),
            (["data", "home"], [{}, {}], True),
            ("odd", 5, False),
        ],
    )
    def test_the_list_is_asked_for_only_when_it_is_needed(self, names, mounts, needed):
        assert discovery.needs_file_systems([{"file_system_names": names, "file_system_mounts": mounts}, None]) is needed

    def test_names_by_id(self):
        mounts = [{"mount_point": "/data/x", "file_system_id": "f2"}, {"mount_point": "/data/y", "file_system_id": "f1"}]
        (found,), _notes = nodes_of(row(file_system_names=["data", "home"], file_system_mounts=mounts), file_systems=self.KNOWN)
        assert found["file_systems"] == [
            {"id": "f2", "name": "home", "mount_point": "/data/x"},
            {"id": "f1", "name": "data", "mount_point": "/data/y"},
        ]

    def test_default_mount_points_where_the_mounts_are_missing(self):
        (found,), _notes = nodes_of(row(file_system_names=["home", "new"], file_system_mounts=None), file_systems=self.KNOWN)
        assert found["file_systems"] == [self.KNOWN[1], {"id": None, "name": "new", "mount_point": None}]

    def test_names_are_not_guessed(self):
        mounts = [{"mount_point": "/data/x", "file_system_id": "f2"}, {"mount_point": "/data/y", "file_system_id": "f1"}]
        (found,), _notes = nodes_of(row(file_system_names=["data", "home"], file_system_mounts=mounts))
        assert [item["name"] for item in found["file_systems"]] == [None, None]


class TestRoles:
    @pytest.mark.parametrize(
        ("gpus", "type_", "name", "in_cluster", "role"),
        [
            (8, "gpu_8x_h100_sxm5gdr", "us-east-2-1cc-node-1", True, "compute"),
            (8, "x", "us-east-2-1cc-head-1", True, "compute"),  # GPUs come before names
            (0, "cpu_4x_general", "anything", True, "head"),
            (0, "cpu_4x_general", "us-east-2-1cc-head-1", False, "head"),
            (0, "cpu_4x_general", "worker", False, "generic_cpu"),
            (0, "gpu_8x_odd", "worker", False, "generic_cpu"),  # specs come before the type's name
            (None, "gpu_8x_h100_sxm5gdr", "head-1", True, "compute"),
            (None, "gpu_1x_a10", "x", False, "compute"),
            (None, "cpu_4x_general", "x", True, "head"),
            (None, "cpu_4x_general", "x", False, "generic_cpu"),
            (None, None, "head-003", False, "head"),
            (None, "mystery", "us-east-2-cpu-1", False, "generic_cpu"),
            (None, None, None, False, "compute"),
        ],
    )
    def test_role(self, gpus, type_, name, in_cluster, role):
        given_node = node(gpus=gpus, instance_type=type_, name=name, hostname=None)
        assert discovery.role_of(given_node, in_cluster)[0] == role

    @pytest.mark.parametrize("name", ["headnode1", "us-east-2-1cc-head-1", "HEAD", "x-login-0", "mgmt", "head001", "acme.head"])
    def test_names_that_say_head(self, name):
        assert discovery.says_head(name)

    @pytest.mark.parametrize("name", ["ahead", "overhead-1", "header", "blogin", "node-1", "", None, "headless-1"])
    def test_names_that_do_not(self, name):
        assert not discovery.says_head(name)

    def test_the_hostname_counts_too(self):
        assert discovery.role_of(node(gpus=0, name="My Instance", hostname="headnode1"), False) == ("head", True)

    def test_overrides_come_first_and_in_order(self):
        hosts = discovery.with_roles([("a-1", node()), ("b-1", node())], {"a-*": "head", "*": "generic_cpu"}, True, discovery.Notes())
        assert [(host.name, host.role) for host in hosts] == [("a-1", "head"), ("b-1", "generic_cpu")]

    def test_a_guess_is_said_to_be_one(self):
        notes = discovery.Notes()
        discovery.with_roles([("x", node(gpus=None, instance_type=None, name=None, hostname=None))], {}, True, notes)
        assert "Taken for compute nodes" in notes.warnings[0] and "x" in notes.warnings[0]

    def test_hosts_come_in_natural_order(self):
        pairs = [(name, node()) for name in ("n-10", "n-9", "n-1", "m-100")]
        assert [host.name for host in discovery.with_roles(pairs, {}, True, discovery.Notes())] == ["m-100", "n-1", "n-9", "n-10"]


class TestNames:
    SOURCES = ("name", "hostname", "id")

    @pytest.mark.parametrize(
        "name",
        ["My Instance", "-oProxyCommand=x", "a\nb", "a\n", "{{ 1 }}", "$(id)", "a/b", "", ".", "a..b", "a-", "\u00e4", "x" * 64,
         "localhost", "all", "ungrouped", "onecc", "onecc_head", "ALL", "LocalHost", "localhost.localdomain", "x.localhost", "ip6-loopback",
         "127.0.0.1", "::1", "10.0.0.1", "127.1", "1", "0x7f000001", "2130706433", "017700000001", "a,b", "a:b", "a[1:3]", "!a", "a&b", "*"],
    )
    def test_what_is_no_host_name_is_none(self, name):
        notes = discovery.Notes()
        ((used, _node),) = discovery.named([node(name=name or None)], self.SOURCES, notes)
        assert used == "node-1"
        assert not name or len(notes.warnings) == 1 and notes.warnings[0].isprintable()

    @pytest.mark.parametrize("name", ["node-1", "a", "A.b-c_d.example", "10-0-8-196.cloud.lambdalabs.com", "node-127.0.0.1"])
    def test_what_is_one_is_one(self, name):
        assert discovery.is_host_name(name)

    def test_the_id_is_the_last_resort(self):
        assert discovery.named([node(name="a b", hostname="c d")], ("name", "hostname"), discovery.Notes())[0][0] == ID

    def test_sources_in_the_wanted_order(self):
        assert discovery.named([node()], ("hostname", "name"), discovery.Notes())[0][0] == "node-1"

    def test_shared_names_all_change_whatever_the_order(self):
        entries = [node(id=letter * 32, name="n") for letter in "abc"] + [node(id="d" * 32, name="m")]
        notes = discovery.Notes()
        expected = {"n-aaaaaaaa", "n-bbbbbbbb", "n-cccccccc", "m"}
        for _round in range(5):
            random.Random(_round).shuffle(entries)
            pairs = discovery.named(entries, self.SOURCES, notes)
            assert {name for name, _node in pairs} == expected
            assert all(name == "m" or name[2:] == owner["id"][:8] for name, owner in pairs)
        assert len(notes.warnings) == 5 and "n" in notes.warnings[0]

    def test_names_of_groups_and_ids_of_others_are_taken(self):
        entries = [node(id="a" * 32, name="Training", hostname=None), node(id="b" * 32, name="a" * 32, hostname="B")]
        pairs = discovery.named(entries, self.SOURCES, discovery.Notes(), {"training"})
        assert [(name, owner["id"][0]) for name, owner in pairs] == [("a" * 32, "a"), ("B", "b")]

    def test_names_that_differ_in_case_alone_are_shared(self):
        entries = [node(id="a" * 32, name="head-1"), node(id="b" * 32, name="HEAD-1")]
        notes = discovery.Notes()
        assert {name for name, _node in discovery.named(entries, self.SOURCES, notes)} == {"head-1-aaaaaaaa", "HEAD-1-bbbbbbbb"}
        assert len(notes.warnings) == 1

    def test_a_name_too_long_to_have_a_part_of_the_id_appended(self):
        entries = [node(id=letter * 32, name="n" * 60) for letter in "ab"]
        assert {name for name, _node in discovery.named(entries, self.SOURCES, discovery.Notes())} == {"a" * 32, "b" * 32}

    def test_names_stay_distinct_even_then(self):
        twins = [node(id="a" * 8 + letter * 24, name="n") for letter in "bc"]
        squatter = node(id="d" * 32, name="n-aaaaaaaa")
        pairs = discovery.named([*twins, squatter], self.SOURCES, discovery.Notes())
        assert {name for name, _node in pairs} == {f"n-{twin['id']}" for twin in twins} | {"n-aaaaaaaa"}

    def test_an_appended_id_may_be_taken_as_well(self):
        entries = [node(id="a" * 32, name="n"), node(id="b" * 32, name="n"), node(id="d" * 32, name="n-aaaaaaaa")]
        pairs = discovery.named(entries, self.SOURCES, discovery.Notes())
        assert {name: owner["id"][0] for name, owner in pairs} == {f"n-{'a' * 32}": "a", "n-bbbbbbbb": "b", "n-aaaaaaaa": "d"}

    @given(st.lists(st.tuples(st.sampled_from(["n", "n-aaaaaaaa", "m", "x y"]), st.text("ab", min_size=9, max_size=12)), max_size=12, unique_by=lambda x: x[1]))
    def test_names_are_always_distinct(self, entries):
        pairs = discovery.named([node(id=key, name=name) for name, key in entries], self.SOURCES, discovery.Notes())
        assert len({name for name, _node in pairs}) == len(entries)
        assert {owner["id"] for _name, owner in pairs} == {key for _name, key in entries}


class TestSelection:
    NODES = [node(name="a-1", region="us-east-1"), node(name="a-2", region="us-east-2", instance_type="cpu_4x"), node(name=None, region=None)]

    @pytest.mark.parametrize(
        ("regions", "types", "names", "left"),
        [
            ([], [], [], [0, 1, 2]),
            (["us-east-*"], [], [], [0, 1]),
            (["us-east-1", "us-east-2"], ["cpu_*"], [], [1]),
            ([], [], ["a-*"], [0, 1]),
            ([], [], ["node-1"], [0, 1, 2]),  # the host name counts
            ([], [], ["A-*"], []),
        ],
    )
    def test_filters(self, regions, types, names, left):
        assert discovery.filtered(self.NODES, regions, types, names) == [self.NODES[i] for i in left]

    def test_statuses(self):
        notes = discovery.Notes()
        statuses = ("booting", "active", "unhealthy", "preempted", "terminating", "terminated", "brandnew", None)
        entries = [node(name=f"n-{status}", status=status) for status in statuses]
        assert [entry["status"] for entry in discovery.with_status(entries, ["active"], notes)] == ["active"]
        (warning,), (remark,) = notes.warnings, notes.remarks
        for status in ("booting", "unhealthy", "preempted", "brandnew"):
            assert f"n-{status}" in warning and f"n-{status}" not in remark
        for status in discovery.GONE:
            assert f"n-{status}" in remark and f"n-{status}" not in warning


def test_secrets_are_those_that_are_named():
    assert discovery.secrets_from_rows([row()], ["jupyter_token"]) == {ID: {"jupyter_token": "SECRET-TOKEN"}}
    assert discovery.secrets_from_rows([row()], []) == {ID: {}}
    assert discovery.secrets_from_rows([row()], ["actions", "name"]) == {ID: {}}


def test_group_names():
    assert discovery.group_name("region", "us-east-1") == "onecc_region_us_east_1"
    assert discovery.group_name("status", None) == "onecc_status_unknown"
    assert discovery.group_name("region", "{{ x }}\n") == "onecc_region____x____"


@given(st.lists(st.text()))
def test_natural_order_takes_any_text(texts):
    sorted(texts, key=discovery.natural)


def test_lists_stay_readable():
    assert discovery.listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
