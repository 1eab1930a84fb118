# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `onecc-lab`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import accel, api, config, daemon, image, lab
from .accel import AccelError
from .config import ConfigError, Shape
from .hardware import ACCELS
from .image import ImageError
from .lab import LabError, Terminated
from .machine import Machine, MachineError
from .qemu import QmpError
from .repository import NAMES, STATES
from .uml import kernel
from .uml.kernel import KernelError


def _count(low: int, high: int) -> Callable[[str], int]:
    """An argparse type: a whole number within bounds."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def _size(text: str) -> int:
    try:
        return config.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="onecc-lab", description="A virtual 1-Click Cluster on this computer.")
    out.add_argument("--name", default="default", help="which lab, where several run at once (default: %(default)s)")
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the lab and wait until its nodes answer SSH")
    up.add_argument("--heads", type=_count(1, 3), default=1, help="head nodes (default: %(default)s)")
    up.add_argument("--compute", type=_count(0, 64), default=2, help="compute nodes (default: %(default)s)")
    up.add_argument("--drives", type=_count(0, 16), default=4, help="NVMe drives of a compute node (default: %(default)s)")
    up.add_argument("--head-drives", type=_count(0, 16), default=0, help="of a head node (default: %(default)s)")
    up.add_argument("--drive-size", type=_size, default="1G", metavar="SIZE", help="of each drive (default: %(default)s)")
    up.add_argument("--rails", type=_count(0, 8), default=2, help="RDMA rails of a compute node (default: %(default)s)")
    up.add_argument("--memory", type=_count(384, 65536), default=512, metavar="MIB", help="of a node (default: %(default)s)")
    up.add_argument("--accel", choices=ACCELS, help=f"what runs the nodes (default: {accel.VARIABLE}, or the best that works)")
    up.add_argument(
        "--qemu", action="append", default=[], metavar="NODE", help="run this node on QEMU, whatever runs the others"
    )
    up.add_argument("--owner", type=_count(0, 2**22), default=0, metavar="PID", help="end the lab when that process ends")
    up.add_argument("--limits", action="store_true", help="let the API refuse what comes too fast, as the real one does")

    commands.add_parser("down", help="end the lab and delete all its files")
    status = commands.add_parser("status", help="show the nodes")
    status.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser("env", help='print what a client needs: eval "$(onecc-lab env)"')
    for name, text in (("cut", "cut a node's power"), ("boot", "switch a node on again")):
        commands.add_parser(name, help=text).add_argument("node")
    ssh = commands.add_parser("ssh", help="log in to a node, or run a command there")
    ssh.add_argument("node")
    ssh.add_argument("remote", nargs=argparse.REMAINDER, metavar="COMMAND")
    drive = commands.add_parser("drive", help="change what a node has plugged in from its next boot on")
    drive.add_argument("node")
    change = drive.add_mutually_exclusive_group(required=True)
    change.add_argument("--detach", metavar="SERIAL", help="take a drive out")
    change.add_argument("--replace", metavar="SERIAL", help="put an empty drive in its place")
    save = commands.add_parser("save", help="shut the nodes down, keep their disks and the shared file systems, boot them")
    save.add_argument("snapshot")
    restore = commands.add_parser("restore", help="make nodes what they were when the snapshot was saved")
    restore.add_argument("snapshot")
    restore.add_argument("node", nargs="*", help="only these; the shared file systems then stay as they are")
    repository = commands.add_parser("repository", help="say where nodes find a package repository, or change its state")
    repository.add_argument("repository", choices=NAMES)
    repository.add_argument(
        "state", nargs="?", choices=STATES, help="; ".join(f"{key}: {is_}" for key, is_ in STATES.items())
    )
    commands.add_parser("image", help="build the disk image that nodes start from, and no more")
    wanted = commands.add_parser("kernel", help="build the kernel of User-Mode Linux nodes, and no more")
    wanted.add_argument("--wanted", action="store_true", help="only say by the exit status whether `up` would build it")
    serve = commands.add_parser("serve", help="run the API alone, without machines, until Ctrl-C")
    serve.add_argument("--port", type=_count(0, 65535), default=0, help="0 takes a free one (default: %(default)s)")
    serve.add_argument("--instances", type=Path, metavar="FILE", help="a JSON array to answer GET /instances with")
    serve.add_argument("--heads", type=_count(0, 3), default=0, help="head nodes to begin with (default: %(default)s)")
    serve.add_argument(
        "--compute", type=_count(0, 10000), default=0, help="compute nodes to begin with (default: %(default)s)"
    )
    serve.add_argument("--no-limits", action="store_true", help="answer however fast the requests come")
    return out


def _up(options: argparse.Namespace) -> int:
    shape = Shape(
        drives=options.drives,
        head_drives=options.head_drives,
        drive_bytes=options.drive_size,
        rails=options.rails,
        memory_mib=options.memory,
    )
    plan = lab.Plan(options.heads, options.compute, options.limits, shape, options.accel, tuple(options.qemu), options.owner)
    fresh = lab.up(options.name, plan)
    command = "onecc-lab" if options.name == "default" else f"onecc-lab --name {options.name}"
    print(f"The lab {options.name!r} {'is up' if fresh else 'is running already; nothing was changed'}. Next:")
    print(f'  eval "$({command} env)"       # for ansible and every other client of the API')
    print(f"  {command} status")
    print(f"  {command} ssh 1cc-node-1")
    print(f"  {command} down")
    return 0


def _down(options: argparse.Namespace) -> int:
    print(f"The lab {options.name!r} {'is gone' if lab.down(options.name) else 'did not exist'}.")
    return 0


def _rows(folder: Path) -> list[dict[str, object]]:
    out: list[dict[str, object]] = []
    for machine in lab.machines(folder):
        node = machine.description
        out.append(
            {
                "name": node.hostname,
                "role": "compute" if node.compute else "head",
                "status": machine.status(),
                "public": node.public,
                "private": node.private,
                "drives": [drive.serial for drive in node.hardware.drives if drive.attached],
                "accel": node.hardware.accel,
                "id": node.id,
            }
        )
    return out


def _status(options: argparse.Namespace) -> int:
    folder, settings = lab.open_lab(options.name)
    rows = _rows(folder)
    serving = bool(daemon.running(folder))
    if options.json:
        answer = {"schema": 1, "name": options.name, "api": settings.api_url, "serving": serving, "nodes": rows}
        answer |= {"accel": settings.accel, "accel_reason": settings.reason}
        print(json.dumps(answer, indent=2))
        return 0
    table = [("NAME", "ROLE", "STATUS", "RUN BY", "PUBLIC", "PRIVATE", "DRIVES")]
    for row in rows:
        drives = row["drives"]
        assert isinstance(drives, list)
        cells = [str(row[key] or "-") for key in ("name", "role", "status", "accel", "public", "private")]
        table.append((*cells, " ".join(drives) or "-"))  # type: ignore[arg-type]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(f"\nNodes are run by {settings.accel}: {settings.reason}.")
    print(f"API: {settings.api_url}{'' if serving else ' (the server is dead; `up` starts it again)'}")
    return 0


def _env(options: argparse.Namespace) -> int:
    for name, value in lab.environment(*lab.open_lab(options.name)).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _ssh(options: argparse.Namespace) -> int:
    lab.find_machine(options.name, options.node)
    folder, _settings = lab.open_lab(options.name)
    command = ["ssh", "-F", str(folder / "ssh_config"), options.node, *options.remote]
    os.execvp(command[0], command)


def _machine(options: argparse.Namespace) -> Machine:
    return lab.find_machine(options.name, options.node)


def _cut(options: argparse.Namespace) -> int:
    _machine(options).cut()
    return 0


def _boot(options: argparse.Namespace) -> int:
    _machine(options).boot()
    return 0


def _drive(options: argparse.Namespace) -> int:
    machine = _machine(options)
    if options.detach:
        machine.detach(options.detach)
        print(f"From its next boot on, {options.node} is without {options.detach}.")
    else:
        fresh = machine.replace_drive(options.replace)
        print(f"From its next boot on, {options.node} has the empty {fresh} in place of {options.replace}.")
    return 0


def _save(options: argparse.Namespace) -> int:
    lab.save(options.name, options.snapshot)
    return 0


def _restore(options: argparse.Namespace) -> int:
    lab.restore(options.name, options.snapshot, options.node)
    return 0


def _repository(options: argparse.Namespace) -> int:
    if options.state:
        lab.order_state(options.name, options.repository, options.state)
    print(lab.repository_url(options.name, options.repository))
    return 0


def _image(_options: argparse.Namespace) -> int:
    with lab.terminable():
        print(image.ensure().folder)
    return 0


def _kernel(options: argparse.Namespace) -> int:
    if options.wanted:
        return 0 if accel.kernel_is_wanted() else 1
    with lab.terminable():
        print(kernel.ensure().folder)
    return 0


def _serve(options: argparse.Namespace) -> int:
    key = os.environ.get("LAMBDA_API_KEY") or f"secret_lab_{secrets.token_hex(16)}"

    def announce(url: str) -> None:
        print(f"export LAMBDA_API_URL={url}\nexport LAMBDA_API_KEY={shlex.quote(key)}", flush=True)

    api.serve(
        port=options.port,
        api_key=key,
        limits=not options.no_limits,
        instances_file=options.instances,
        heads=options.heads,
        compute=options.compute,
        on_listening=announce,
    )
    return 0


_COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "ssh": _ssh,
    "cut": _cut,
    "boot": _boot,
    "drive": _drive,
    "save": _save,
    "restore": _restore,
    "repository": _repository,
    "image": _image,
    "kernel": _kernel,
    "serve": _serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Status 1: it could not be done; 2: the command line was wrong; 130, 143: interrupted."""
    options = parser().parse_args(argv)
    try:
        return _COMMANDS[options.command](options)
    except (AccelError, ConfigError, ImageError, KernelError, LabError, MachineError, QmpError, OSError) as error:
        print(f"onecc-lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143


if __name__ == "__main__":
    sys.exit(main())
