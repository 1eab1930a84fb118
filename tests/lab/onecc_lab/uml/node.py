# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a machine as a User-Mode Linux process.

    python -m onecc_lab.uml.node FOLDER

Besides the kernel it runs what the node is plugged into: a QEMU without a processor, whose networks are those of QEMU
nodes, and the file servers. When the kernel ends, they are ended too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from .. import guard
from ..hardware import Hardware
from ..identity import FIRST_RAIL, OUTBOUND, PRIVATE, mac
from ..machine import PID_FILE, Share, load, share

KERNEL_ARGUMENTS = (
    "quiet loglevel=4 root=/dev/ubda rw net.ifnames=0 panic=10 audit=0 raid=noautodetect systemd.show_status=0 "
    # Serial line 0 is the file that the kernel's output goes to; nothing else is a terminal.
    "con=null con0=null,fd:1 ssl=null ssl0=null,fd:1 console=ttyS0 "
    # Processes of the guest are stopped by seccomp, not by ptrace, which costs several times as much.
    "seccomp=on"
)
VIRTIO_FS = 26
"""The device number of a shared file system, of the VIRTIO specification."""


def nics(hardware: Hardware) -> list[tuple[str, str]]:
    """The node's network interfaces: QEMU's word for what each is plugged into, and its MAC address."""
    forward = f",hostfwd=tcp:{hardware.forward}-:22" if hardware.forward else ""
    plugs = [(f"user{forward}", OUTBOUND)]
    for network, number in [(hardware.private, PRIVATE)] + [(rail, FIRST_RAIL + n) for n, rail in enumerate(hardware.rails)]:
        plugs.append((f"socket,mcast={network.group}:{network.port},localaddr=127.0.0.1", number))
    return [(plug, mac(hardware.slot, hardware.index, number)) for plug, number in plugs]


def panel(hardware: Hardware, ends: Sequence[int]) -> list[str]:
    """The QEMU that joins each of the descriptors `ends` to the network of the interface with the same number."""
    out = ["qemu-system-x86_64", "-name", f"{hardware.name}-net", "-M", "none", "-nodefaults", "-no-user-config"]
    out += ["-display", "none"]
    for number, ((plug, _mac), end) in enumerate(zip(nics(hardware), ends, strict=True)):
        kind, _comma, options = plug.partition(",")
        out += ["-netdev", ",".join(filter(None, [kind, f"id=net{number}", options]))]
        out += ["-netdev", f"dgram,id=node{number},local.type=fd,local.str={end}"]
        for name in ("net", "node"):
            out += ["-netdev", f"hubport,id=port-{name}{number},hubid={number},netdev={name}{number}"]
    return out


def arguments(hardware: Hardware, pid_file: Path, ends: Sequence[int]) -> list[str]:
    """The kernel's whole command line. `pid_file` is absolute: by it a process is known to be this machine's."""
    out = [str(hardware.kernel), f"mem={hardware.memory_mib}M", f"ubd0=disk.cow,{hardware.disk}", "initrd=initrd"]
    out += ["uml_dir=./", "umid=uml", *KERNEL_ARGUMENTS.split()]
    for number, ((_plug, address), end) in enumerate(zip(nics(hardware), ends, strict=True)):
        out.append(f"vec{number}:transport=fd,fd={end},mac={address},depth=64")
    attached = [drive for drive in hardware.drives if drive.attached]
    out += [f"ubd{number}={drive.file}" for number, drive in enumerate(attached, 1)]
    if attached:
        out.append("onecc_drives=" + ",".join(drive.serial for drive in attached))
    out += [f"virtio_uml.device=shares/{tag}:{VIRTIO_FS}" for tag in hardware.shares]
    if hardware.cloud_init:
        out.append("cloud-init=enabled")
    # To the kernel it is a word for the node's init, which does not look.
    return [*out, str(pid_file)]


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for packets. Of the kind that QEMU's `dgram` takes by descriptor."""
    one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _end in range(2))
    for end in (one, two):
        end.bind(("127.0.0.1", 0))
        end.set_inheritable(True)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.connect(two.getsockname())
    two.connect(one.getsockname())
    return one, two


def _serve(share: Share) -> None:
    """Serves a file system again and again: a file server ends with its connection, which a guest's reboot ends."""
    while True:
        with share.log.open("ab") as log:
            subprocess.run(share.command, stdout=log, stderr=log, pass_fds=[share.listener.fileno()], check=False)


def main(folder: Path) -> int:
    guard.become_subreaper()
    description = load((folder / "machine.json").read_text())
    hardware = description.hardware
    for tag, source in zip(hardware.shares, description.share_sources, strict=True):
        threading.Thread(target=_serve, args=(share(folder, tag, source),), daemon=True).start()
    pairs = [_pair() for _nic in nics(hardware)]
    plugs = [plug.fileno() for plug, _end in pairs]
    ends = [end.fileno() for _plug, end in pairs]
    subprocess.Popen(panel(hardware, plugs), cwd=folder, stdin=subprocess.DEVNULL, pass_fds=plugs)
    pid_file = folder / PID_FILE
    with (folder / "console").open("wb") as console:
        kernel = subprocess.Popen(
            arguments(hardware, pid_file, ends),
            cwd=folder,
            # The guest's memory is a file, which nothing but these processes maps.
            env=os.environ | {"TMPDIR": "/dev/shm"},
            stdin=subprocess.DEVNULL,
            stdout=console,
            pass_fds=ends,
        )
    for plug, end in pairs:
        plug.close()
        end.close()
    partial = pid_file.with_suffix(".partial")
    partial.write_text(f"{kernel.pid}\n")
    partial.replace(pid_file)
    status = kernel.wait()
    guard.end_descendants()
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
