# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a node is made of, as plain data for node_facts. Reads /sys and /proc, starts no program, changes nothing."""

from __future__ import annotations

import re
import socket

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, gpus, network, pci, rails, rdma
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

NODES = "/sys/devices/system/node"
CPUS = "/sys/devices/system/cpu"


def gpu_facts(machine: Machine) -> list[dict]:
    """Every GPU, in the order of PCI addresses."""
    return [
        {
            "address": gpu.address, "id": gpu.id, "numa_node": gpu.numa_node, "path": gpu.path, "driver": gpu.driver,
            "driver_version": machine.attribute(f"/sys/module/{gpu.driver}/version") or None if gpu.driver else None,
        }
        for gpu in gpus.gpus(machine)
    ]


def port_facts(machine: Machine) -> list[dict]:
    """Every port of every RDMA device."""
    return [_port(machine, port) for port in rdma.ports(machine)]


def _port(machine: Machine, port: rdma.Port) -> dict:
    sys = f"{rdma.DEVICES}/{port.device}"
    here = f"{sys}/ports/{port.number}"
    return {
        "name": port.name, "device": port.device, "port": port.number, "link_layer": port.link_layer or None,
        "state": port.state or None, "phys_state": port.phys_state or None, "rate": port.rate,
        "node_guid": machine.attribute(f"{sys}/node_guid") or None, "port_guid": _port_guid(machine.attribute(f"{here}/gids/0")),
        "lid": _hexadecimal(machine.attribute(f"{here}/lid")), "firmware": machine.attribute(f"{sys}/fw_ver") or None,
        "type": port.board[0] or None, "board": port.board[1] or None, "virtual": port.virtual, "interface": port.interface,
        "address": port.address, "path": port.path, "numa_node": port.numa_node,
        "driver": pci.driver(machine, f"{sys}/device"), "pcie": pci.link(machine, port.path), "counters": _counters(machine, here),
    }


def _port_guid(gid: str) -> str | None:
    """The lower half of the first GID of an InfiniBand port, in the form of node_guid."""
    groups = gid.split(":")
    return ":".join(groups[4:]) if len(groups) == 8 and any(group.strip("0") for group in groups[4:]) else None


def _hexadecimal(text: str) -> int | None:
    return int(text, 16) if re.fullmatch("0x[0-9a-f]{1,8}", text) else None


def _counters(machine: Machine, port: str) -> dict[str, int]:
    """What counts errors, of the InfiniBand specification's counters and of the adapter's own. Traffic is left out."""
    found = {}
    for folder in ("counters", "hw_counters"):
        for name in machine.names(f"{port}/{folder}"):
            value = machine.attribute(f"{port}/{folder}/{name}")
            if re.search("err|discard|downed|recovery|overrun|timeout|retry|out_of|rnr|cnp|nak", name) and re.fullmatch("[0-9]{1,20}", value):
                found[name] = int(value)
    return found


def rail_facts(machine: Machine, declared: dict) -> dict:
    """The rails in their order, and the GPUs at which there is none though others have one."""
    layout = rails.layout(machine, declared)
    listed = [
        {
            "index": rail.index, "name": rail.port.name, "device": rail.port.device, "port": rail.port.number,
            "interface": rail.port.interface, "address": rail.port.address, "gpu": rail.gpu.address if rail.gpu else None,
            "state": rail.port.state or None, "phys_state": rail.port.phys_state or None, "rate": rail.port.rate,
            **pci.link(machine, rail.port.path),
        }
        for rail in layout.rails
    ]
    return {
        "by": "affinity" if layout.by_affinity else "address", "rails": listed, "bare_gpus": [gpu.address for gpu in layout.bare],
        "silent_adapters": rdma.silent(machine),
    }


def interface_facts(machine: Machine) -> list[dict]:
    """Every interface but the loopback, with the addresses on it."""
    found = []
    for name in machine.names("/sys/class/net"):
        sys = f"/sys/class/net/{name}"
        if name == "lo" or not machine.exists(f"{sys}/"):
            continue  # such as bonding_masters, a file
        chain = pci.path(machine, f"{sys}/device")
        found.append({
            "name": name, "mac": machine.attribute(f"{sys}/address") or None, "state": machine.attribute(f"{sys}/operstate") or None,
            "mtu": pci.figure(machine.attribute(f"{sys}/mtu")), "speed_mbps": pci.figure(machine.attribute(f"{sys}/speed")),
            "driver": pci.driver(machine, f"{sys}/device"), "pci_address": chain[-1] if chain else None,
            "numa_node": pci.numa_node(machine, f"{sys}/device"), "ipv4": network.addresses(machine, name),
            "ipv6": _ipv6(machine, name),
        })
    return found


def _ipv6(machine: Machine, interface: str) -> list[str]:
    """proc(5), /proc/net/if_inet6: the address is 32 hexadecimal digits, the interface the last word."""
    found = []
    for line in (machine.text("/proc/net/if_inet6") or "").splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[5] == interface and re.fullmatch("[0-9a-f]{32}", fields[0]):
            found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0])))
    return found


def drive_facts(machine: Machine) -> list[dict]:
    """Every NVMe drive in the computer, in the order of serial numbers."""
    found = []
    for drive in block.drives(machine, block.mounts(machine)):
        sys = f"/sys/block/{drive.name}"
        chain = pci.path(machine, sys)
        found.append({
            "name": drive.name, "serial": drive.serial, "wwid": drive.wwid, "bytes": drive.size, "system": drive.system,
            "model": machine.attribute(f"{sys}/device/model") or None, "firmware": machine.attribute(f"{sys}/device/firmware_rev") or None,
            "pci_address": chain[-1] if chain[1:] else None,
        })
    return found


def memory_facts(machine: Machine) -> dict:
    """Sizes in MiB, huge pages by number."""
    found = _meminfo(machine.text("/proc/meminfo") or "")
    return {
        "total_mib": found.get("MemTotal", 0) >> 10, "available_mib": found.get("MemAvailable", 0) >> 10,
        "swap_mib": found.get("SwapTotal", 0) >> 10, "huge_pages": found.get("HugePages_Total", 0),
        "huge_page_kib": found.get("Hugepagesize", 0),
    }


def _meminfo(text: str) -> dict[str, int]:
    """Fields of meminfo, of the whole machine or of one node ("Node 0 MemTotal: …"), in KiB where they are sizes."""
    return {name: int(value) for name, value in re.findall(r"^(?:Node [0-9]+ )?(\w+): +([0-9]{1,15})\b", text, re.MULTILINE)}


def cpu_facts(machine: Machine) -> dict:
    """The processors, and which of them and how much memory each NUMA node has."""
    info = machine.text("/proc/cpuinfo") or ""
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    cpus = [name for name in machine.names(CPUS) if re.fullmatch("cpu[0-9]+", name)]
    places = {
        tuple(machine.attribute(f"{CPUS}/{cpu}/topology/{field}") for field in ("physical_package_id", "core_id")) for cpu in cpus
    } - {("", "")}
    nodes = []
    for name in sorted((name for name in machine.names(NODES) if re.fullmatch("node[0-9]+", name)), key=rdma.natural):
        nodes.append({
            "node": int(name[4:]), "cpus": machine.attribute(f"{NODES}/{name}/cpulist"),
            "memory_mib": _meminfo(machine.text(f"{NODES}/{name}/meminfo") or "").get("MemTotal", 0) >> 10,
            "distances": [int(word) for word in machine.attribute(f"{NODES}/{name}/distance").split() if re.fullmatch("[0-9]{1,3}", word)],
        })
    return {
        "model": model[1].strip() if model else None, "online": machine.attribute(f"{CPUS}/online") or None,
        "sockets": len({package for package, _core in places}), "cores": len(places), "threads": len(cpus), "numa_nodes": nodes,
    }


def virtualization_facts(machine: Machine) -> dict:
    """Whether the processor says that a hypervisor is beneath (CPUID leaf 1, ECX bit 31), and what the firmware calls the machine."""
    flags = re.search(r"^flags\s*:(.*)$", machine.text("/proc/cpuinfo") or "", re.MULTILINE)
    dmi = {field: machine.attribute(f"/sys/class/dmi/id/{field}") or None for field in ("sys_vendor", "product_name")}
    return {
        "virtual": bool(flags and "hypervisor" in flags[1].split()) or bool(machine.attribute("/sys/hypervisor/type")),
        "vendor": dmi["sys_vendor"], "product": dmi["product_name"], "iommu": bool(machine.names("/sys/class/iommu")),
    }


def kernel_facts(machine: Machine) -> dict:
    """Release and command line."""
    return {
        "release": machine.attribute("/proc/sys/kernel/osrelease") or None, "command_line": machine.attribute("/proc/cmdline"),
    }


def gathered(machine: Machine, subsets: list[str], declared: dict, address: str | None) -> dict:
    """The facts of the chosen subsets. `declared` says what a rail is, `address` is one of the private network."""
    sources = {
        "gpus": lambda: gpu_facts(machine),
        "rdma": lambda: port_facts(machine),
        "rails": lambda: rail_facts(machine, declared),
        "interfaces": lambda: interface_facts(machine),
        "drives": lambda: drive_facts(machine),
        "memory": lambda: memory_facts(machine),
        "cpu": lambda: cpu_facts(machine),
        "virtualization": lambda: virtualization_facts(machine),
        "kernel": lambda: kernel_facts(machine),
    }
    found = {name: gather() for name, gather in sources.items() if name in subsets}
    if "interfaces" in found:
        found["private_interface"] = network.interface_to(machine, address) if address else None
    return found
