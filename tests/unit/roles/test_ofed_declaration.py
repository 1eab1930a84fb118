# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

"""What the role ofed declares."""

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

PEERMEM = "onecc-nvidia-peermem.service"


def state(**variables: object) -> dict[str, list[dict]]:
    loader = DataLoader()
    return _declaration.role_state("ofed", Templar(loader=loader, variables=variables), loader, variables)


def where(items: list[dict]) -> dict[str, str | None]:
    return {item.get("name") or item["path"]: item["where"] for item in items}


def test_unasked_nothing_is_installed():
    found = state()
    assert "locked_packages" not in found and "packages" not in found and "rdma_names" not in found
    assert found["ofed_providers"] == [{"name": "detect", "replace": []}]
    assert where(found["kernel_modules"]) == {
        "mlx5_core": "mlx5", "mlx5_ib": "mlx5", "ib_uverbs": "rdma", "ib_umad": "rdma", "rdma_ucm": "rdma", "ib_ipoib": "infiniband",
        "nvidia_peermem": "peermem",
    }


@pytest.mark.parametrize(("way", "condition"), [("auto", "peermem"), ("peermem", "gpus"), ("dmabuf", None), ("none", None)])
def test_ways_to_the_memory_of_gpus(way, condition):
    found = state(ofed_gpudirect=way)
    assert where(found["kernel_modules"]).get("nvidia_peermem") == condition
    assert where(found["units"]).get(PEERMEM) == condition
    assert where(found.get("files", [])).get(f"/etc/systemd/system/{PEERMEM}") == condition
    assert [item["name"] for item in found.get("gpudirect", [])] == ([way] if way != "none" else [])


def test_nvidia_peermem_is_loaded_by_its_unit_after_openibd():
    found = state(ofed_gpudirect="peermem")
    (module,) = [item for item in found["kernel_modules"] if item["name"] == "nvidia_peermem"]
    assert module["unit"] == PEERMEM and "file" not in module
    (file,) = found["files"]
    assert "After=openibd.service\n" in file["content"] and "modprobe nvidia_peermem" in file["content"]


@pytest.mark.parametrize(("provider", "names"), [
    ("inbox", ["ibverbs-providers", "ibverbs-utils", "infiniband-diags", "perftest", "rdma-core"]),
    ("doca", ["doca-ofed"]), ("mlnx_ofed", ["mlnx-ofed-all"]),
])
def test_packages_of_a_provider(provider, names):
    found = state(ofed_provider=provider)["locked_packages"]
    assert [(item["name"], item["version"], item["hold"]) for item in found] == [(name, None, True) for name in names]


def test_packages_of_ones_own():
    found = state(ofed_provider="doca", ofed_hold=False, ofed_packages=[{"name": "doca-ofed", "version": "3.2.0"}, {"name": "mft", "hold": True}])
    assert [(item["name"], item["version"], item["hold"]) for item in found["locked_packages"]] == [("doca-ofed", "3.2.0", False), ("mft", None, True)]


@pytest.mark.parametrize("rule", ["pci", "guid", "fallback", "kernel"])
def test_the_rule_of_names(rule):
    found = state(ofed_persistent_names=rule)
    assert found["rdma_names"] == [{"name": rule}]
    content = next(item["content"] for item in found["files"] if item["path"] == "/etc/udev/rules.d/60-rdma-persistent-naming.rules")
    (line,) = [line for line in content.splitlines() if not line.startswith("#")]
    assert line == f'ACTION=="add", SUBSYSTEM=="infiniband", KERNEL!="hfi1*", PROGRAM="rdma_rename %k NAME_{rule.upper()}"'


@pytest.mark.parametrize("provider", ["detect", "inbox"])
def test_a_source_is_for_nvidias_packages(provider):
    source = {"url": "http://x/", "key": "no key", "fingerprint": "0" * 40}
    assert [item["path"] for item in state(ofed_provider=provider, ofed_source=source)["files"]] == [f"/etc/systemd/system/{PEERMEM}"]
    with pytest.raises(Exception, match="source doca: key: it is not one ASCII-armoured"):
        state(ofed_provider="doca", ofed_source=source)


@pytest.mark.parametrize(("variables", "words"), [
    ({"ofed_provider": "mofed"}, ["ofed_provider", "detect, inbox, doca, mlnx_ofed", "mofed"]),
    ({"ofed_replace": ["all"]}, ["ofed_replace", "inbox, doca, mlnx_ofed", "all"]),
    ({"ofed_gpudirect": True}, ["ofed_gpudirect is True", "quotes"]),
    ({"ofed_persistent_names": "onboard"}, ["ofed_persistent_names", "keep, pci, guid, fallback, kernel"]),
    ({"ofed_kernel_modules": {"ib_umad": "everywhere"}}, ["kernel_modules, ib_umad", "where", "everywhere"]),
    ({"ofed_kernel_modules": {"a;id": "all"}}, ["kernel_modules", "'a;id'"]),
    ({"ofed_provider": "doca", "ofed_packages": [{"name": "$(id)"}]}, ["locked_packages", "'$(id)'"]),
])
def test_wrong_input_is_named(variables, words):
    with pytest.raises(_declaration.DeclarationError) as raised:
        state(**variables)
    assert all(word in raised.value.message for word in words), raised.value.message
