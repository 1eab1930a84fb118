# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The files that tell NCCL and MPI which devices to use, as a declaration and the node's own rails and routes make them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import gpudirect, nccl_conf, network, rails, rdma
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds.blocks import blocks_of, replaced, spans
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# Where a declared topology file is put.
TOPOLOGY = "/etc/nccl-topology.xml"
# Read by all, written by root.
MODE = 0o644


class Wanted:
    """What a node is to have: `settings` (name, value, reason) for the block of NCCL's file, and whole files by path.

    `kept` are lines of the platform's that already say what a setting of ours would; `refused` are differences that nobody but
    a person mends.
    """

    def __init__(self) -> None:
        self.settings: list[dict] = []
        self.files: dict[str, str | None] = {}
        self.kept: list[nccl_conf.Line] = []
        self.refused: list[dict] = []


def wanted(machine: Machine, declared: dict) -> Wanted | None:
    """Resolves a declaration on this node.

    None where rails are declared and there are none: NCCL's jobs run where the rails are, and mpirun would hand a head node's
    settings on to nodes whose interfaces have other names.
    """
    path, found = declared["path"], Wanted()
    ports = [rail.port for rail in rails.rails(machine, declared["rails"])] if declared.get("rails") is not None else []
    if declared.get("rails") is not None and not ports:
        return None
    interface = network.interface_to(machine, declared["address"]) if declared.get("address") else None
    settings = {}
    if ports:
        settings["NCCL_IB_HCA"] = "=" + ",".join(port.name for port in ports), "The rails of this node, by their exact names."
    if interface:
        settings["NCCL_SOCKET_IFNAME"] = f"={interface}", "The interface of the private network, by its exact name."
    if declared.get("sha256"):
        absent = [address for address in declared["addresses"] if not machine.exists(f"/sys/bus/pci/devices/{address}")]
        if absent:
            found.refused.append(difference(
                path, "topology", absent, [], f"{path}: the declared topology names {', '.join(absent)}, which this node does not "
                "have. It is another machine's", remedy="manual",
            ))
        else:
            found.files[TOPOLOGY] = declared["sha256"]
            settings["NCCL_TOPO_FILE"] = TOPOLOGY, "The declared topology. Each PCI address in it is on this node."
    settings.update((item["name"], (item["value"], item["reason"])) for item in declared.get("settings") or [])
    for line in foreign(machine, path):
        if not nccl_conf.PLAIN.fullmatch(line.text):
            message = f"{path} line {line.number}, which is not ours, is not what NCCL reads it as: {line.text[:80]!a}"
            found.refused.append(difference(path, f"line {line.number}", line.text, None, message, remedy="manual"))
        value, _reason = settings.pop(line.name, (None, ""))
        if value is not None and alike(machine, line, value):
            found.kept.append(line)
        elif value is not None:
            found.refused.append(difference(
                path, line.name, line.value, value, f"{path} line {line.number}, which is not ours, sets {line.name} to "
                f"{line.value[:200]!a}, declared is {value}. Remove the line, or declare its value", remedy="manual",
            ))
    found.settings = [{"name": name, "value": value, "reason": reason} for name, (value, reason) in settings.items()]
    if declared.get("profile") and (ports or interface):
        found.files[declared["profile"]] = profile(ports, interface)
    return found


def foreign(machine: Machine, path: str) -> list[nccl_conf.Line]:
    """The lines of NCCL's file that are not in a block of ours."""
    lines = (machine.text(path, "surrogateescape") or "").split("\n")
    for begin, end in spans(lines):
        lines[begin:end + 1] = [""] * (end + 1 - begin)
    return nccl_conf.parse("\n".join(lines).encode("utf-8", "surrogateescape"))


def placed(before: str, content: str) -> str:
    """NCCL's file with the settings in the block of ours; without a block where there are none."""
    if content:
        return replaced(before, content)
    lines = before.split("\n")
    for begin, end in reversed(spans(lines)):
        del lines[begin:end + 1]
    return "\n".join(lines)


def alike(machine: Machine, line: nccl_conf.Line, value: str) -> bool:
    """Whether a line has the same effect as a value on this node: for the two lists, what they take of it."""
    if line.name == "NCCL_IB_HCA":
        names = [(port.device, port.number) for port in rdma.ports(machine)]
    elif line.name == "NCCL_SOCKET_IFNAME":
        names = [(name, None) for name in machine.names("/sys/class/net")]
    else:
        return line.value == value
    return [nccl_conf.takes(line.value, *name) for name in names] == [nccl_conf.takes(value, *name) for name in names]


def profile(ports: list[rdma.Port], interface: str | None) -> str:
    """What a shell reads at login, for MPI. Open MPI's run-time system and its TCP transport take the interface."""
    given = {
        "UCX_NET_DEVICES": ",".join(f"{port.device}:{port.number}" for port in ports),
        "OMPI_MCA_oob_tcp_if_include": interface,
        "OMPI_MCA_btl_tcp_if_include": interface,
    }
    lines = [f'export {name}="${{{name}:-{value}}}"\n' for name, value in given.items() if value]
    return "# Managed by onecc.cluster: the next site.yml undoes what is changed here. What is set already stays.\n" + "".join(lines)


def check(machine: Machine, declared: dict) -> Iterator[dict]:
    should = wanted(machine, declared)
    return compare(machine, declared, should) if should else iter(())


def compare(machine: Machine, declared: dict, should: Wanted) -> Iterator[dict]:
    """How a node differs from what it is to have."""
    path = declared["path"]
    yield from should.refused
    have = blocks_of(machine.text(path, "surrogateescape") or "")
    text = nccl_conf.render(should.settings)
    if have != ([text] if text else []):
        is_ = {name: line.value for name, line in nccl_conf.settings(nccl_conf.parse("".join(have).encode("utf-8", "surrogateescape"))).items()}
        values = {item["name"]: item["value"] for item in should.settings}
        differing = [name for name in {**is_, **values} if is_.get(name) != values.get(name)]
        said = [f"{name} is {is_.get(name, 'not set')}, declared is {values.get(name, 'nothing')}" for name in differing]
        yield difference(path, "settings", is_, values, f"{path}: {'; '.join(said) or 'the block of onecc.cluster is not as written'}")
    if text and have and not mode(machine, path) & 0o004:
        yield difference(path, "mode", f"{mode(machine, path):04o}", f"{MODE:04o}", f"{path}: only root reads it")
    for name, content in should.files.items():
        data = machine.data(name)
        same = data is not None and (hashlib.sha256(data).hexdigest() if name == TOPOLOGY else data.decode("utf-8", "replace")) == content
        if not same or mode(machine, name) & 0o777 != MODE:
            yield difference(path, name, False, True, f"{path}: {name} is not as declared")
    how = gpudirect.ways(machine) if declared.get("gpudirect") and text and machine.exists(gpudirect.DRIVER) else None
    if how is not None and how["in_use"] is None:
        why = ", and ".join(gpudirect.impossible(machine, "auto")) or f"{', and '.join(how['obstacles'])}, and {gpudirect.PEERMEM} is not loaded"
        yield difference(
            path, "gpudirect", how, True, f"{path}: adapters do not reach the GPUs' memory: {why}. Load {gpudirect.PEERMEM} (the role ofed does), "
            "or install NVIDIA's open kernel module", remedy="manual",
        )


def mode(machine: Machine, path: str) -> int:
    return os.stat(machine.path(path)).st_mode & 0o7777


_PCI = re.compile(r"<pci\b[^>]*>")
_ATTRIBUTE = re.compile(r"\b(busid|class)\s*=\s*[\"']([^\"']*)[\"']")


def topology_addresses(text: str) -> list[str]:
    """PCI addresses that a topology file names, in full.

    Without bridges (class 0x0604): in a virtual machine that hides its PCI topology they are made up, to say what is near.
    """
    tags = [dict(_ATTRIBUTE.findall(tag)) for tag in _PCI.findall(text)]
    found = [tag["busid"].lower() for tag in tags if tag.get("busid") and not tag.get("class", "").lower().startswith("0x0604")]
    return [address if address.count(":") > 1 else f"0000:{address}" for address in found]
