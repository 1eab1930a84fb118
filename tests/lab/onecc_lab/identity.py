# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a copy of the image one particular node: the files put over its root at its first boot."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cpio import FOLDER, Entry

PREFIX = 16
"""Length of the private network's prefix."""
UBUNTU = 1000
"""User id of `ubuntu`, and of its group."""


@dataclass(frozen=True)
class Identity:
    """Everything by which a node differs from another one."""

    id: str
    hostname: str
    host_key: str
    """OpenSSH private key, ed25519."""
    host_key_pub: str
    private: str
    """IPv4 address on the private network."""
    rails: tuple[str, ...]
    """IPv4 addresses with prefix, one a rail."""
    authorized_keys: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...] = field(default=())
    """Tag and mount point of each persistent file system."""
    user_data: str = ""


def mac(slot: int, index: int, nic: int) -> str:
    """MAC address of a NIC: unique over all labs of this computer, since labs could share a multicast group by mistake."""
    return f"52:54:00:{slot:02x}:{index:02x}:{nic:02x}"


OUTBOUND, PRIVATE, FIRST_RAIL = 0, 1, 16
"""Numbers of a node's NICs, as `mac` takes them."""


def _nic(slot: int, index: int, nic: int, name: str, lines: str) -> list[Entry]:
    match = f"[Match]\nMACAddress={mac(slot, index, nic)}\n"
    base = f"/node/etc/systemd/network/10-{name}"
    return [
        Entry(f"{base}.link", f"{match}[Link]\nName={name}\n".encode()),
        Entry(f"{base}.network", f"{match}{lines}".encode()),
    ]


def entries(node: Identity, slot: int, index: int) -> list[Entry]:
    """The node's own part of its initrd. `data/init` copies what is below /node over the root at the first boot."""
    quiet = "LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
    fstab = "/dev/vda / ext4 noatime,noinit_itable 0 0\n"
    for tag, mount_point in node.mounts:
        fstab += f"{tag} {mount_point} virtiofs nofail 0 0\n"
    keys = "".join(f"{key.strip()}\n" for key in node.authorized_keys)
    out = [
        Entry("/node/etc/hostname", f"{node.hostname}\n".encode()),
        Entry("/node/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {node.hostname}\n".encode()),
        Entry("/node/etc/machine-id", f"{node.id}\n".encode(), 0o444),
        Entry("/node/etc/fstab", fstab.encode()),
        Entry("/node/etc/ssh/ssh_host_ed25519_key", node.host_key.encode(), 0o600),
        Entry("/node/etc/ssh/ssh_host_ed25519_key.pub", node.host_key_pub.encode()),
        Entry("/node/home/ubuntu", mode=0o755, owner=UBUNTU, kind=FOLDER),
        Entry("/node/home/ubuntu/.ssh", mode=0o700, owner=UBUNTU, kind=FOLDER),
        Entry("/node/home/ubuntu/.ssh/authorized_keys", keys.encode(), 0o600, UBUNTU),
        # QEMU's user-mode network: its address, gateway and name server never change.
        *_nic(slot, index, OUTBOUND, "eno2", f"[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n{quiet}"),
        *_nic(slot, index, PRIVATE, "eno1", f"[Network]\nAddress={node.private}/{PREFIX}\n{quiet}"),
    ]
    for number, address in enumerate(node.rails):
        lines = f"[Link]\nRequiredForOnline=no\n[Network]\nAddress={address}\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n"
        out += _nic(slot, index, FIRST_RAIL + number, f"rail{number}", lines)
    if node.user_data:
        seed = "/node/var/lib/cloud/seed/nocloud"
        out += [
            Entry(f"{seed}/user-data", node.user_data.encode(), 0o600),
            Entry(f"{seed}/meta-data", f"instance-id: {node.id}\nlocal-hostname: {node.hostname}\n".encode()),
        ]
    return out
