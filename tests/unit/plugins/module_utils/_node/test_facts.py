# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import facts
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine
from ansible_collections.onecc.cluster.plugins.modules import node_facts
from ansible_collections.onecc.cluster.tests.unit.sysfs import Sysfs, address, rail_path

CPUINFO = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu vme hypervisor avx\n"


@pytest.fixture
def machine(tmp_path):
    return Sysfs(tmp_path)


def test_gpus(machine):
    machine.gpu_node()
    machine.pci("pci0000:c0/0000:c0:01.0/0000:c1:00.0", vendor="0x10de", **{"class": "0x068000"})  # an NVSwitch
    machine.write("/sys/module/nvidia/version", "570.148.08\n")
    found = facts.gpu_facts(machine)
    assert len(found) == 8
    assert found[0] == {
        "address": "0000:14:00.0", "id": "0x2330", "numa_node": 0, "driver": "nvidia", "driver_version": "570.148.08",
        "path": ["pci0000:10", "0000:10:01.0", "0000:11:00.0", "0000:12:00.0", "0000:14:00.0"],
    }


def test_a_gpu_without_a_driver(machine):
    machine.gpu("pci0000:00/0000:00:04.0", driver=None, numa=-1)
    gpu, = facts.gpu_facts(machine)
    assert gpu["driver"] is gpu["driver_version"] is gpu["numa_node"] is None


def test_a_port(machine):
    folder = machine.hca("mlx5_3", rail_path(1), numa=1, net="ib3")
    machine.write(f"{folder}/ports/1/counters/symbol_error", "7\n")
    machine.write(f"{folder}/ports/1/counters/port_xmit_data", "1\n")
    machine.write(f"{folder}/ports/1/hw_counters/out_of_sequence", "2\n")
    port, = facts.port_facts(machine)
    assert port == {
        "name": "mlx5_3", "device": "mlx5_3", "port": 1, "link_layer": "InfiniBand", "state": "ACTIVE", "phys_state": "LinkUp", "rate": 400,
        "node_guid": "a088:c203:00ab:0001", "port_guid": "a088:c203:00ab:0001", "lid": 42, "firmware": "28.39.1002", "type": "MT4129",
        "board": "MT_0000000838", "virtual": False, "interface": "ib3", "address": address(rail_path(1)), "path": rail_path(1).split("/"),
        "numa_node": 1, "driver": "mlx5_core", "pcie": {"width": 16, "speed": 32, "max_width": 16, "max_speed": 32},
        "counters": {"symbol_error": 7, "link_error_recovery": 0, "link_downed": 0, "port_rcv_errors": 0, "out_of_sequence": 2},
    }


def test_a_soft_roce_port(machine):
    machine.rxe("mlx5_0", "rail0")
    port, = facts.port_facts(machine)
    assert (port["interface"], port["rate"], port["state"], port["link_layer"]) == ("rail0", 2.5, "ACTIVE", "Ethernet")
    assert port["address"] is port["type"] is port["board"] is port["firmware"] is port["numa_node"] is None and port["path"] == []
    assert not any(port["pcie"].values())


def test_the_interface_of_a_port_among_several(machine):
    """One of two ports of a function, beside representors of virtual functions and a child of IP over InfiniBand."""
    folder = machine.hca("mlx4_0", "pci0000:00/0000:00:02.0", ports=2)
    device = folder.rpartition("/infiniband")[0]
    machine.net("eth9", f"{device}/net/eth9", phys_port_name="pf0vf1")
    machine.net("ib8", f"{device}/net/ib8")
    machine.net("ib8.8001", f"{device}/net/ib8.8001")
    machine.net("ib9", f"{device}/net/ib9", dev_port=1)
    assert [(port["name"], port["interface"]) for port in facts.port_facts(machine)] == [("mlx4_0:1", "ib8"), ("mlx4_0:2", "ib9")]


def test_rails(machine):
    machine.gpu_node(broken={2: {"gone": True}})
    found = facts.rail_facts(machine, {})
    assert (found["by"], found["bare_gpus"], len(found["rails"])) == ("affinity", ["0000:34:00.0"], 7)
    assert found["rails"][2]["index"] == 3 and found["rails"][2]["gpu"] == "0000:44:00.0"
    machine.rxe("rxe0", "rail0")
    assert facts.rail_facts(machine, {"devices": ["rxe0"]})["by"] == "address"


def test_interfaces(machine):
    machine.gpu_node()
    machine.write("/sys/class/net/bonding_masters", "\n")
    machine.net("lo", "/sys/devices/virtual/net/lo")
    machine.net("docker0", "/sys/devices/virtual/net/docker0", up=False, address="02:42:00:00:00:01", speed="-1", mtu="1500")
    machine.write("/proc/net/if_inet6", "fe800000000000000000000000000001 03 40 20 80 docker0\nshort\n")
    machine.write("/proc/net/route", "Iface\neno1\t0000130A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n")
    found = facts.gathered(machine, ["interfaces"], {}, "10.19.0.2")
    by_name = {item["name"]: item for item in found["interfaces"]}
    assert sorted(by_name) == ["docker0", "eno1", *(f"ib{i}" for i in range(8))]
    assert by_name["docker0"] == {
        "name": "docker0", "mac": "02:42:00:00:00:01", "state": "down", "mtu": 1500, "speed_mbps": None, "driver": None,
        "pci_address": None, "numa_node": None, "ipv4": [], "ipv6": ["fe80::1"],
    }
    assert by_name["eno1"]["pci_address"] == "0000:a1:00.0" and by_name["eno1"]["driver"] == "mlx5_core"
    assert found["private_interface"] == "eno1"
    assert facts.gathered(machine, ["interfaces"], {}, None)["private_interface"] is None


def test_drives(machine):
    machine.drive("nvme1n1", "S1")
    machine.drive("nvme0n1", "S2")
    machine.write("/sys/block/nvme0n1/device/model", "SAMSUNG MZQL23T8HCLS-00A07              \n")
    machine.mount("nvme0n1", "/")
    first, second = facts.drive_facts(machine)
    assert (first["name"], first["serial"], first["bytes"], first["system"]) == ("nvme1n1", "S1", 1 << 30, False)
    assert second["model"] == "SAMSUNG MZQL23T8HCLS-00A07" and second["system"] is True and first["model"] is None


def test_memory_and_processors(machine):
    machine.write("/proc/meminfo", "MemTotal:       1887436800 kB\nSwapTotal:             0 kB\nHugePages_Total:       4\nHugepagesize:       2048 kB\n")
    machine.write("/proc/cpuinfo", CPUINFO)
    machine.write("/sys/devices/system/cpu/online", "0-3\n")
    for cpu in range(4):
        machine.write(f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", f"{cpu // 2}\n")
        machine.write(f"/sys/devices/system/cpu/cpu{cpu}/topology/core_id", "0\n")
    for node in (0, 1, 10):
        machine.write(f"/sys/devices/system/node/node{node}/cpulist", "0-1\n")
        machine.write(f"/sys/devices/system/node/node{node}/meminfo", f"Node {node} MemTotal:       943718400 kB\n")
        machine.write(f"/sys/devices/system/node/node{node}/distance", "10 21 31\n")
    assert facts.memory_facts(machine) == {
        "total_mib": 1843200, "available_mib": 0, "swap_mib": 0, "huge_pages": 4, "huge_page_kib": 2048,
    }
    found = facts.cpu_facts(machine)
    assert (found["model"], found["sockets"], found["cores"], found["threads"]) == ("Intel(R) Xeon(R) Platinum 8480+", 2, 2, 4)
    assert [node["node"] for node in found["numa_nodes"]] == [0, 1, 10]
    assert found["numa_nodes"][0] == {"node": 0, "cpus": "0-1", "memory_mib": 921600, "distances": [10, 21, 31]}


def test_virtualization_and_kernel(machine):
    assert facts.virtualization_facts(machine) == {"virtual": False, "vendor": None, "product": None, "iommu": False}
    machine.write("/proc/cpuinfo", CPUINFO)
    machine.write("/sys/class/dmi/id/sys_vendor", "QEMU\n")
    machine.write("/proc/sys/kernel/osrelease", "6.8.0-60-generic\n")
    machine.write("/proc/cmdline", "root=/dev/vda1 iommu=pt\n")
    assert facts.virtualization_facts(machine) == {"virtual": True, "vendor": "QEMU", "product": None, "iommu": False}
    assert facts.kernel_facts(machine) == {"release": "6.8.0-60-generic", "command_line": "root=/dev/vda1 iommu=pt"}


def test_an_empty_machine(machine):
    found = facts.gathered(machine, node_facts.SUBSETS, {}, "10.0.0.1")
    assert list(found) == [*node_facts.SUBSETS, "private_interface"]
    assert found["gpus"] == found["rdma"] == found["interfaces"] == found["drives"] == []
    json.dumps(found)


def test_this_machine():
    found = facts.gathered(Machine(), node_facts.SUBSETS, {}, None)
    assert found["memory"]["total_mib"] > 0 and found["cpu"]["threads"] > 0 and found["kernel"]["release"]
    json.dumps(found)


def test_only_what_is_asked_for(machine):
    assert list(facts.gathered(machine, ["kernel", "gpus"], {}, "10.0.0.1")) == ["gpus", "kernel"]


@pytest.mark.parametrize(("params", "words"), [
    ({"private_address": "head-1"}, "private_address is 'head-1'; allowed is an IPv4 address"),
    ({"rails": {"devices": ["a b"], "exclude": []}}, "rails: devices has 'a b'"),
    ({}, None),
])
def test_options(params, words):
    said = node_facts.wrong({"private_address": None, "rails": {"devices": [], "exclude": []}, **params})
    assert (said or "").startswith(words or "nothing") if words else said is None
