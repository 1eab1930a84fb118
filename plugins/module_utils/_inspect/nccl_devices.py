# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Whether NCCL's settings suit a node: its RDMA devices, its interfaces, its PCI addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import Device, Node, finding, show
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf, nccl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.nccl_conf import MOST_DEVICES, MOST_INTERFACES, entries

INFINIBAND = "InfiniBand"
# Interfaces that lead to no other node. NCCL's own choice takes them last (ncclFindInterfaces() in src/misc/socket.cc).
INWARD = ("lo", "docker", "virbr", "veth")
PRIVATE = "name the interface of the private network"

Found = Callable[..., dict]


def hcas(number: int, value: str, node: Node) -> Iterator[dict]:
    """NCCL_IB_HCA."""
    found = _of("NCCL_IB_HCA", number, value)
    exclude, exact, listed = entries(value)
    yield from _list(listed, MOST_DEVICES, found)
    precise = f"write NCCL_IB_HCA={'^' if exclude else ''}={','.join(':'.join(entry) for entry in listed)}"
    if not node.devices:
        # Nobody can see whether the list takes more than it says.
        for loose in [entry[0] for entry in listed if not exact and re.search(r"_\d+$", entry[0])][:1]:
            yield found("prefix-match", f"{show(loose)} is also the beginning of {show(loose)}0 to {show(loose)}9", precise, "warning")
        if node.devices is not None:
            yield found("no-such-device", "the node has no RDMA device", "remove the line")
        return
    names = list(dict.fromkeys(device.name for device in node.devices))
    yield from _names(value, names, "no-such-device", precise, found)
    yield from _ports(listed, exact, node.devices, found)
    taken = [device for device in node.devices if nccl_conf.takes(value, device.name, device.port)]
    other = [device.name for device in taken if device.active and device.link_layer != INFINIBAND]
    if other and any(device.active and device.link_layer == INFINIBAND for device in node.devices):
        message = f"it takes {_and(other)}, which is Ethernet, on a node that has InfiniBand"
        yield found("ethernet-device", message, "list the InfiniBand devices alone")
    if not taken and exclude:
        yield found("nothing-taken", "it leaves no device of the node", "list the devices to use")
    if len(taken) > MOST_DEVICES:
        yield found("too-many-devices", f"it takes {len(taken)} ports, and NCCL uses {MOST_DEVICES}", "list those to use")
    down = [device.name for device in taken if not device.active and [device.name] in [entry[:1] for entry in listed]]
    if down and not exclude:
        yield found("device-down", f"{_and(down)} is down, so NCCL does without", "mend the link, or take it off the list", "warning")


def interfaces(number: int, value: str, node: Node) -> Iterator[dict]:
    """NCCL_SOCKET_IFNAME."""
    found = _of("NCCL_SOCKET_IFNAME", number, value)
    exclude, exact, listed = entries(value)
    if len(value) == 1:  # ncclFindInterfaces() in src/misc/socket.cc
        yield found("bad-list", "NCCL passes over a value of one character", f"write NCCL_SOCKET_IFNAME=={value}" if listed else PRIVATE)
        return
    yield from _list(listed, MOST_INTERFACES, found)
    if node.interfaces is None:
        return
    names = [entry[0] for entry in listed]
    precise = f"write NCCL_SOCKET_IFNAME={'^' if exclude else ''}={','.join(names)}"
    yield from _names(value, node.interfaces, "no-such-interface", precise, found)
    taken = [name for name in node.interfaces if nccl_conf.takes(value, name)]
    if len(taken) > MOST_INTERFACES >= len(listed):
        yield found("too-many-devices", f"it takes {len(taken)}, and NCCL uses {MOST_INTERFACES}", PRIVATE)
    if taken and all(name.startswith(INWARD) for name in taken):
        yield found("unsuitable-interface", f"{_and(taken)} leads to no other node", PRIVATE)
    elif not taken and exclude:
        yield found("nothing-taken", "it leaves no interface of the node", PRIVATE)
    elif len(taken) > 1 and not exclude and not exact and not any(
        name in node.interfaces or _more(name, node.interfaces) for name in names
    ):
        yield found("prefix-match", f"it is the beginning of {_and(taken)}, and takes them all", PRIVATE, "warning")


def topology(number: int, path: str, node: Node) -> Iterator[dict]:
    """NCCL_TOPO_FILE, where the file was looked for."""
    if node.topologies is None or path not in node.topologies:
        return
    data = node.topologies[path]
    if data is None or b"<system" not in data:
        what = f"{show(path)} is not there" if data is None else f"{show(path)} is no topology of NCCL, which begins with <system>"
        yield finding(number, "topology-file", "error", what, "remove the line, or give it this node's topology")
        return
    absent = [address for address in nccl_files.topology_addresses(data.decode("utf-8", "replace")) if address not in (node.pci or {address})]
    if absent:
        yield finding(
            number, "topology-address", "error", f"{show(path)} is another machine's: here is no {_and(absent)}",
            "remove the line, or give it this node's topology",
        )


def _of(name: str, number: int, value: str) -> Found:
    def found(rule: str, message: str, fix: str, severity: str = "error") -> dict:
        return finding(number, rule, severity, f"{name}={show(value)}: {message}", fix)

    return found


def _and(names: list[str]) -> str:
    """Names for a message, the first few."""
    shown = ", ".join(show(name) for name in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _list(listed: list[list[str]], most: int, found: Found) -> Iterator[dict]:
    """What is wrong with a list on any node."""
    for entry in listed:
        if entry[0][0] in "^=":
            yield found("bad-list", f"in {show(entry[0])} is a mark that belongs before the whole list", "write ^= or = once, in front")
    if len(listed) > most:
        yield found("too-many-devices", f"it lists {len(listed)}, and NCCL reads {most}", "list those to use")


def _names(value: str, names: list[str], absent: str, precise: str, found: Found) -> Iterator[dict]:
    """Entries that take more than the one that they name, or none. `absent` is the rule of the latter."""
    exclude, exact, listed = entries(value)
    # With the port, which is empty where all are meant.
    meant = {
        (name, "".join(port[:1])) for name in names for entry, *port in listed if name == entry or name.startswith(entry) and not _more(entry, names)
    }
    for entry, port in dict.fromkeys((entry[0], "".join(entry[1:2])) for entry in listed if entry[0][0] not in "^="):
        taken = [name for name in names if (name == entry if exact else name.startswith(entry))]
        if not taken:
            severity = "warning" if exclude else "error"
            yield found(absent, f"the node has no {show(entry)}; it has {', '.join(names)}", "correct the name", severity)
        elif not exact and _more(entry, names) and not all((name, port) in meant or (name, "") in meant for name in taken):
            does = "excludes" if exclude else "takes"
            yield found("prefix-match", f"{show(entry)} is the beginning of names, and {does} {_and(taken)}", precise)


def _more(entry: str, names: list[str]) -> bool:
    """Whether an entry looks like one name and is the beginning of others: mlx5_1 of mlx5_10, where mlx5 is meant as one."""
    others = [name for name in names if name.startswith(entry) and name != entry]
    return bool(others) and (entry in names or entry[-1].isdigit() and any(name[len(entry)].isdigit() for name in others))


def _ports(listed: list[list[str]], exact: bool, devices: list[Device], found: Found) -> Iterator[dict]:
    """Ports that are no number, or that a device does not have."""
    for entry in listed:
        port = "".join(entry[1:2])
        has = {device.port for device in devices if (device.name == entry[0] if exact else device.name.startswith(entry[0]))}
        if port and not port.isdecimal():
            yield found("bad-list", f"{show(':'.join(entry))}: behind the colon stands the number of a port", "write NAME:1")
        elif port and has and int(port) not in has:
            yield found("no-such-device", f"{show(entry[0])} has no port {show(port)}", "ports count from 1")
