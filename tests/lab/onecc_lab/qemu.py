# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a node's QEMU, and the way to talk to a running one (QMP)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .hardware import Hardware
from .identity import FIRST_RAIL, OUTBOUND, PRIVATE, mac

KERNEL_ARGUMENTS = (
    "quiet loglevel=4 console=ttyS0 root=/dev/vda rw net.ifnames=0 panic=10 "
    # An emulated CPU pays dearly for mitigations and self-tests; what they protect from does not exist here.
    "mitigations=off nokaslr cryptomgr.notests audit=0 nowatchdog random.trust_cpu=on 8250.nr_uarts=1 "
    # A kernel that autodetects arrays would hide a role's missing mdadm.conf.
    "raid=noautodetect systemd.show_status=0"
)
TCG_ARGUMENTS = "tsc=unstable clocksource=hpet norandmaps"
"""Under emulation on a busy computer, the time-stamp counter runs minutes ahead. Programs at the same addresses in every
process are translated once: a fifth off a boot, a quarter to a half off a task."""


def arguments(hardware: Hardware, pid_file: Path) -> list[str]:
    """The whole command line. `pid_file` is absolute: by it a process is known to be this machine's."""
    tcg = f" {TCG_ARGUMENTS}" if hardware.accel == "tcg" else ""
    cloud = " cloud-init=enabled" if hardware.cloud_init else ""
    # A large translation cache, and a CPU without AVX, whose emulation is slower than doing without: together they
    # take a fifth off a boot. Under KVM the node has the CPU of this computer.
    accel, cpu = ("tcg,thread=multi,tb-size=256", "Nehalem,+rdrand") if hardware.accel == "tcg" else ("kvm", "host")
    out = ["qemu-system-x86_64", "-name", hardware.name, "-nodefaults", "-no-user-config", "-display", "none"]
    out += ["-machine", "q35", "-accel", accel, "-cpu", cpu, "-smp", "1", "-m", str(hardware.memory_mib)]
    out += ["-pidfile", str(pid_file), "-qmp", "unix:qmp.sock,server=on,wait=off", "-serial", "file:console"]
    out += ["-kernel", str(hardware.kernel), "-initrd", "initrd", "-append", KERNEL_ARGUMENTS + tcg + cloud]
    out += ["-device", "virtio-rng-pci"]
    # cache=unsafe: a power cut of the machine loses what the guest had not flushed, as on a real one; a crash of this
    # computer may lose more, which nobody minds.
    out += ["-drive", "file=disk.qcow2,if=none,id=root,format=qcow2,cache=unsafe,backing.file.locking=off", "-device", "virtio-blk-pci,drive=root"]
    for number, drive in enumerate(hardware.drives):
        if drive.attached:
            out += ["-drive", f"file={drive.file},if=none,id=nvme{number},format=raw,cache=unsafe,discard=unmap"]
            out += ["-device", f"nvme,drive=nvme{number},serial={drive.serial}"]

    def nic(name: str, netdev: str, number: int) -> None:
        address = mac(hardware.slot, hardware.index, number)
        out.extend(["-netdev", netdev, "-device", f"virtio-net-pci,netdev={name},mac={address},romfile="])

    forward = f",hostfwd=tcp:{hardware.forward}-:22" if hardware.forward else ""
    nic("out", f"user,id=out{forward}", OUTBOUND)
    for name, network, number in [("lan", hardware.private, PRIVATE)] + [
        (f"rail{rail}", network, FIRST_RAIL + rail) for rail, network in enumerate(hardware.rails)
    ]:
        nic(name, f"socket,id={name},mcast={network.group}:{network.port},localaddr=127.0.0.1", number)
    if hardware.shares:
        # The file server maps the guest's memory, so that has to be shareable.
        out += ["-object", f"memory-backend-memfd,id=mem,size={hardware.memory_mib}M,share=on", "-numa", "node,memdev=mem"]
    for number, tag in enumerate(hardware.shares):
        out += ["-chardev", f"socket,id=share{number},path=shares/{tag}"]
        out += ["-device", f"vhost-user-fs-pci,chardev=share{number},tag={tag}"]
    return out


class QmpError(Exception):
    """QEMU refused a command, or is not there to hear it."""


def connect(folder: Path, name: str, timeout: float) -> socket.socket:
    """A connection to a socket in a folder. Goes by the folder's descriptor, since a socket's path may have 107 bytes only."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(timeout)
        try:
            link.connect(f"/proc/self/fd/{fd}/{name}")
        except OSError:
            link.close()
            raise
        return link
    finally:
        os.close(fd)


def qmp(folder: Path, command: str, arguments: Mapping[str, object] | None = None, timeout: float = 20.0) -> Any:
    """One QMP command to the QEMU of the machine in `folder`; returns its answer. timeout: seconds for the whole exchange."""
    try:
        with connect(folder, "qmp.sock", timeout) as link, link.makefile("rwb") as stream:

            def ask(name: str, values: Mapping[str, object] | None) -> Any:
                stream.write(json.dumps({"execute": name, "arguments": dict(values or {})}).encode() + b"\n")
                stream.flush()
                for line in stream:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise QmpError(f"{name}: {answer['error'].get('desc', answer['error'])}")
                    if "return" in answer:
                        return answer["return"]
                raise QmpError(f"{name}: the machine went away before it answered.")

            stream.readline()  # the greeting
            ask("qmp_capabilities", None)
            return ask(command, arguments)
    except OSError as error:
        raise QmpError(f"{command}: the machine in {folder} does not answer ({error}). Is it running?") from error
