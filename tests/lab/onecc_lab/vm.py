# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend whose instances are virtual machines."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import config
from .backend import Addresses, Node
from .cpio import archive
from .hardware import Drive, Hardware
from .identity import Identity, entries
from .image import Image, busybox_program
from .machine import Description, Machine, MachineError, as_owners, dump, write_atomically
from .recipe import initrd
from .uml import MAX_DRIVES
from .uml.kernel import Kernel
from .uml.kernel import entries as entries_of

SHUTDOWN_SECONDS = 120.0
"""How long a node may take to shut down for a restart before its power is cut, as a cloud does."""
TAG_BYTES = 36
"""Longest name that virtiofs can mount by."""


def share_tag(name: str, file_system_id: str) -> str:
    """What a persistent file system is mounted by: its name, or its id where the name is too long."""
    return name if len(name) <= TAG_BYTES else file_system_id


def ssh_config(folder: Path, machines: Iterable[Description]) -> str:
    """An SSH client configuration that reaches every node by name, checking host keys."""
    machines = sorted(machines, key=lambda machine: machine.hardware.index)
    head = next((machine.hostname for machine in machines if machine.public), None)
    out = ["# Written by onecc-lab whenever nodes come or go.", ""]
    for machine in machines:
        out += [f"Host {machine.hostname}", f"    HostName {machine.public or machine.private}"]
        if not machine.public and head:
            out.append(f"    ProxyJump {head}")
        out.append("")
    publics = [machine.public for machine in machines if machine.public]
    if publics:
        # The port a client has to know, since an ordinary user cannot listen on 22. By address there is no jump:
        # whoever goes to a private address has to know the way, as on a real cluster.
        out += [f"Match host {','.join(publics)}", f"    Port {config.SSH_PORT}", ""]
    out += [
        "Match all",
        "    User ubuntu",
        f"    IdentityFile {folder / 'id_ed25519'}",
        "    IdentitiesOnly yes",
        f"    UserKnownHostsFile {folder / 'known_hosts'}",
        "    StrictHostKeyChecking yes",
        "",
    ]
    return "\n".join(out)


def known_hosts(machines: Iterable[tuple[Description, str]]) -> str:
    """Host keys of all nodes, by every address and name a client may use, and by id, as the inventory pins them."""
    out = []
    for machine, key in machines:
        names = [machine.id, machine.hostname, machine.private]
        if machine.public:
            names = [f"[{machine.hostname}]:{config.SSH_PORT}", f"[{machine.public}]:{config.SSH_PORT}", *names]
        out.append(f"{','.join(names)} {' '.join(key.split()[:2])}\n")
    return "".join(out)


class VmBackend:
    """Implements `backend.Backend` with machines. All state is in the lab's folder, so a new object carries on where one ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = config.load(folder)
        (folder / "machines").mkdir(exist_ok=True)
        (folder / "filesystems").mkdir(exist_ok=True)
        for flag in (folder / "machines").glob("*/restarting"):
            self._restart_later(Machine(flag.parent))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "machines.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def machines(self) -> list[Machine]:
        """All machines, in the order of their launch."""
        found = [Machine(file.parent) for file in (self.folder / "machines").glob("*/machine.json")]
        return sorted(found, key=lambda machine: machine.description.hardware.index)

    def machine(self, node_id: str) -> Machine:
        """The machine of an instance."""
        found = Machine(self.folder / "machines" / node_id)
        if not (found.folder / "machine.json").exists():
            raise KeyError(f"no machine belongs to instance {node_id}.")
        return found

    def create(self, node: Node) -> Addresses:
        with self._locked():
            machine = self._make(node)
            self._write_client_files()
        machine.boot()
        description = machine.description
        return Addresses(public=description.public, private=description.private)

    def _next_index(self) -> int:
        """Numbers are not used twice: a client remembers the host key of an address."""
        counter = self.folder / "last-index"
        index = int(counter.read_text()) + 1 if counter.exists() else 1
        if index > 254:
            raise MachineError("a lab has addresses for 254 nodes in its life, and all were given out; start a new lab.")
        write_atomically(counter, f"{index}\n")
        return index

    def _make(self, node: Node) -> Machine:
        lab, shape, image = self.config, self.config.shape, Image(Path(self.config.image))
        index = self._next_index()
        compute = node.gpus > 0
        accel = lab.qemu if node.hostname in lab.on_qemu else lab.accel
        kernel = Kernel(Path(lab.kernel)) if accel == "uml" else None
        machine = Machine(self.folder / "machines" / node.id)
        machine.folder.mkdir()
        count = shape.drives if compute else shape.head_drives
        if accel == "uml" and count > MAX_DRIVES:
            raise MachineError(f"a User-Mode Linux node has {MAX_DRIVES} drives at most, not {count}; run it on QEMU: up --qemu {node.hostname}")
        serials = [f"LAB{lab.slot:03d}N{index:03d}D{number}" for number in range(count)]
        public = None if compute else lab.public_address(index)
        rails = shape.rails if compute else 0
        tags = tuple(share_tag(mount.name, mount.file_system_id) for mount in node.mounts)
        description = Description(
            id=node.id,
            hostname=node.hostname,
            compute=compute,
            public=public,
            private=config.private_address(index),
            hardware=Hardware(
                name=f"onecc-lab-{lab.name}-{node.hostname}",
                accel=accel,
                kernel=kernel.program if kernel else image.kernel,
                disk=image.disk,
                memory_mib=shape.memory_mib,
                slot=lab.slot,
                index=index,
                forward=f"{public}:{config.SSH_PORT}" if public else None,
                private=lab.private,
                rails=tuple(lab.rail(number) for number in range(rails)),
                drives=tuple(Drive(serial, f"{serial}.raw") for serial in serials),
                shares=tags,
                cloud_init=bool(node.user_data),
            ),
            share_sources=tuple(str(self._storage(mount.file_system_id)) for mount in node.mounts),
            drive_bytes=shape.drive_bytes,
        )
        for drive in description.hardware.drives:
            machine.make_drive(drive.file, shape.drive_bytes)
        if kernel is None:
            disk = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.disk), "-F", "raw", "disk.qcow2"]
            subprocess.run(disk, cwd=machine.folder, check=True)
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", node.hostname, "-f", "host_key"]
        subprocess.run(key, cwd=machine.folder, check=True)
        identity = Identity(
            id=node.id,
            hostname=node.hostname,
            host_key=(machine.folder / "host_key").read_text(),
            host_key_pub=(machine.folder / "host_key.pub").read_text(),
            private=description.private,
            rails=tuple(config.rail_address(number, index) for number in range(rails)),
            authorized_keys=node.public_keys,
            mounts=tuple(zip(tags, (mount.mount_point for mount in node.mounts), strict=True)),
            user_data=node.user_data,
        )
        with (machine.folder / "initrd").open("wb") as out:
            out.write(initrd(busybox_program(), entries_of(kernel)) if kernel else image.initrd.read_bytes())
            out.write(archive(entries(identity, lab.slot, index)))
        # Last: a folder with a description is a machine.
        write_atomically(machine.folder / "machine.json", dump(description))
        return machine

    def _write_client_files(self) -> None:
        machines = [(machine.description, (machine.folder / "host_key.pub").read_text()) for machine in self.machines()]
        write_atomically(self.folder / "known_hosts", known_hosts(machines))
        write_atomically(self.folder / "ssh_config", ssh_config(self.folder, (machine for machine, _share in machines)))

    def status(self, node_id: str) -> str:
        return self.machine(node_id).status()

    def restart(self, node_id: str) -> None:
        machine = self.machine(node_id)
        (machine.folder / "restarting").touch()
        self._restart_later(machine)

    def _restart_later(self, machine: Machine) -> None:
        def work() -> None:
            try:
                machine.shut_down(SHUTDOWN_SECONDS)
                machine.boot()
            finally:
                (machine.folder / "restarting").unlink(missing_ok=True)

        threading.Thread(target=work, name=f"restart {machine.folder.name}", daemon=True).start()

    def terminate(self, node_id: str) -> None:
        # Also where there is no description: a server was killed while it made this machine.
        machine = Machine(self.folder / "machines" / node_id)
        with self._locked():
            if machine.folder.exists():
                machine.destroy()
            self._write_client_files()

    def _storage(self, file_system_id: str) -> Path:
        return self.folder / "filesystems" / file_system_id

    def create_file_system(self, file_system_id: str) -> None:
        self._storage(file_system_id).mkdir(mode=0o755)

    def delete_file_system(self, file_system_id: str) -> None:
        remove_tree(self._storage(file_system_id))


def remove_tree(folder: Path) -> None:
    """Deletes a folder even where nodes left files of other owners in it, which an ordinary user cannot delete as itself."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        subprocess.run(as_owners(["rm", "-rf", "--", str(folder)]), check=True)
