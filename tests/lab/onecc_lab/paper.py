# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of paper: a backend that only pretends, for thousands of instances at once and tests without a machine."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Iterable

from .backend import Addresses, Node

BOOT_SECONDS = 2.0
"""From a launch or restart until a node is active. Real ones take minutes; clients are to wait either way."""

PUBLIC_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for benchmarks (RFC 2544): 131,070 addresses that can be nobody's."""

PRIVATE_NETWORK = ipaddress.IPv4Network("10.16.0.0/14")
"""Holds the 10.19.x addresses that Lambda's documentation shows; 262,142 nodes."""


class PaperBackend:
    """Keeps its nodes in memory alone. Safe for threads."""

    def __init__(self, boot_seconds: float = BOOT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._boot_seconds = boot_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._active_at: dict[str, float] = {}
        self._addresses: dict[str, Addresses] = {}
        self._public = _Pool(PUBLIC_NETWORK)
        self._private = _Pool(PRIVATE_NETWORK)

    def adopt(self, nodes: Iterable[tuple[str, Addresses]]) -> None:
        """Takes over nodes, by ID, that an earlier server's backend had. They are active."""
        with self._lock:
            for node_id, addresses in nodes:
                self._addresses[node_id] = addresses
                self._active_at[node_id] = self._clock()
                self._private.reserve(addresses.private)
                if addresses.public is not None:
                    self._public.reserve(addresses.public)

    def create(self, node: Node) -> Addresses:
        """Raises RuntimeError where no address is left."""
        with self._lock:
            public = None if node.gpus else self._public.take()
            addresses = Addresses(public, self._private.take())
            self._addresses[node.id] = addresses
            self._active_at[node.id] = self._clock() + self._boot_seconds
            return addresses

    def status(self, node_id: str) -> str:
        """Raises KeyError for an unknown node."""
        with self._lock:
            return "active" if self._clock() >= self._active_at[node_id] else "booting"

    def restart(self, node_id: str) -> None:
        """Raises KeyError for an unknown node."""
        with self._lock:
            if node_id not in self._active_at:
                raise KeyError(node_id)
            self._active_at[node_id] = self._clock() + self._boot_seconds

    def terminate(self, node_id: str) -> None:
        """An unknown node is as good as a terminated one."""
        with self._lock:
            self._active_at.pop(node_id, None)
            addresses = self._addresses.pop(node_id, None)
            if addresses is not None:
                self._private.release(addresses.private)
            if addresses is not None and addresses.public is not None:
                self._public.release(addresses.public)

    def create_file_system(self, file_system_id: str) -> None:
        """There is nothing to make."""

    def delete_file_system(self, file_system_id: str) -> None:
        """There is nothing to destroy."""


class _Pool:
    """The addresses of a network, given out in turn, so that one that was just released is not used again at once."""

    def __init__(self, network: ipaddress.IPv4Network) -> None:
        self._network = network
        self._used: set[str] = set()
        self._next = 0

    def take(self) -> str:
        hosts = self._network.num_addresses - 2
        for _number in range(hosts):
            self._next = self._next % hosts + 1
            address = str(self._network[self._next])
            if address not in self._used:
                self._used.add(address)
                return address
        raise RuntimeError(f"no address left in {self._network}")

    def reserve(self, address: str) -> None:
        self._used.add(address)

    def release(self, address: str) -> None:
        self._used.discard(address)
