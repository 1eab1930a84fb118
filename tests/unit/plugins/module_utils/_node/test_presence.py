# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import checker, presence, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.rdma_stack import KERNEL, OPEN, PROPRIETARY, Node


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def met(node: Node) -> set[str]:
    """Without what keeps the clock."""
    return {name for name, condition in presence.CONDITIONS.items() if condition(node)} - {"timesyncd"}


def differences(node: Node, kind: str, resources: list[dict]) -> list[dict]:
    return checker.check(node, {kind: resources})


# What a node has


def test_a_node_without_rdma(node):
    node.adapter(None, vendor="0x8086", class_="0x020000")
    node.adapter(None, class_="0x0c0300", number=1)
    assert met(node) == {"all"}


@pytest.mark.parametrize(("class_", "layer", "conditions"), [
    ("0x020700", "InfiniBand", {"all", "mlx5", "rdma", "infiniband"}), ("0x020000", "Ethernet", {"all", "mlx5", "rdma"}),
])
def test_an_adapter(node, class_, layer, conditions):
    node.adapter("mlx5_0", layer, class_=class_)
    assert met(node) == conditions


def test_an_adapter_without_its_driver(node):
    node.adapter(None)
    assert met(node) == {"all", "mlx5", "rdma"}


def test_soft_roce(node):
    node.soft("rxe0")
    assert met(node) == {"all", "rdma"}


def test_openibd(node):
    node.write("/etc/init.d/openibd", "#!/bin/sh\n")
    assert met(node) == {"all", "openibd"}


def test_gpus_count_beside_an_rdma_device_alone(node):
    node.driver()
    assert "gpus" not in met(node)
    node.adapter("mlx5_0")
    assert "gpus" in met(node)


@pytest.mark.parametrize(("driver", "kernel", "modules", "peermem"), [
    (OPEN, KERNEL, ["nvidia_peermem"], False),
    (PROPRIETARY, KERNEL, ["nvidia-peermem"], True),
    (PROPRIETARY, KERNEL, ["nvidia"], False),
    (OPEN, "5.11.22-generic", [], False),
])
def test_peermem_is_for_those_that_need_it_and_have_it(node, driver, kernel, modules, peermem):
    node.adapter("mlx5_0")
    node.driver(driver)
    node.kernel_has(*modules)
    node.write("/proc/sys/kernel/osrelease", f"{kernel}\n")
    assert ("peermem" in met(node)) == peermem


@pytest.mark.parametrize(("program", "conditions"), [(None, {"timesyncd"}), ("chronyd", {"chrony"}), ("ntpd", set())])
def test_what_keeps_the_clock(node, program, conditions):
    if program:
        node.write(f"/usr/sbin/{program}", "")
    assert {name for name in ("timesyncd", "chrony") if presence.CONDITIONS[name](node)} == conditions


# Resources that are declared for some


MODULE = {"name": "ib_umad", "file": "/etc/modules-load.d/onecc-ib_umad.conf", "content": "ib_umad\n", "where": "rdma"}


def test_a_resource_counts_where_the_node_has_what_it_is_for(node):
    assert list(differences(node, "kernel_modules", [MODULE])) == []
    node.soft("rxe0")
    assert [item["field"] for item in differences(node, "kernel_modules", [MODULE])] == ["loaded", "at_boot"]


def test_a_file_and_a_unit_in_the_same_way(node):
    file = {"path": "/etc/x", "sha256": "0", "owner": "root", "group": "root", "mode": "0644", "where": "openibd"}
    unit = {"name": "openibd.service", "active": True, "where": "openibd"}
    assert list(differences(node, "files", [file])) == [] and list(differences(node, "units", [unit])) == []
    assert node.ran == []
    node.write("/etc/init.d/openibd", "")
    node.answers["systemctl"] = Completed(0, "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n")
    assert [item["field"] for item in (*differences(node, "files", [file]), *differences(node, "units", [unit]))] == ["exists", "active"]


def test_units_keep_their_order_where_some_are_for_others(node):
    node.answers["systemctl"] = Completed(0, "LoadState=loaded\nActiveState=active\n\nLoadState=not-found\n")
    found = differences(node, "units", [{"name": "a.service"}, {"name": "b.service", "where": "gpus"}, {"name": "c.service"}])
    assert [(item["name"], item["field"]) for item in found] == [("c.service", "exists")]
    assert node.ran[0][-2:] == ("a.service", "c.service")


def test_a_module_that_a_unit_loads_needs_no_file(node):
    node.write("/sys/module/nvidia_peermem/version", "580\n")
    assert list(differences(node, "kernel_modules", [{"name": "nvidia_peermem", "unit": "onecc-nvidia-peermem.service", "where": None}])) == []


@pytest.mark.parametrize(("has", "field"), [(["ib_umad"], "loaded"), (["ib_umad_extra"], "exists")])
def test_a_module_that_the_kernel_does_not_have(node, has, field):
    node.soft("rxe0")
    node.kernel_has(*has)
    found = differences(node, "kernel_modules", [MODULE])[0]
    assert (found["field"], found["is"], found["should"]) == (field, False, True)
    assert (KERNEL in found["message"]) == (field == "exists")


# GPUDirect


def possible(node: Node, way: str) -> list[str]:
    found = list(differences(node, "gpudirect", [{"name": way, "where": "gpus"}]))
    assert all((item["remedy"] == "manual") and way in item["message"] for item in found)
    return [item["message"] for item in found]


@pytest.mark.parametrize("way", ["auto", "dmabuf", "peermem"])
def test_without_gpus_there_is_nothing_to_reach(node, way):
    node.adapter("mlx5_0")
    assert possible(node, way) == []


def test_dmabuf_with_the_open_kernel_module(node):
    node.adapter("mlx5_0")
    node.driver()
    assert possible(node, "auto") == possible(node, "dmabuf") == []
    assert "no module nvidia_peermem" in possible(node, "peermem")[0]


def test_the_proprietary_kernel_module(node):
    node.adapter("mlx5_0")
    node.driver(PROPRIETARY)
    assert "not the open one, and there is no module nvidia_peermem" in possible(node, "auto")[0]
    node.kernel_has("nvidia_peermem")
    assert possible(node, "auto") == possible(node, "peermem") == []
    assert "not the open one" in possible(node, "dmabuf")[0]


@pytest.mark.parametrize(("release", "old"), [("5.11.0-46-generic", True), ("5.4.0-200", True), ("4.18.0", True), ("5.12.0", False), ("6.1.0-32-amd64", False)])
def test_the_kernel_needs_to_be_new_enough(node, release, old):
    node.adapter("mlx5_0")
    node.driver()
    node.write("/proc/sys/kernel/osrelease", f"{release}\n")
    assert [release in message and "5.12" in message for message in possible(node, "dmabuf")] == [True] * old


@pytest.mark.parametrize(("licence", "opened"), [("Dual MIT/GPL\n", True), ("NVIDIA\n", False)])
def test_a_driver_that_is_installed_and_does_not_run(node, licence, opened):
    node.adapter("mlx5_0")
    node.kernel_has("nvidia")
    node.answers["modinfo"] = Completed(0, licence)
    assert (possible(node, "dmabuf") == []) == opened


def test_a_declaration_may_name_each_condition():
    assert tuple(presence.CONDITIONS) == specs.CONDITIONS
