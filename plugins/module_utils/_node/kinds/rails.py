# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Rails: as many as declared, each up, and as fast and wide as it can be. All that differs takes a person to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import pci, rails, rdma, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.gpus import built_with
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# The rate is Gb/s, the width PCIe lanes.
FIELDS = {
    "name": {"type": "str", "required": True},
    **specs.RAILS,
    "rate": {"type": "float"},
    "width": {"type": "int", "choices": list(pci.WIDTHS)},
}
PATTERNS = {"name": (r"[A-Za-z0-9_-]+", "a word of letters, digits, _ and -")}

invalid = specs.invalid_rails

# IFF_UP of Linux' if.h.
INTERFACE_UP = 0x1
# By physical state, as InfiniBand Architecture Specification 1, PortInfo:PortPhysicalState, has them.
ADVICE = {
    "": "the adapter does not answer; see `dmesg`",
    "Disabled": "the port is disabled: `mlxlink -d {name} -a UP`",
    "Polling": "it sees no partner: look at cable, transceiver and switch port",
    "LinkUp": "the link is up, but no subnet manager has made it active: see `sminfo -C {name}`",
}


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        name, layout = declared["name"], rails.layout(machine, declared)
        for field, is_, should, message in (*number(machine, layout, declared), *each(machine, layout, declared)):
            yield difference(name, field, is_, should, f"{name}: {message}", remedy="manual")


def number(machine: Machine, layout: rails.Layout, declared: dict) -> Iterator[tuple]:
    """Missing ones, known by the declared number, else by the devices that are declared and not there, by GPUs that have fewer
    than others, by a number that does not go with that of the GPUs, or by adapters without a driver."""
    found = len(layout.rails)
    silent = rdma.silent if declared.get("link_layer") != "Ethernet" else lambda _machine: []
    absent = [name for name in declared.get("devices") or [] if not any(rails.matches(rail.port, [name]) for rail in layout.rails)]
    should = declared.get("count")
    if should is None:
        should = found + (len(absent) or len(layout.lacking)) if found or absent else len(silent(machine))
        if should == found and not declared.get("devices"):
            should = full_count(found, len(layout.gpus))
    if found == should:
        return
    why = [f"no port is {name}" for name in absent] + [
        f"{'none' if gpu in layout.bare else 'fewer than elsewhere'} at GPU {gpu.address}" for gpu in layout.lacking
    ]
    why += [f"the InfiniBand adapter {address} has no RDMA device (see `dmesg | grep {address}`)" for address in silent(machine)]
    if found > should:
        why = [", ".join(rail.port.name for rail in layout.rails) + "; name in `exclude` what is none"]
    yield "count", found, should, f"there are {found} and should be {should}" + "".join(f"; {text}" for text in why)


def full_count(found: int, gpus: int) -> int:
    """How many rails there should be where nothing but numbers tells: what divides that of the GPUs is whole, and what is more,
    but for one less than two for each GPU. Where as many GPUs are gone as rails, only peers know."""
    built = built_with(gpus)
    if found >= built:
        return found + (found == 2 * built - 1 > built)
    return found if not found or gpus % found == 0 else built_with(found)


def each(machine: Machine, layout: rails.Layout, declared: dict) -> Iterator[tuple]:
    """What is down, slow or narrow. Where no rate is declared, the fastest rail of a board that can do as much says what it
    should be, for most may be slow. All that are slow at once can be as they should: the leaf switches may not do more."""
    for rail in layout.rails:
        port, link = rail.port, pci.link(machine, rail.port.path)
        rate = declared.get("rate") or rails.usual_rate(port, [other.port for other in layout.rails])
        if not port.active:
            said = f"{port.state or 'unknown'}, {port.phys_state or 'unknown'}"
            yield f"{port.name} state", port.state, "ACTIVE", f"{rail.label} is down ({said}): {advice(machine, port)}"
        elif port.rate is not None and port.rate < rate:
            yield f"{port.name} rate", port.rate, rate, f"{rail.label} has {port.rate:g} Gb/s and should have {rate:g}"
        width = declared.get("width") or link["max_width"] or 0
        if link["width"] and link["width"] < width:
            yield f"{port.name} width", link["width"], width, f"{rail.label} has {link['width']} PCIe lanes and should have {width}"
        if link["speed"] and link["speed"] < (link["max_speed"] or 0):
            yield (
                f"{port.name} speed", link["speed"], link["max_speed"],
                f"{rail.label} has a PCIe link of {link['speed']:g} GT/s and should have {link['max_speed']:g}",
            )


def advice(machine: Machine, port: rdma.Port) -> str:
    """What to do about a port that is down."""
    ethernet = port.interface and port.link_layer == "Ethernet"
    flags = re.fullmatch("0x([0-9a-f]{1,8})", machine.attribute(f"/sys/class/net/{port.interface}/flags")) if ethernet else None
    if flags and int(flags[1], 16) & INTERFACE_UP == 0:
        return f"its interface is set down: `ip link set {port.interface} up`"
    return ADVICE.get(port.phys_state, "see `ibstat {name}`").format(name=port.device)
