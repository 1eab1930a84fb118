# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine: a folder with its disks and description, and the processes that run while it has power.

Everything a machine is lies in its folder, so any program of the same user may open it: the API server, the command
line and a test see the same machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from . import guard, qemu
from .hardware import Drive, Hardware, Network
from .uml import mconsole

PID_FILE = "machine.pid"
LOG_FILE = "machine.log"
START_SECONDS = 20.0
"""How long the program that runs a machine may take from its start to its first sign of life (not: the guest)."""
END_SECONDS = 30.0
"""How long a process may take to end after SIGKILL."""
MARK = "ONECC_LAB_MACHINE"
"""Environment variable of every process of a machine, its folder: by it strays are found, and nothing else is ended."""
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")


class MachineError(Exception):
    """A machine could not do what was asked; the message says why."""


@dataclass(frozen=True)
class Description:
    """What a machine is, as kept in `machine.json`."""

    id: str
    hostname: str
    compute: bool
    public: str | None
    private: str
    hardware: Hardware
    share_sources: tuple[str, ...]
    """Folder of this computer behind each share, in the order of `hardware.shares`."""
    drive_bytes: int


def load(text: str) -> Description:
    """A description from its JSON."""
    raw = json.loads(text)
    hardware = raw["hardware"]
    return Description(
        **(
            raw
            | {
                "share_sources": tuple(raw["share_sources"]),
                "hardware": Hardware(
                    **(
                        hardware
                        | {
                            "kernel": Path(hardware["kernel"]),
                            "disk": Path(hardware["disk"]),
                            "private": Network(**hardware["private"]),
                            "rails": tuple(Network(**rail) for rail in hardware["rails"]),
                            "drives": tuple(Drive(**drive) for drive in hardware["drives"]),
                            "shares": tuple(hardware["shares"]),
                        }
                    )
                ),
            }
        )
    )


def dump(description: Description) -> str:
    """The JSON of a description."""
    return json.dumps(asdict(description), indent=2, default=str) + "\n"


def console_status(console: str) -> str:
    """What a running machine's console tells of it: `booting`, or `active` once SSH answers."""
    last = "starting"
    for line in console.splitlines():
        _before, found, word = line.partition("onecc-lab: ")
        if found and word.strip() in ("starting", "ready", "stopping"):
            last = word.strip()
    return "active" if last == "ready" else "booting"


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaces a file, so that a reader (or a kill in between) sees the old or the new text and nothing else."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)


def carries_mark(pid: int, prefix: str) -> bool:
    """Whether a process is of a machine in a folder that starts with `prefix`. A zombie has no environment, so it is not."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(item.startswith(f"{MARK}={prefix}".encode()) for item in environment.split(b"\0"))


def marked(prefix: str) -> list[int]:
    """Processes of the machines in folders that start with `prefix`."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if carries_mark(pid, prefix)]


def kill_marked(prefix: str) -> None:
    """Ends every process of the machines in folders that start with `prefix`, and waits until none is left.

    Left is a process until its last thread is gone: its environment vanishes before that, while its files are still open
    and the disks among them locked.
    """
    deadline = time.monotonic() + END_SECONDS
    while pids := marked(prefix):
        for pid in pids:
            try:
                process = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                if carries_mark(pid, prefix):  # and is not another one that got its number since
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                left = max(0.0, deadline - time.monotonic())
                if not select.select([process], [], [], left)[0]:
                    raise MachineError(f"process {pid} of {prefix} does not end after SIGKILL (stuck in the kernel?).")
            except ProcessLookupError:
                pass
            finally:
                os.close(process)


@dataclass(frozen=True)
class Share:
    """A file server to be started: its command, and the socket it listens on, which it gets by descriptor."""

    command: list[str]
    listener: socket.socket
    log: Path


def share(folder: Path, tag: str, source: str) -> Share:
    """What serves the folder `source` to the machine in `folder`, on the socket `shares/TAG`."""
    program = next((path for path in VIRTIOFSD if Path(path).exists()), None)
    if program is None:
        raise MachineError(f"no virtiofsd among {', '.join(VIRTIOFSD)}; install the package that brings it.")
    (folder / "shares").mkdir(exist_ok=True)
    (folder / "shares" / tag).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = os.open(folder / "shares", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # By the folder's descriptor, since a socket's path may have 107 bytes only.
        listener.bind(f"/proc/self/fd/{fd}/{tag}")
    finally:
        os.close(fd)
    listener.listen(1)
    command = [program, f"--fd={listener.fileno()}", "-o", f"source={source}", "-o", "cache=auto", "-o", "sandbox=chroot"]
    command += ["-o", "xattr", "-o", "flock", "-o", "posix_lock", "--rlimit-nofile=0"]
    return Share(as_owners(command), listener, folder / f"share-{tag}.log")


def as_owners(command: list[str]) -> list[str]:
    """A command that sees and sets the owners that files have in the guests: as root directly.

    An ordinary user's machines have them as subordinate ids of this user.
    """
    return command if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--map-auto", "--", *command]


def copy(paths: Iterable[Path], target: Path) -> None:
    """Copies files and folders into a folder, with owners and holes."""
    command = ["cp", "--archive", "--sparse=always", "--reflink=auto", "--", *map(str, paths), str(target)]
    subprocess.run(as_owners(command), check=True)


class Machine:
    """A machine by its folder, which has to be an absolute path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def description(self) -> Description:
        """What the machine is, read anew at each use: another program may have changed it."""
        return load((self.folder / "machine.json").read_text())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def pid(self) -> int | None:
        """Id of the process that runs the machine, or None without power.

        A process that merely got the same id is not taken for it.
        """
        file = self.folder / PID_FILE
        try:
            pid = int(file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(file).encode() in command else None

    def status(self) -> str:
        """`active`, `booting` or `unhealthy`, as the API names them."""
        if (self.folder / "restarting").exists():
            return "booting"
        if self.pid() is None:
            return "unhealthy"
        try:
            return console_status((self.folder / "console").read_text(errors="replace"))
        except OSError:
            return "booting"

    def boot(self) -> None:
        """Switches the machine on; does nothing if it is. Returns when its program runs, long before the guest is up."""
        with self._locked():
            if self.pid() is not None:
                return
            # A file server may be left of a machine that was ended from elsewhere.
            kill_marked(str(self.folder))
            description = self.description
            environment = os.environ | {MARK: str(self.folder)}
            for name in ("console", PID_FILE):
                (self.folder / name).unlink(missing_ok=True)
            log = self.folder / LOG_FILE
            with log.open("wb") as out:
                process = self._start(description, environment, out)
            deadline = time.monotonic() + START_SECONDS
            while self.pid() is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    kill_marked(str(self.folder))
                    said = log.read_text(errors="replace").strip() or "no message"
                    raise MachineError(f"{description.hostname} ({description.hardware.accel}) did not start: {said}")
                time.sleep(0.01)

    def _start(self, description: Description, environment: Mapping[str, str], out: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts the program that runs the machine, and what it needs."""
        hardware = description.hardware
        if hardware.accel == "uml":
            shutil.rmtree(self.folder / "uml", ignore_errors=True)
            command, environ = guard.module("uml.node", str(self.folder))
            environment = environ | environment
        else:
            for tag, source in zip(hardware.shares, description.share_sources, strict=True):
                self._serve(share(self.folder, tag, source), environment)
            command = qemu.arguments(hardware, self.folder / PID_FILE)
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _serve(self, served: Share, environment: Mapping[str, str]) -> None:
        """Starts the file server behind one persistent file system; it ends with the machine's QEMU."""
        with served.listener, served.log.open("wb") as out:
            subprocess.Popen(
                served.command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[served.listener.fileno()],
                start_new_session=True,
            )

    def cut(self) -> None:
        """Cuts the power: no shutdown, nothing flushed. Does nothing to a machine without power."""
        with self._locked():
            kill_marked(str(self.folder))

    def shut_down(self, seconds: float) -> None:
        """Presses the power button and waits for the guest to switch itself off; cuts the power after `seconds`."""
        deadline = time.monotonic() + seconds
        if self.pid() is not None:
            self._press_power_button()
        while self.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        self.cut()

    def _press_power_button(self) -> None:
        if self.description.hardware.accel == "uml":
            mconsole.press_power_button(self.folder)
        else:
            self.qmp("system_powerdown")

    def qmp(self, command: str, values: Mapping[str, object] | None = None) -> Any:
        """One command to the machine's QEMU, such as `qmp("system_reset")`; returns its answer."""
        if self.description.hardware.accel == "uml":
            raise MachineError(f"{self.description.hostname} is no QEMU: it runs as User-Mode Linux.")
        return qemu.qmp(self.folder, command, values)

    def throttle(self, bytes_per_second: int) -> None:
        """Limits each NVMe drive of a running QEMU machine; 0 lifts the limit. It ends with the next power cut."""
        for number, drive in enumerate(self.description.hardware.drives):
            if drive.attached:
                limits = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
                self.qmp("block_set_io_throttle", {"device": f"nvme{number}", "bps": bytes_per_second} | limits)

    def _change_drives(self, serial: str, change: Any) -> None:
        with self._locked():
            description = self.description
            drives = description.hardware.drives
            if serial not in [drive.serial for drive in drives if drive.attached]:
                plugged = ", ".join(drive.serial for drive in drives if drive.attached) or "none"
                raise MachineError(f"{description.hostname} has no drive {serial!r}. Plugged in: {plugged}.")
            changed = tuple(change(drive) if drive.serial == serial else drive for drive in drives)
            text = dump(replace(description, hardware=replace(description.hardware, drives=changed)))
            write_atomically(self.folder / "machine.json", text)

    def detach(self, serial: str) -> None:
        """Takes a drive out, from the next `boot` on; its data are kept."""
        self._change_drives(serial, lambda drive: replace(drive, attached=False))

    def replace_drive(self, serial: str) -> str:
        """Puts an empty drive in the place of another, from the next `boot` on; returns its serial."""
        base, _dash, version = serial.partition("-")
        fresh = f"{base}-{int(version or 0) + 1}"

        def change(drive: Drive) -> Drive:
            file = f"{fresh}.raw"
            self.make_drive(file, self.description.drive_bytes)
            return replace(drive, serial=fresh, file=file)

        self._change_drives(serial, change)
        return fresh

    def make_drive(self, file: str, size: int) -> None:
        """Makes an empty, sparse drive of `size` bytes."""
        with (self.folder / file).open("wb") as drive:
            drive.truncate(size)

    def save(self, target: Path) -> None:
        """Copies the disks of a machine without power, and what it is built of, into a new folder."""
        target.mkdir(parents=True)
        copy(self._disks(), target)

    def restore(self, source: Path) -> None:
        """Cuts the power, and makes the disks what they were at `save`."""
        self.cut()
        with self._locked():
            for disk in self._disks():
                disk.unlink()
            copy(sorted(source.iterdir()), self.folder)

    def _disks(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.suffix in (".cow", ".qcow2", ".raw") or path.name == "machine.json")

    def destroy(self) -> None:
        """Cuts the power and deletes the disks."""
        self.cut()
        shutil.rmtree(self.folder)
