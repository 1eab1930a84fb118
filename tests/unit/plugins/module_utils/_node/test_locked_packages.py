# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, package_sets
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import debconf_answers, locked_packages
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

DRIVER = "nvidia-driver-580-server-open"
NVRM = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder)\nGCC version:  gcc version 12.3.0\n"
OLD_NVRM = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sat Aug  5 03:41:00 UTC 2026\nGCC version:  gcc version 11.4.0 (Ubuntu)\n"


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def status(machine: Captured, **packages: str | tuple[str, str]) -> None:
    """Packages by name, with _ for -: a version, or the field Status and a version."""
    text = ""
    for name, said in packages.items():
        state, version = said if isinstance(said, tuple) else ("hold ok installed", said)
        text += f"Package: {name.replace('_', '-')}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n\n"
    machine.write(dpkg.STATUS, text)


def declared(*packages: dict) -> list[dict]:
    found = [{"version": None, "hold": True, "family": None, "running": "none", **package} for package in packages]
    package_sets.complete(found)
    return found


def check(machine: Captured, *packages: dict) -> list[tuple]:
    return [(item["name"], item["field"], item["is"], item["should"]) for item in locked_packages.check(machine, declared(*packages))]


def test_a_set_in_state_needs_no_program(machine):
    status(machine, a1="1.0", b1=("install ok installed", "2.0"))
    assert check(machine, {"name": "a1", "version": "1.0"}, {"name": "b1", "hold": False}) == []
    assert machine.ran == []


def test_each_difference_names_its_package(machine):
    status(machine, a1="2.0", b1=("install ok installed", "1.0"), c1=("hold ok config-files", "1.0"), d1="1.0", f1=("hold ok half-configured", "1"))
    names = [{"name": f"{letter}1", "version": "1.0"} for letter in "abcdef"]
    assert check(machine, *names, {"name": "d1", "hold": False}) == [
        ("a1", "version", "2.0", "1.0"), ("b1", "hold", False, True), ("c1", "installed", False, True), ("e1", "installed", False, True),
        ("f1", "installed", "half-configured", True), ("d1", "hold", True, False),
    ]


def test_an_interrupted_dpkg(machine):
    status(machine, a1="1.0")
    machine.write(f"{dpkg.JOURNAL}/0000", "")
    assert check(machine, {"name": "a1"}) == [("dpkg", "interrupted", 1, 0)]


def test_the_newest_version_is_asked_of_apt(machine):
    status(machine, a1="1.0", b1="1.0", c1="1.0")
    machine.answers["apt-cache"] = Completed(0, (
        "a1:\n  Installed: 1.0\n  Candidate: 1.1\n  Version table:\n     1.1 500\n        500 http://x jammy/main amd64 Packages\n"
        "b1:\n  Installed: 1.0\n  Candidate: (none)\n  Version table:\n"
    ))
    assert check(machine, {"name": "a1", "version": "newest"}, {"name": "b1", "version": "newest"}, {"name": "c1"}) == [
        ("a1", "version", "1.0", "1.1"),
    ]
    assert machine.ran == [("apt-cache", "policy", "--", "a1", "b1")]


def test_a_family_of_which_not_all_declare_a_version(machine):
    status(machine, nvidia_driver_580_server_open="580.105.08-0lambda0.22.04.1", nvidia_fabricmanager_570="570.148.08-1")
    found = list(locked_packages.check(machine, declared({"name": DRIVER}, {"name": "nvidia-fabricmanager-570"})))
    assert [(item["field"], (item["remedy"] == "manual")) for item in found] == [("family", True)]
    assert "nvidia-driver-580-server-open 580.105.08 and nvidia-fabricmanager-570 570.148.08" in found[0]["message"]
    assert check(machine, {"name": DRIVER}, {"name": "nvidia-fabricmanager-570", "family": "none"}) == []


@pytest.mark.parametrize("words", [NVRM, OLD_NVRM])
def test_what_runs_and_what_is_installed(machine, words):
    status(machine, nvidia_driver_580_server_open="580.105.08-0lambda0.22.04.1", linux_image_6_1_0_1_amd64="1")
    driver = {"name": DRIVER, "version": "580.105.08-0lambda0.22.04.1"}
    assert check(machine, driver) == []  # nothing is loaded: a node without GPUs
    machine.write("/proc/driver/nvidia/version", words.format("570.148.08"))
    (found,) = locked_packages.check(machine, declared(driver))
    assert (found["name"], found["field"], found["is"], found["should"]) == (DRIVER, "reboot", "570.148.08", "580.105.08")
    assert found["message"].startswith("reboot needed: driver 570.148.08 runs, 580.105.08 is installed")
    machine.write("/proc/driver/nvidia/version", words.format("580.105.08"))
    assert check(machine, driver) == []


def test_the_kernel_that_runs(machine):
    machine.write(dpkg.STATUS, "".join(
        f"Package: linux-image-{name}\nStatus: hold ok installed\nVersion: 5\n\n" for name in ("5.15.0-105-generic", "unsigned-5.15.0-105-generic")
    ))
    machine.write("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n")
    for name in ("linux-image-5.15.0-105-generic", "linux-image-unsigned-5.15.0-105-generic"):
        assert check(machine, {"name": name, "running": "kernel"}) == [(name, "reboot", "5.15.0-91-generic", "5.15.0-105-generic")]


# Families


@pytest.mark.parametrize(("name", "family"), [
    (DRIVER, "driver"), ("libnvidia-compute-580-server:i386", "driver"), ("nvidia-fabricmanager", "driver"), ("nvidia-imex-580", "driver"),
    ("nvidia-dkms-570-server-open", "driver"), ("cuda-drivers-580", "driver"), ("libnvidia-nscq-570", "driver"),
    ("nvidia-container-toolkit-base", "container toolkit"), ("libnvidia-container1", "container toolkit"), ("libnccl-dev", "NCCL"),
    ("nvidia-settings", "none"), ("nvidia-modprobe", "none"), ("nvidia-driver-assistant", "none"), ("nvidia-cuda-toolkit", "none"),
    ("nvidia-firmware-580-server-580.105.08", "none"), ("nvidia-driver-local-repo-ubuntu2204-580.105.08", "none"), ("libcudnn9-cuda-12", "none"),
])
def test_families(name, family):
    assert package_sets.family_of(name) == family


@pytest.mark.parametrize(("one", "other"), [
    (DRIVER, "nvidia-driver-570-server-open"), ("nvidia-fabricmanager-570", "nvidia-fabricmanager"), (DRIVER, "nvidia-driver-575-open"),
])
def test_branches_of_one_stem(one, other):
    assert package_sets.stem(one) == package_sets.stem(other)


@pytest.mark.parametrize("name", ["libnccl2", "python3-torch", "openmpi-bin", "linux-image-5.15.0-105-generic"])
def test_other_names_are_their_own_stem(name):
    assert package_sets.stem(name) == name


def test_one_package_says_which_driver_runs():
    found = declared({"name": "libnccl2"}, {"name": "nvidia-utils-580-server"}, {"name": DRIVER}, {"name": "nvidia-dkms-580-server-open"})
    assert [package["running"] for package in found] == ["none", "none", "driver", "none"]
    package_sets.complete(found)
    assert [package["running"] for package in found] == ["none", "none", "driver", "none"]


# Answers


def answers(machine: Captured, value: str = "ACCEPT") -> list[tuple]:
    found = debconf_answers.check(machine, [{"name": "cudnn/license_preseed", "value": value}])
    return [(item["name"], item["field"], item["is"], item["should"]) for item in found]


@pytest.mark.parametrize(("text", "is_"), [
    (None, None),
    ("Name: cudnn/license_preseed\nTemplate: cudnn/license_preseed\nOwners: cudnn\n\nName: other/x\nValue: ACCEPT\n", None),
    ("Name: cudnn/license_preseed2\nValue: ACCEPT\n\nName: cudnn/license_preseed\nValue: DECLINE\nOwners: cudnn\n", "DECLINE"),
    ("Name: cudnn/license_preseed\nTemplate: cudnn/license_preseed\nValue: \n", ""),
])
def test_an_answer_that_is_not_given(machine, text, is_):
    if text is not None:
        machine.write(debconf_answers.DATABASE, text)
    assert answers(machine) == [("cudnn/license_preseed", "value", is_, "ACCEPT")]


def test_an_answer_that_is_given(machine):
    machine.write(debconf_answers.DATABASE, "Name: a/b\n\nName: cudnn/license_preseed\nTemplate: x\nValue: ACCEPT\nOwners: cudnn\nFlags: seen\n\n")
    assert answers(machine) == []
