# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Rails: which RDMA ports of a node carry the traffic between GPUs, and which GPU each belongs to.

A port is known by what it is and not by its name, which tells nothing. The rules, as docs/nccl.md gives the reasons:

1. What is declared decides first: `exclude`, then `devices`, which are the rails whatever else they are.
2. Else it must have the declared link layer, be no virtual function, and be no slower than `min_rate`. Where at least
   half of the GPUs share a PCI bridge with such a port, the ports that share one with none are no rails, unless they hang
   as deep as those: their GPU may be gone.
3. Where there are as many ports of a board as rails are wanted (the declared count, or one for each GPU), other boards are
   none. Of what is left, the ports that are up at the rails' rate are rails: the highest rate at which there are as many as
   wanted, else the most common one.
4. While fewer are found than wanted, ports of the same board are taken that are down or slower, those at a GPU without a
   rail first: a dead or a degraded rail. Beyond that number they are unused ports.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

from ansible_collections.onecc.cluster.plugins.module_utils._node import pci, rdma
from ansible_collections.onecc.cluster.plugins.module_utils._node.gpus import Gpu, gpus
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine
from ansible_collections.onecc.cluster.plugins.module_utils._node.rdma import Port


class Rail:
    """A rail: its `index`, counted from 0, its port, and the GPU that it serves, if it is known.

    `index` is the place of that GPU, so that the other rails keep theirs where one is missing.
    """

    def __init__(self, index: int, port: Port, gpu: Gpu | None) -> None:
        self.index = index
        self.port = port
        self.gpu = gpu

    @property
    def label(self) -> str:
        """How a person finds it: name, interface, PCI address, and the GPU beside it."""
        where = [text for text in (self.port.interface, self.port.address, self.gpu and f"at GPU {self.gpu.address}") if text]
        return f"rail {self.index} ({', '.join([self.port.name, *where])})"


class Layout:
    """A node's `rails` in their order and its `gpus`; `bare` are the GPUs at which there is none, though others have one.

    `by_affinity` is false where PCI does not show which port is near which GPU (virtual machines, soft-RoCE): the order is
    then that of PCI addresses, or of names.
    """

    def __init__(self, rails_: list[Rail], gpus_: list[Gpu], bare: list[Gpu], by_affinity: bool) -> None:
        self.rails = rails_
        self.gpus = gpus_
        self.bare = bare
        self.by_affinity = by_affinity


def rails(machine: Machine, declared: dict) -> list[Rail]:
    """The rails of a node in their order. `declared` may say what one is; specs.RAILS has its fields."""
    return layout(machine, declared).rails


def layout(machine: Machine, declared: dict) -> Layout:
    found = gpus(machine)
    return ordered(chosen(rdma.ports(machine), found, declared), found)


def matches(port: Port, patterns: list[str]) -> bool:
    """Whether a pattern (glob(7)) fits the port's device, "device:port", interface or PCI address."""
    names = (port.device, f"{port.device}:{port.number}", port.interface, port.address)
    return any(fnmatchcase(name, pattern) for name in names if name for pattern in patterns)


def near(port: Port, others: list[Gpu]) -> list[Gpu]:
    """The GPUs that share a bridge with the port."""
    return [gpu for gpu in others if pci.bridges(port.path, gpu.path)]


def chosen(found: list[Port], gpus_: list[Gpu], declared: dict) -> list[Port]:
    """The ports that are rails, in no order."""
    kept = [port for port in found if not matches(port, declared.get("exclude") or [])]
    if declared.get("devices"):
        return [port for port in kept if matches(port, declared["devices"])]
    # A broken adapter may not even say its link layer. Then it is none of those that are up.
    layers = (declared.get("link_layer") or "InfiniBand", "")
    least = declared.get("min_rate") or 0
    kept = [port for port in kept if port.link_layer in layers and not port.virtual]
    kept = [port for port in kept if not (port.active and port.rate is not None and port.rate < least)]
    served = {gpu.address for port in kept for gpu in near(port, gpus_)}
    if served and len(served) * 2 >= len(gpus_):
        depths = {len(port.path) for port in kept if near(port, gpus_)}
        kept = [port for port in kept if near(port, gpus_) or len(port.path) in depths]
    return of_one_sort(kept, gpus_, declared.get("count") or len(gpus_))


def of_one_sort(candidates: list[Port], gpus_: list[Gpu], wanted: int) -> list[Port]:
    """Those that are up at the rails' rate, completed by dead and slower ones. `wanted` is 0 where nobody knows how many."""
    sizes = Counter(port.board for port in candidates)
    if wanted and any(size >= wanted for size in sizes.values()):
        candidates = [port for port in candidates if sizes[port.board] >= wanted or not any(port.board)]
    up = [port for port in candidates if port.active and port.link_layer]
    rates = Counter(port.rate for port in up if port.rate is not None)
    enough = [rate for rate, number in rates.items() if number >= wanted > 0]
    rate = max(enough) if enough else max(rates, key=lambda rate: (rates[rate], rate), default=None)
    full = [port for port in up if port.rate == rate]
    boards = Counter(port.board for port in full or candidates)
    if not full and not wanted:
        board = max(boards, key=lambda board: (boards[board], board), default=None)
        return [port for port in candidates if port.board == board]
    alike = [port for port in candidates if port not in full and (port.board in boards or not any(port.board))]
    slots = {slot(port) for port in full}
    if not wanted:
        # Nothing says that a rail is missing. A second port of an adapter that is in use is an unused one.
        return full + [port for port in alike if slot(port) not in slots and (any(port.board) or not port.active)]
    unserved = [gpu for gpu in gpus_ if not any(near(port, [gpu]) for port in full)]
    alike.sort(key=lambda port: (not near(port, unserved), slot(port) in slots, port.active, rdma.order(port)))
    return full + alike[:max(wanted - len(full), 0)]


def slot(port: Port) -> str:
    """What an adapter's ports have in common: the PCI address without the function, or the name of a device without one."""
    return port.address.rpartition(".")[0] if port.address else port.device


def ordered(ports: list[Port], gpus_: list[Gpu]) -> Layout:
    """The rails, each with the GPU that is nearest to it on PCI: first by bridges in common, then by host bridge and NUMA node."""
    ports = sorted(ports, key=rdma.order)

    def closeness(port: Port, gpu: Gpu) -> tuple[int, bool, bool]:
        same_numa = port.numa_node is not None and port.numa_node == gpu.numa_node
        return pci.bridges(port.path, gpu.path), bool(port.path) and port.path[:1] == gpu.path[:1], same_numa

    pairs = [(closeness(port, gpu), i, k) for i, gpu in enumerate(gpus_) for k, port in enumerate(ports)]
    bridged = any(how[0] for how, _gpu, _port in pairs)
    by_affinity = bridged or len({how for how, _gpu, _port in pairs}) > 1
    partner: dict[int, int] = {}
    for how, i, k in sorted(pairs, key=lambda pair: ([-value for value in pair[0]], pair[1:])):
        if k not in partner and i not in partner.values() and (how[0] or not bridged):
            partner[k] = i
    served = {i for how, i, _port in pairs if how[0]}
    bare = [i for i in range(len(gpus_)) if i not in served] if len(served) * 2 >= len(gpus_) else []
    # A rail stands where its GPU does, a GPU's second one after its first. One whose GPU is gone stands where its own address does.
    places: list[tuple] = [(pci.key(gpus_[i].address), -1, None, gpus_[i]) for i in bare]
    for k, port in enumerate(ports):
        gpu = gpus_[partner[k]] if k in partner else next(iter(near(port, gpus_)), None)
        places.append((pci.key(gpu.address) if gpu else rdma.order(port)[1], k if k not in partner else -1, port, gpu))
    places.sort(key=lambda place: place[:2])
    found = [Rail(index, port, gpu) for index, (_key, _second, port, gpu) in enumerate(places) if port]
    return Layout(found, gpus_, [gpus_[i] for i in bare], by_affinity)
