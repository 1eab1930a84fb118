# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Rails: which RDMA ports of a node carry the traffic between GPUs, and which GPU each belongs to.

A port is known by what it is built of and not by its name, which tells nothing, nor by its link, which comes and goes. The
rules, as docs/nccl.md gives the reasons:

1. What is declared decides first: `exclude`, then `devices`, which are the rails whatever else they are.
2. Else it must have the declared link layer, be no virtual function, and be no slower than `min_rate`. Where at least
   half of the GPUs share a PCI bridge with such a port, the ports that share one with none are no rails, unless they hang
   as deep as those and a GPU may be gone.
3. Of the boards that have more than half as many ports as the board with the most (or as are wanted), the fastest is the
   rails'. How fast a board is, is the most that a port of it runs at, or that its model is known for. A GPU at which none of
   these is, gets a port of another board that is as fast.
4. As many ports of each adapter are rails as one of the same board has up. An adapter without any is an unused one where
   there are as many ports up as wanted.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

from ansible_collections.onecc.cluster.plugins.module_utils._node import pci, rdma
from ansible_collections.onecc.cluster.plugins.module_utils._node.gpus import Gpu, built_with, gpus
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine
from ansible_collections.onecc.cluster.plugins.module_utils._node.rdma import Port


class Rail:
    """A rail: its `index`, counted from 0, its port, and the GPU that it serves, if it is known.

    Where PCI shows the place of a rail that is missing, the others keep theirs.
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
    """A node's `rails` in their order and its `gpus`; `lacking` are the GPUs at which there are fewer than at others, once for
    each rail, and `bare` those of them at which there is none.

    `by_affinity` is false where PCI does not show which port is near which GPU (virtual machines, soft-RoCE).
    """

    def __init__(self, rails_: list[Rail], gpus_: list[Gpu], lacking: list[Gpu], bare: list[Gpu], by_affinity: bool) -> None:
        self.rails = rails_
        self.gpus = gpus_
        self.lacking = lacking
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
    """The ports that are rails, in the order of PCI addresses."""
    kept = sorted((port for port in found if not matches(port, declared.get("exclude") or [])), key=rdma.order)
    if declared.get("devices"):
        return [port for port in kept if matches(port, declared["devices"])]
    # A broken adapter may not even say its link layer. Then it is none of those that are up.
    layers = (declared.get("link_layer") or "InfiniBand", "")
    least = declared.get("min_rate") or 0
    kept = [port for port in kept if port.link_layer in layers and not port.virtual]
    kept = [port for port in kept if not (port.active and port.rate is not None and port.rate < least)]
    wanted = declared.get("count") or 0
    return in_use(of_one_sort(beside_gpus(kept, gpus_), gpus_, wanted), gpus_, wanted)


def beside_gpus(ports: list[Port], gpus_: list[Gpu]) -> list[Port]:
    """Without those that are near no GPU, where PCI shows it."""
    served = {gpu.address for port in ports for gpu in near(port, gpus_)}
    if not served or len(served) * 2 < len(gpus_):
        return ports
    orphaned = len(gpus_) < built_with(len(gpus_))
    depths = {len(port.path) for port in ports if near(port, gpus_)}
    return [port for port in ports if near(port, gpus_) or orphaned and len(port.path) in depths]


def of_one_sort(ports: list[Port], gpus_: list[Gpu], wanted: int) -> list[Port]:
    """Those of the rails' board, or boards. Ports that do not say theirs go with whatever they are beside."""
    boards: dict[tuple, list[Port]] = {}
    for port in ports:
        if any(port.board):
            boards.setdefault(port.board, []).append(port)
    if not boards:
        return ports
    # A board that lost one port to a fault has still more than half of what it had.
    size = max(map(len, boards.values()))
    most = min(size, wanted or built_with(len(gpus_)) or size)
    speeds = {board: speed(of) for board, of in boards.items() if 2 * len(of) >= most}
    fastest = max(speeds.values())
    found = [port for port in ports if not any(port.board) or speeds.get(port.board) == fastest]
    unserved = [gpu for gpu in gpus_ if not any(near(port, [gpu]) for port in found)]
    return found + [port for port in ports if port not in found and near(port, unserved) and speed(boards[port.board])[0] >= fastest[0]]


def speed(ports: list[Port]) -> tuple[float, float]:
    """Gb/s that a port of a board can do, and the most that one does. It can do what the model is known for, which an adapter's
    ports share; ports without a link do what they can."""
    shared = max(Counter(map(slot, ports)).values())
    does = max((port.rate for port in ports if port.active and port.rate is not None), default=0)
    can = max(does, rdma.CAPACITY.get(ports[0].board[0], 0) / shared)
    return can, does or can


def usual_rate(port: Port, ports: list[Port]) -> float:
    """Gb/s that a port should have beside the others: the most that one of a board does which can do no more than the port's."""
    can = {board: speed([other for other in ports if other.board == board])[0] for board in {other.board for other in ports}}
    rates = [other.rate for other in ports if other.active and other.rate is not None and can[other.board] <= can[port.board]]
    return max(rates, default=0)


def slot(port: Port) -> str:
    """What an adapter's ports have in common: the PCI address without the function, or the name of a device without one."""
    return port.address.rpartition(".")[0] if port.address else port.device


def in_use(ports: list[Port], gpus_: list[Gpu], wanted: int) -> list[Port]:
    """Without unused ports: second ports, and adapters that are too many. The dead and the slow ones of those in use stay."""
    first, second = by_adapter(ports, len(gpus_))
    if not wanted and len(gpus_) < 2:
        return first  # one GPU says nothing of a number
    full = [port for port in first if port.active and port.rate == speed([other for other in first if other.board == port.board])[1]]
    each = wanted or built_with(len(gpus_))
    target = wanted or -(-max(len(full), 1) // each) * each
    unserved = [gpu for gpu in gpus_ if not any(near(port, [gpu]) for port in full)]
    rest = [port for port in first if port not in full]
    rest.sort(key=lambda port: (not near(port, unserved), port.active))
    return full + (rest + second * bool(wanted))[: max(target - len(full), 0)]


def by_adapter(ports: list[Port], gpus_: int) -> tuple[list[Port], list[Port]]:
    """As many ports of each adapter as one of its board has up, those that are up first, then those that are in use elsewhere;
    and the others."""
    adapters: dict[str, list[Port]] = {}
    for port in ports:
        adapters.setdefault(slot(port), []).append(port)
    most: Counter[tuple] = Counter()
    sizes = Counter(of[0].board for of in adapters.values())
    for of in adapters.values():
        # One adapter has no other to be compared with.
        used = len(of) if sizes[of[0].board] == 1 and gpus_ > 1 else sum(port.active for port in of)
        most[of[0].board] = max(most[of[0].board], used, 1)
    places = Counter(place(port) for port in ports if port.active)
    first: list[Port] = []
    second: list[Port] = []
    for of in adapters.values():
        by_use = sorted(of, key=lambda port: (not port.active, -places[place(port)]))
        first += by_use[: most[of[0].board]]
        second += by_use[most[of[0].board] :]
    return first, second


def place(port: Port) -> tuple[str, int]:
    """Which of its adapter's ports it is."""
    return (port.address or "").rpartition(".")[2], port.number


def ordered(ports: list[Port], gpus_: list[Gpu]) -> Layout:
    """The rails by PCI address, in which what hangs at one bridge stands together, so that it is also the order of GPUs. Where
    none shares a bridge with a GPU, NUMA nodes come first."""
    bridged = any(near(port, gpus_) for port in ports)
    shared = [sum(port.path[:1] == gpu.path[:1] for gpu in gpus_) for port in ports if port.path]
    numa = {(port.numa_node == gpu.numa_node) for port in ports for gpu in gpus_ if port.numa_node is not None}
    by_affinity = bridged or len(numa) > 1 or any(number < len(gpus_) for number in shared) and any(shared)
    lacking, bare = missing(ports, gpus_)

    def key(port: Port) -> tuple:
        node = port.numa_node if by_affinity and not bridged and port.numa_node is not None else -1
        return node, rdma.order(port)

    places: list[tuple] = [((-1, (False, pci.key(gpu.address), [], 0)), None) for gpu in lacking]
    places += [(key(port), port) for port in ports]
    places.sort(key=lambda item: item[0])
    partners = by_bridges(ports, gpus_) if bridged else by_group(ports, gpus_, any(shared) and by_affinity, by_affinity)
    found = [Rail(index, port, partners.get(id(port))) for index, (_key, port) in enumerate(places) if port]
    return Layout(found, gpus_, lacking, bare, by_affinity)


def missing(ports: list[Port], gpus_: list[Gpu]) -> tuple[list[Gpu], list[Gpu]]:
    """The GPUs at which rails are missing, once for each rail; and those that have none. GPUs at the same ports share them."""
    groups: dict[tuple, list[Gpu]] = {}
    for gpu in gpus_:
        groups.setdefault(tuple(k for k, port in enumerate(ports) if near(port, [gpu])), []).append(gpu)
    bare = groups.pop((), [])
    served = sum(map(len, groups.values()))
    if not served or 2 * served < len(gpus_):
        return [], []
    votes: dict[int, Counter[int]] = {}
    for at, of in groups.items():
        votes.setdefault(len(of), Counter())[len(at)] += 1
    usual = {number: max(of, key=lambda count: (of[count], count)) for number, of in votes.items()}
    lacking = [of[-1] for at, of in groups.items() for _time in range(usual[len(of)] - len(at))]
    # As many GPUs share as many rails as elsewhere.
    together = max(usual)
    number = -(-len(bare) * usual[together] // together)
    lacking += [bare[i * len(bare) // number] for i in range(number)]
    return sorted(lacking, key=lambda gpu: pci.key(gpu.address)), bare


def by_bridges(ports: list[Port], gpus_: list[Gpu]) -> dict[int, Gpu]:
    """The GPU of each port, by id(): the nearest that no other has, else the nearest."""
    pairs = [(-pci.bridges(port.path, gpu.path), i, k) for i, gpu in enumerate(gpus_) for k, port in enumerate(ports)]
    partner: dict[int, int] = {}
    for how, i, k in sorted(pairs):
        if how and k not in partner and i not in partner.values():
            partner[k] = i
    for how, i, k in sorted(pairs):
        if how:
            partner.setdefault(k, i)
    return {id(ports[k]): gpus_[i] for k, i in partner.items()}


def by_group(ports: list[Port], gpus_: list[Gpu], hosts: bool, nodes: bool) -> dict[int, Gpu]:
    """The same where no bridge tells: one after the other, at each host bridge or NUMA node. Where a GPU is gone nobody knows."""
    def group(item: Port | Gpu) -> object:
        return item.path[:1] if hosts else item.numa_node if nodes else None

    found: dict[int, Gpu] = {}
    for where in {str(group(port)) for port in ports}:
        mine = [port for port in sorted(ports, key=rdma.order) if str(group(port)) == where]
        theirs = [gpu for gpu in gpus_ if str(group(gpu)) == where]
        if len(gpus_) == built_with(len(gpus_)) and len(mine) == len(theirs):
            found.update((id(port), gpu) for port, gpu in zip(mine, theirs))
    return found
