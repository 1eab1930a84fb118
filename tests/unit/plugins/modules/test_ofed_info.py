# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.plugins.modules import ofed_info
from ansible_collections.onecc.cluster.tests.unit.rdma_stack import DOCA, INBOX, MLNX_OFED, OPEN, PROPRIETARY, Node


class Failed(Exception):
    """What fail_json ends a module with."""


class Module:
    """The module's half that Ansible has."""

    def __init__(self, **params: object) -> None:
        self.params = {"provider": "detect", "replace": [], "packages": [], "persistent_names": None, **params}

    def fail_json(self, msg: str) -> None:
        raise Failed(msg)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def locked(name: str, version: str | None = None, **fields: object) -> dict:
    return {"name": name, "version": version, "hold": True, "family": None, "running": "none", **fields}


def refused(node: Node, **params: object) -> str:
    with pytest.raises(Failed) as raised:
        ofed_info.info(Module(**params), node)
    return str(raised.value)


def test_a_node_with_nothing(node):
    assert ofed_info.info(Module(), node) == {
        "changed": False, "provider": None, "version": None, "mlx5_core": None, "gpudirect": None, "firmware": [], "reboot_reasons": [],
        "replacing": None,
    }


def test_a_node_of_a_cluster(node):
    node.installed(DOCA)
    node.loaded("25.10-1.2.8")
    node.driver()
    node.adapter("mlx5_0")
    found = ofed_info.info(Module(), node)
    assert (found["provider"], found["version"], found["mlx5_core"]) == ("doca", "25.10-1.2.8.1", "25.10-1.2.8")
    assert found["firmware"] == [{"device": "mlx5_0", "board": "MT_0000000838", "version": "28.39.2048"}]
    assert found["gpudirect"] == {"dmabuf": True, "obstacles": [], "peermem": False, "in_use": "dmabuf"}
    assert found["reboot_reasons"] == []


# How adapters reach the memory of GPUs


@pytest.mark.parametrize(("driver", "file", "in_use"), [
    (PROPRIETARY, None, None),
    (PROPRIETARY, "/sys/module/nvidia_peermem/version", "peermem"),
    (PROPRIETARY, "/sys/kernel/mm/memory_peers/nv_mem/version", "peermem"),
    (OPEN, "/sys/module/nvidia_peermem/version", "dmabuf"),
])
def test_what_programs_find(node, driver, file, in_use):
    node.driver(driver)
    if file:
        node.write(file, "1.0\n")
    found = ofed_info.info(Module(), node)["gpudirect"]
    assert (found["in_use"], found["peermem"]) == (in_use, bool(file))
    assert bool(found["obstacles"]) == (driver == PROPRIETARY) != found["dmabuf"]


def test_a_driver_that_does_not_run_is_in_nobodys_use(node):
    node.kernel_has("nvidia", "nvidia_peermem")
    node.answers["modinfo"] = Completed(0, "Dual MIT/GPL\n")
    assert ofed_info.info(Module(), node)["gpudirect"] == {"dmabuf": True, "obstacles": [], "peermem": True, "in_use": None}


# Why a reboot is needed


def test_reboot_reasons(node):
    node.installed(DOCA)
    node.loaded(None)
    node.adapter("mlx5_0")
    assert len(ofed_info.info(Module(), node)["reboot_reasons"]) == 1
    reasons = ofed_info.info(Module(persistent_names="pci"), node)["reboot_reasons"]
    assert ["mlx5_core" in reasons[0], "mlx5_0" in reasons[1]] == [True, True]


# What a change takes


@pytest.mark.parametrize("provider", ["doca", "detect"])
def test_nothing_is_replaced_where_the_declared_provider_is_there(node, provider):
    node.installed(DOCA)
    assert ofed_info.info(Module(provider=provider), node)["replacing"] is None


def test_nothing_is_replaced_where_there_is_none(node):
    assert ofed_info.info(Module(provider="doca"), node)["replacing"] is None


def test_the_refusal_says_what_would_be_removed(node):
    node.installed(MLNX_OFED)
    message = refused(node, provider="doca", replace=["inbox"])
    for words in ("mlnx_ofed 24.10-0.7.0.1", "declared is doca", "remove 2 packages (knem-modules-5.15.0-91-generic, mlnx-ofed-all)",
                  "add mlnx_ofed to ofed_replace", "Nothing was changed"):
        assert words in message


def test_a_change_to_doca(node):
    node.installed(MLNX_OFED)
    found = ofed_info.info(Module(provider="doca", replace=["mlnx_ofed"], packages=[locked("doca-ofed", "3.2.0")]), node)["replacing"]
    assert found["remove"] == ["knem-modules-5.15.0-91-generic", "mlnx-ofed-all"]
    assert found["packages"] == [{"name": "doca-ofed", "version": "3.2.0", "hold": True, "running": "none"}]
    node.installed(INBOX)
    found = ofed_info.info(Module(provider="doca", replace=["inbox"], packages=[locked("doca-ofed")]), node)["replacing"]
    assert found == {"packages": [{"name": "doca-ofed", "hold": True, "running": "none"}], "remove": []}


def test_a_change_to_the_distribution_holds_what_is_declared_alone(node):
    node.installed({name: DOCA[name] for name in ("doca-ofed", "rdma-core", "libibverbs1")})
    node.answers["apt-cache"] = Completed(0, "".join(
        f"{name}:\n  Installed: x\n  Candidate: x\n  Version table:\n     39.0-1 500\n        500 http://x jammy/main amd64 Packages\n"
        for name in ("rdma-core", "libibverbs1")
    ))
    found = ofed_info.info(Module(provider="inbox", replace=["doca"], packages=[locked("rdma-core"), locked("perftest")]), node)["replacing"]
    assert found["remove"] == ["doca-ofed"]
    assert [(item["name"], item.get("version"), item["hold"]) for item in found["packages"]] == [
        ("rdma-core", "39.0-1", True), ("perftest", None, True), ("libibverbs1", "39.0-1", False),
    ]
