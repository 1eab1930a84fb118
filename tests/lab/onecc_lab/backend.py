# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs behind the API: the seam between the API server and the machines that its instances are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Mount:
    """A persistent file system attached to an instance."""

    file_system_id: str
    name: str
    mount_point: str


@dataclass(frozen=True)
class Node:
    """What a backend is told of an instance that was launched."""

    id: str
    """32 hexadecimal digits."""
    hostname: str
    gpus: int
    """GPUs of the instance type: a node with some is a compute node, one with none a head or generic CPU node."""
    public_keys: tuple[str, ...]
    """OpenSSH public keys that may log in as the user ubuntu."""
    mounts: tuple[Mount, ...] = field(default=())
    user_data: str = ""
    """For cloud-init; empty where none was given."""


@dataclass(frozen=True)
class Addresses:
    """Where a node is reached. `public` is None for compute nodes: they have the private network only."""

    public: str | None
    private: str


class Backend(Protocol):
    """Machines, or something that stands in for them. No method waits for a machine."""

    def create(self, node: Node) -> Addresses:
        """Starts a new node with empty disks; its addresses hold for its life."""

    def status(self, node_id: str) -> str:
        """`booting`, `active` (SSH answers) or `unhealthy` (no power), as the API names them."""

    def restart(self, node_id: str) -> None:
        """Reboots: an orderly shutdown where the node takes part, then a start with its disks as they were."""

    def terminate(self, node_id: str) -> None:
        """Stops the node and destroys its disks. Persistent file systems outlive it."""

    def create_file_system(self, file_system_id: str) -> None:
        """Makes the storage of a persistent file system."""

    def delete_file_system(self, file_system_id: str) -> None:
        """Destroys a persistent file system and what is in it."""
