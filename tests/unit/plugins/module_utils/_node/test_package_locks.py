# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, package_locks
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

SOURCES = """\
Package files:
 100 /var/lib/dpkg/status
     release a=now
1001 http://archive.lambdalabs.com/ubuntu jammy/main amd64 Packages
     release v=22.04,o=lambdalabs.com,a=jammy,n=jammy,l=lambdalabs.com,c=main,b=amd64
     origin archive.lambdalabs.com
 500 https://linux.mellanox.com/public/repo/doca/3.2.0/ubuntu22.04/x86_64 ./ Packages
     release c=
     origin linux.mellanox.com
 500 http://archive.ubuntu.com/ubuntu jammy/main amd64 Packages
     release v=22.04,o=Ubuntu,a=jammy,n=jammy,l=Ubuntu,c=main,b=amd64
     origin archive.ubuntu.com
Pinned packages:
"""
LAMBDA = "       1001 http://archive.lambdalabs.com/ubuntu jammy/main amd64 Packages\n"
DOCA = "        500 https://linux.mellanox.com/public/repo/doca/3.2.0/ubuntu22.04/x86_64 ./ Packages\n"
UBUNTU = "        500 http://archive.ubuntu.com/ubuntu jammy/main amd64 Packages\n"
STATUS = "        100 /var/lib/dpkg/status\n"
# By package: state, version, and the version table of apt-cache policy.
NODE = {
    "libnccl2": ("hold ok installed", "2.26.2-0lambda0.22.04.1", [("2.26.2-0lambda0.22.04.1", LAMBDA)]),
    # Its version is gone from the rolling source.
    "nvidia-utils-570-server": ("install ok installed", "570.124.06-0lambda0.22.04.1", [("570.148.08-0lambda0.22.04.1", LAMBDA)]),
    "nvidia-gone": ("install ok installed", "1.0-0lambda0.22.04.1", []),
    "mft": ("install ok installed", "4.34.0", [("4.34.0", DOCA)]),
    "bash": ("install ok installed", "5.1-6ubuntu1", [("5.1-6ubuntu1", UBUNTU)]),
    "old-lambda": ("deinstall ok config-files", "1", [("1", LAMBDA)]),
    "linux-image-5.15.0-105-generic": ("install ok installed", "5.15.0-105.115", [("5.15.0-105.115", UBUNTU)]),
    "linux-image-5.15.0-91-generic": ("install ok installed", "5.15.0-91.101", [("5.15.0-91.101", UBUNTU)]),
    "linux-headers-5.15.0-105": ("install ok installed", "5.15.0-105.115", [("5.15.0-105.115", UBUNTU)]),
    "linux-generic": ("install ok installed", "5.15.0.105.102", [("5.15.0.105.102", UBUNTU)]),
    "linux-base": ("install ok installed", "4.5", [("4.5", UBUNTU)]),
    "linux-libc-dev": ("install ok installed", "5.15.0-105.115", [("5.15.0-105.115", UBUNTU)]),
}


class Node(Captured):
    def run(self, *argv: str) -> Completed:
        if argv == ("apt-cache", "policy"):
            return Completed(0, SOURCES)
        if argv[:3] == ("apt-cache", "policy", "--"):
            table = ""
            for name in argv[3:]:
                table += f"{name}:\n  Installed: {NODE[name][1]}\n  Candidate: {NODE[name][1]}\n  Version table:\n"
                table += "".join(f"     {version} 500\n{source}" for version, source in NODE[name][2])
                table += f" *** {NODE[name][1]} 100\n{STATUS}" if NODE[name][1] not in dict(NODE[name][2]) else ""
            return Completed(0, table)
        return super().run(*argv)


@pytest.fixture
def node(tmp_path):
    machine = Node(tmp_path)
    machine.write(dpkg.STATUS, "\n".join(
        f"Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: {version}\n" for name, (status, version, _table) in NODE.items()
    ))
    machine.write("/proc/sys/kernel/osrelease", "5.15.0-105-generic\n")
    machine.write("/etc/os-release", 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n')
    machine.answers = {"dpkg": Completed(0, "amd64\n"), "ofed_info": Completed(127, "", "ofed_info: not found")}
    return machine


def test_a_lock(node):
    node.write("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.148.08  Release Build\n")
    node.answers["ofed_info"] = Completed(0, "OFED-internal-25.10-1.2.8:\n")
    node.write("/sys/class/infiniband/mlx5_0/fw_ver", "28.39.1002\n")
    node.write("/sys/class/infiniband/mlx5_0/board_id", "MT_0000000838\n")
    lock = package_locks.read(node, [])
    assert [(item["name"], item["origin"], item["hold"]) for item in lock.pop("packages")] == [
        ("libnccl2", "lambdalabs.com", True), ("linux-generic", "Ubuntu", False), ("linux-headers-5.15.0-105", "Ubuntu", False),
        ("linux-image-5.15.0-105-generic", "Ubuntu", False), ("mft", "linux.mellanox.com", False), ("nvidia-gone", None, False),
        ("nvidia-utils-570-server", None, False),
    ]
    assert lock == {
        "schema": 1, "system": "ubuntu 22.04", "architecture": "amd64", "kernel": "5.15.0-105-generic", "driver": "570.148.08",
        "ofed": "OFED-internal-25.10-1.2.8", "firmware": [{"device": "mlx5_0", "board": "MT_0000000838", "version": "28.39.1002"}],
    }


def test_a_lock_of_chosen_packages(node):
    assert [item["name"] for item in package_locks.read(node, ["linux-[bl]*", "bash", "old-*"])["packages"]] == [
        "bash", "linux-base", "linux-libc-dev",
    ]


def test_a_bare_node(tmp_path):
    machine = Captured(tmp_path)
    machine.answers = {name: Completed(127, "") for name in ("apt-cache", "dpkg", "ofed_info")}
    assert package_locks.read(machine, []) == {
        "schema": 1, "system": "", "architecture": "", "kernel": "", "driver": None, "ofed": None, "firmware": [], "packages": [],
    }


def test_the_text_is_yaml_with_a_line_a_package(node):
    lock = package_locks.read(node, [])
    lock["packages"][0]["version"] = "1.10"
    lock["packages"][1]["origin"] = 'ä: "x" # {{ y }}\n- z'
    text = package_locks.text(lock)
    assert yaml.safe_load(text) == lock
    assert len([line for line in text.splitlines() if line.startswith("  - ")]) == len(lock["packages"])
    assert json.dumps(lock["packages"][2]) in text


@pytest.mark.parametrize(("name", "right"), [
    ("linux-image-6.8.0-60-generic", True), ("linux-image-6.8.0-6-generic", False), ("linux-modules-6.8.0-60-generic", True),
])
def test_packages_of_the_running_kernel(name, right):
    assert package_locks.of_running_kernel(name, "6.8.0-60-generic") is right
