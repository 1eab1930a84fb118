# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import ofed_change
from ansible_collections.onecc.cluster.plugins.module_utils._node import ofed
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import ofed_providers, rdma_names
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.rdma_stack import DOCA, INBOX, MLNX_OFED, Node


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def without(packages: dict, *names: str) -> dict:
    return {name: version for name, version in packages.items() if name not in names}


def check(node: Node, name: str = "detect", *replace: str) -> list[dict]:
    return list(ofed_providers.check(node, [{"name": name, "replace": list(replace)}]))


# Who provides it


@pytest.mark.parametrize(("packages", "text"), [(INBOX, "inbox 39.0-1"), (DOCA, "doca 25.10-1.2.8.1"), (MLNX_OFED, "mlnx_ofed 24.10-0.7.0.1")])
def test_dpkg_tells(node, packages, text):
    node.installed(packages)
    assert str(ofed.Stack(node)) == text
    assert node.ran == []


@pytest.mark.parametrize("packages", [{}, {"openmpi-bin": "4.1.2"}])
def test_there_is_none(node, packages):
    node.installed(packages)
    assert ofed.Stack(node).provider is None
    assert check(node, "doca") == [] and check(node) == []


@pytest.mark.parametrize("state", ["deinstall ok config-files", "install ok half-configured", "install ok unpacked"])
def test_what_is_not_whole_is_not_there(node, state):
    node.installed(DOCA, state)
    assert ofed.Stack(node).provider is None


@pytest.mark.parametrize(("packages", "said", "provider"), [
    (without(DOCA, "doca-ofed", "doca-ofed-userspace"), "OFED-internal-25.10-1.2.8:\n", "doca"),
    (without(MLNX_OFED, "mlnx-ofed-all"), "MLNX_OFED_LINUX-24.10-0.7.0.0:\n", "mlnx_ofed"),
    ({"libibverbs1": "2410mlnx54-1.2410068"}, "", "mlnx_ofed"),
    ({"ofed-scripts": "25.10.OFED.25.10.1.2.8"}, "OFED-internal-25.10-1.2.8:\n", "doca"),
])
def test_without_a_metapackage_ofed_info_is_asked(node, packages, said, provider):
    node.installed(packages)
    node.says(said)
    assert ofed.Stack(node).provider == provider
    assert node.ran == [("ofed_info", "-s")]


# What is declared


def test_any_provider_will_do_where_none_is_declared(node):
    for packages in (INBOX, DOCA, MLNX_OFED):
        node.installed(packages)
        assert check(node) == []


def test_the_declared_provider(node):
    node.installed(DOCA)
    assert check(node, "doca") == []


def test_another_provider_is_refused_until_it_is_named(node):
    node.installed(MLNX_OFED)
    (found,) = check(node, "doca", "inbox")
    assert (found["field"], found["is"], found["should"], (found["remedy"] == "manual")) == ("provider", "mlnx_ofed", "doca", True)
    assert "mlnx_ofed 24.10-0.7.0.1" in found["message"] and "until ofed_replace names mlnx_ofed" in found["message"]
    (found,) = check(node, "doca", "inbox", "mlnx_ofed")
    assert found["remedy"] != "manual" and "ofed_replace" not in found["message"]


# What runs


@pytest.mark.parametrize("version", ["25.10-1.2.8", "25.10-1.2.8.1"])
def test_the_installed_modules_run(node, version):
    node.installed(DOCA)
    node.loaded(version)
    assert check(node) == []


@pytest.mark.parametrize(("packages", "version", "words"), [
    (DOCA, "24.10-0.7.0", "mlx5_core 24.10-0.7.0 runs, doca 25.10-1.2.8.1 is installed; if that does not help, see `dkms status`"),
    (DOCA, "25.10-1.2.80", "mlx5_core 25.10-1.2.80 runs"),
    ({**DOCA, "mlnx-ofed-kernel-dkms": "25.10.OFED.25.10.1.2.81-1", "ofed-scripts": "1", "mlnx-ofed-kernel-utils": "1"}, "25.10-1.2.8",
     "doca 25.10-1.2.81 is installed"),
    (DOCA, None, "mlx5_core of the kernel itself runs, doca"),
    (DOCA, "5.15.0-91-generic", "mlx5_core of the kernel itself runs"),
    (DOCA, "5.0-0", "mlx5_core of the kernel itself runs"),
    (INBOX, "24.10-0.7.0", "mlx5_core 24.10-0.7.0 runs, inbox 39.0-1 is installed"),
])
def test_other_modules_run(node, packages, version, words):
    node.installed(packages)
    node.loaded(version)
    (found,) = check(node)
    assert found["field"] == "reboot" and found["message"].startswith("reboot needed: ") and words in found["message"]


@pytest.mark.parametrize(("packages", "version"), [
    (INBOX, None), (INBOX, "5.0-0"), (INBOX, "6.8.0-45-generic"), ({}, "24.10-0.7.0"),
    (without(DOCA, "mlnx-ofed-kernel-dkms"), None),  # the libraries alone
])
def test_modules_that_belong_together(node, packages, version):
    node.installed(packages)
    node.says("OFED-internal-25.10-1.2.8:\n")
    node.loaded(version)
    assert check(node) == []


def test_a_provider_that_is_to_change_needs_no_reboot_yet(node):
    node.installed(INBOX)
    node.loaded("24.10-0.7.0")
    assert [item["field"] for item in check(node, "doca")] == ["provider"]


# What a change takes


def policy(**offered: str) -> Completed:
    return Completed(0, "".join(
        f"{name.replace('_', '-')}:\n  Installed: x\n  Candidate: x\n  Version table:\n"
        + "".join(f" *** {version} 500\n        500 http://x jammy/main amd64 Packages\n" for version in versions.split())
        for name, versions in offered.items()
    ))


def test_from_the_distribution_nothing_is_removed(node):
    node.installed(INBOX)
    change = ofed_change.change(node, "inbox", "doca")
    assert (change.remove, change.back) == ([], {})
    assert "remove nothing" in str(change)


def test_from_one_release_of_nvidia_to_the_other(node):
    node.installed(MLNX_OFED)
    change = ofed_change.change(node, "mlnx_ofed", "doca")
    assert (change.remove, change.back) == (["knem-modules-5.15.0-91-generic", "mlnx-ofed-all"], {})
    assert str(change) == "remove 2 packages (knem-modules-5.15.0-91-generic, mlnx-ofed-all)"
    node.installed(DOCA)
    assert ofed_change.change(node, "doca", "mlnx_ofed").remove == ["doca-ofed", "doca-ofed-userspace"]
    assert node.ran == []


def test_back_to_the_distribution(node):
    node.installed(DOCA)
    node.answers["apt-cache"] = policy(
        rdma_core="2510mlnx61-1.2510128 39.0-1", libibverbs1="2510mlnx61-1.2510128 39.0-1", perftest="25.10.0-0.128.gce1e6b0.2510128 4.4+0.5-1",
        ucx="1.20.0-1.2510128",
    )
    change = ofed_change.change(node, "doca", "inbox")
    assert change.back == {"libibverbs1": "39.0-1", "perftest": "4.4+0.5-1", "rdma-core": "39.0-1"}
    assert change.remove == [
        "doca-ofed", "doca-ofed-userspace", "mft", "mlnx-ofed-kernel-dkms", "mlnx-ofed-kernel-utils", "mlnx-tools", "ofed-scripts", "ucx",
    ]
    (asked,) = node.ran
    assert set(asked[3:]) == {"rdma-core", "libibverbs1", "perftest", "ucx"}
    assert "take back to the distribution's version 3 packages (libibverbs1, perftest, rdma-core)" in str(change)


def test_a_long_list_is_cut(node):
    assert str(ofed_change.Change([f"p{number:02}" for number in range(30)], {})).endswith("p10, p11, …)")


# Names of devices


@pytest.mark.parametrize(("rule", "names", "others"), [
    ("kernel", ["mlx5_0", "bnxt_re0"], []),
    ("kernel", ["ibp12s0", "mlx5_1"], ["ibp12s0"]),
    ("kernel", ["roceo1"], ["roceo1"]),
    ("pci", ["ibp12s0", "rocep5s0f1"], []),
    ("pci", ["ibP1p12s0f0"], []),
    ("pci", ["mlx5_0", "ibp12s0"], ["mlx5_0"]),
    ("pci", ["ibx525400c0fe123455"], ["ibx525400c0fe123455"]),
    ("guid", ["ibx525400c0fe123455"], []),
    ("guid", ["mlx5_0"], ["mlx5_0"]),
    ("fallback", ["ibp12s0", "roceo1"], []),
    ("fallback", ["mlx5_0", "roceo1"], ["mlx5_0"]),
])
def test_names(node, rule, names, others):
    for number, name in enumerate(names):
        node.adapter(name, number=number)
    node.soft("mlx5_9")
    node.soft("rxe0")
    found = list(rdma_names.check(node, [{"name": rule}]))
    assert [(item["field"], item["is"], item["should"]) for item in found] == ([("reboot", others, rule)] if others else [])
    assert all("reboot needed" in item["message"] and name in item["message"] for item in found for name in others)
