# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's life: `up` and `down`, and finding what is in one."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import accel, config, daemon, guard, image
from .config import Config, Shape
from .machine import Machine, copy, write_atomically
from .progress import Progress
from .uml import kernel
from .vm import SHUTDOWN_SECONDS, remove_tree

HEAD_TYPE = "cpu_4x_general"
COMPUTE_TYPE = "gpu_8x_h100_sxm5gdr"
REGION = "us-east-1"
FILE_SYSTEM = "shared"
KEY_NAME = "onecc-lab"

BOOT_SECONDS = 900.0
"""How long all nodes may take to answer SSH. An emulated node takes 20 s alone and minutes on a busy computer."""


class LabError(Exception):
    """A lab cannot do what was asked; the message says why, and what to do."""


@dataclass(frozen=True)
class Plan:
    """What `up` is asked for."""

    heads: int
    compute: int
    limits: bool
    shape: Shape
    accel: str | None = None
    """One of `hardware.ACCELS`; None takes the best that works."""
    on_qemu: tuple[str, ...] = ()
    """Names of nodes that are QEMU's whatever runs the others."""
    owner: int = 0
    """Id of the process that the lab is for: it goes down when that ends, in whatever way. 0: it stays."""


class Terminated(Exception):
    """SIGTERM arrived."""


@contextmanager
def terminable() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that it is cleaned up after as Ctrl-C is."""

    def stop(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _held(name: str) -> Iterator[None]:
    """Keeps two `up` or `down` of one lab apart."""
    config.labs_root().mkdir(parents=True, exist_ok=True)
    with (config.labs_root() / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another `onecc-lab up` or `down` of lab {name!r} is running; wait for it or end it.") from None
        yield


def is_complete(folder: Path) -> bool:
    """Whether `up` came to its end for this lab."""
    return (folder / "complete").exists()


def open_lab(name: str) -> tuple[Path, Config]:
    """Folder and settings of a lab that is up."""
    folder = config.lab_folder(name)
    settings = config.load(folder)
    if not is_complete(folder):
        raise LabError(f"lab {name!r} is not up yet: `onecc-lab --name {name} up` still runs, or was killed.")
    return folder, settings


def machines(folder: Path) -> list[Machine]:
    """The machines of a lab, in the order of their launch."""
    found = [Machine(file.parent) for file in (folder / "machines").glob("*/machine.json")]
    return sorted(found, key=lambda machine: machine.description.hardware.index)


def find_machine(name: str, node: str) -> Machine:
    """A node of a lab by its host name. For tests: `find_machine("default", "1cc-node-1").cut()`."""
    folder, _settings = open_lab(name)
    found = {machine.description.hostname: machine for machine in machines(folder)}
    if node not in found:
        raise LabError(f"lab {name!r} has no node {node!r}. It has: {', '.join(found) or 'none'}.")
    return found[node]


def environment(folder: Path, settings: Config) -> dict[str, str]:
    """What a client of the lab has to know."""
    return {
        "LAMBDA_API_URL": settings.api_url,
        "LAMBDA_API_KEY": settings.api_key,
        "ONECC_CLUSTER_ID": settings.cluster_id,
        "ONECC_SSH_CONFIG": str(folder / "ssh_config"),
        "ONECC_REPOSITORIES": settings.repositories_url,
    }


def repository_url(name: str, repository: str) -> str:
    """Where the nodes of a lab find a package repository. For tests: `repository_url("default", "lambda")`."""
    return f"{open_lab(name)[1].repositories_url}/{repository}"


def order_state(name: str, repository: str, state: str) -> dict[str, str]:
    """Puts a package repository of a lab into a state of `repository.STATES`; returns the state of each."""
    return request(open_lab(name)[1], "PUT", "repositories", {repository: state}, prefix="lab")


def request(settings: Config, method: str, path: str, body: Mapping[str, Any] | None = None, prefix: str = "api/v1") -> Any:
    """One call of the lab's API, as any client would make it; returns the answer's `data`."""
    call = urllib.request.Request(
        f"{settings.api_url}/{prefix}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {settings.api_key}", "Content-Type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(call, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 429:
                time.sleep(1.1)
                continue
            raise LabError(f"the lab's API answered {error.code} to {method} {path}: {error.read().decode()}") from None


def up(name: str, plan: Plan) -> bool:
    """Starts a lab and waits until its nodes answer SSH. False: it was running already, and nothing was changed."""
    folder = config.lab_folder(name)
    with _held(name), terminable():
        if is_complete(folder):
            if daemon.running(folder):
                return False
            _start_server_again(folder)
            return False
        _clean(folder)
        built = image.ensure()
        settings = _make_folder(name, folder, plan, built, accel.choose(built, plan.accel))
        server, hold = _start_server(folder, plan.owner)
        try:
            _wait_for_api(folder, settings, server)
            _launch(folder, settings, plan)
            _wait_for_nodes(settings, server)
            (folder / "complete").touch()
            os.write(hold, daemon.DONE)
        except BaseException:
            (folder / "complete").unlink(missing_ok=True)
            Progress("down").say("not finished: ending what was started")
            raise
        finally:
            os.close(hold)
            if not is_complete(folder):
                server.wait()
    return True


def _make_folder(name: str, folder: Path, plan: Plan, built: image.Image, choice: accel.Choice) -> Config:
    folder.mkdir(mode=0o700)
    with (config.labs_root() / "slots.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = Config(
            name=name,
            slot=config.free_slot(),
            api_key=f"secret_lab_{secrets.token_hex(8)}.{secrets.token_hex(16)}",
            cluster_id=secrets.token_hex(16),
            limits=plan.limits,
            image=str(built.folder),
            accel=choice.accel,
            shape=plan.shape,
            reason=choice.reason,
            qemu=choice.qemu,
            on_qemu=plan.on_qemu,
            kernel=str(kernel.ensure().folder) if choice.accel == "uml" else "",
        )
        write_atomically(folder / "lab.json", config.dump(settings), 0o600)
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", KEY_NAME, "-f", str(folder / "id_ed25519")]
    subprocess.run(key, check=True)
    return settings


def _start_server(folder: Path, owner: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    """The API server, and the pipe by which it lives until it is told that all is done."""
    reader, writer = os.pipe()
    command, environ = guard.module("daemon", str(folder), str(reader), str(owner))
    try:
        with (folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                command,
                env=environ,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[reader],
                start_new_session=True,
            )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    return server, writer


def _start_server_again(folder: Path) -> None:
    """For a lab whose server died: machines and account are as they were."""
    server, hold = _start_server(folder)
    # From here on the lab does not depend on this process: its machines are older than it.
    os.write(hold, daemon.DONE)
    os.close(hold)
    _wait_for_api(folder, config.load(folder), server)


def _check_server(folder: Path, server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        log = (folder / "server.log").read_text(errors="replace") if folder.exists() else ""
        tail = "\n".join(log.splitlines()[-15:])
        raise LabError(f"the lab's API server ended with status {server.returncode}:\n{tail}")


def _wait_for_api(folder: Path, settings: Config, server: subprocess.Popen[bytes]) -> None:
    progress = Progress("api")
    while True:
        _check_server(folder, server)
        try:
            request(settings, "GET", "instances")
        except urllib.error.URLError:
            progress.say(f"starting on {settings.api_url}")
            progress.wait(0.1)
        else:
            progress.done(f"answers on {settings.api_url}")
            return


def _launch(folder: Path, settings: Config, plan: Plan) -> None:
    public_key = (folder / "id_ed25519.pub").read_text().strip()
    request(settings, "POST", "ssh-keys", {"name": KEY_NAME, "public_key": public_key})
    request(settings, "POST", "filesystems", {"name": FILE_SYSTEM, "region": REGION})
    nodes = [(f"1cc-head-{number}", HEAD_TYPE) for number in range(1, plan.heads + 1)]
    nodes += [(f"1cc-node-{number}", COMPUTE_TYPE) for number in range(1, plan.compute + 1)]
    progress = Progress("launch")
    for name, kind in nodes:
        progress.say(name)
        request(
            settings,
            "POST",
            "instance-operations/launch",
            {
                "region_name": REGION,
                "instance_type_name": kind,
                "ssh_key_names": [KEY_NAME],
                "file_system_names": [FILE_SYSTEM],
                "name": name,
                "hostname": name,
                "tags": [{"key": "cluster-id", "value": settings.cluster_id}],
            },
        )


def _wait_for_nodes(settings: Config, server: subprocess.Popen[bytes]) -> None:
    progress = Progress("nodes")
    deadline = time.monotonic() + BOOT_SECONDS
    folder = config.lab_folder(settings.name)
    while True:
        _check_server(folder, server)
        rows = request(settings, "GET", f"instances?cluster_id={settings.cluster_id}")
        waiting = [f"{row['name']} {row['status']}" for row in rows if row["status"] != "active"]
        if not waiting:
            progress.done(f"{len(rows)} active")
            return
        if broken := [text for text in waiting if text.endswith(" unhealthy")]:
            raise LabError(f"a machine lost power while booting: {', '.join(broken)}.")
        if time.monotonic() > deadline:
            raise LabError(f"not all nodes answered SSH within {BOOT_SECONDS:.0f} s: {', '.join(waiting)}.")
        progress.say(", ".join(waiting))
        progress.wait(0.5)


def save(name: str, snapshot: str) -> None:
    """Keeps the disks of all nodes and the shared file systems as they are, to come back to by `restore`.

    Shuts the nodes down for it and boots them again. A snapshot of the same name is replaced.
    """
    folder, settings = open_lab(name)
    target = _snapshot(folder, snapshot)
    with _held(name):
        nodes = machines(folder)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine: machine.shut_down(SHUTDOWN_SECONDS), nodes))
        try:
            if target.exists():
                remove_tree(target)
            for machine in nodes:
                machine.save(target / "machines" / machine.folder.name)
            copy([folder / "filesystems"], target)
        finally:
            _boot(nodes)


def restore(name: str, snapshot: str, only: Sequence[str] = ()) -> None:
    """Makes the nodes, and the shared file systems, what they were at `save`; cuts the nodes' power for it.

    only: host names of the nodes that are restored; the others and the shared file systems are left as they are.
    """
    folder, _settings = open_lab(name)
    source = _snapshot(folder, snapshot)
    with _held(name):
        nodes = machines(folder)
        kept = source / "machines"
        if not source.is_dir() or {machine.folder.name for machine in nodes} != {path.name for path in kept.iterdir()}:
            raise LabError(f"lab {name!r} has no snapshot {snapshot!r} of the nodes that it has now.")
        if only:
            nodes = [find_machine(name, node) for node in only]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine: machine.restore(kept / machine.folder.name), nodes))
        if not only:
            remove_tree(folder / "filesystems")
            copy([source / "filesystems"], folder)
        _boot(nodes)


def _snapshot(folder: Path, name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise LabError(f"{name!r} is no name for a snapshot: use up to 32 lower-case letters, digits and hyphens.")
    return folder / "snapshots" / name


def _boot(nodes: Iterable[Machine]) -> None:
    """Switches nodes on, and waits until they answer SSH."""
    nodes = list(nodes)
    for machine in nodes:
        machine.boot()
    deadline = time.monotonic() + BOOT_SECONDS
    while waiting := [machine for machine in nodes if machine.status() != "active"]:
        if time.monotonic() > deadline or any(machine.pid() is None for machine in waiting):
            names = ", ".join(f"{machine.description.hostname} {machine.status()}" for machine in waiting)
            raise LabError(f"not all nodes came back: {names}.")
        time.sleep(0.1)


def down(name: str) -> bool:
    """Ends everything of a lab and deletes its files, also where its server is dead. False: there was nothing."""
    folder = config.lab_folder(name)
    with _held(name):
        existed = folder.exists()
        _clean(folder)
    return existed


def _clean(folder: Path) -> None:
    """Ends the server first, so that it starts nothing anew."""
    deadline = time.monotonic() + 5
    while pids := daemon.running(folder):
        late = time.monotonic() > deadline
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    daemon.destroy(folder)
