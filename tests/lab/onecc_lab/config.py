# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's settings and the places of its files and addresses."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from .hardware import Network

SSH_PORT = 2222
"""Port of a head node's SSH on its loopback address: an ordinary user may not listen on 22."""

HOST_SEEN_FROM_NODES = "10.0.2.2"
"""What listens on this computer's loopback address, nodes reach by this one: QEMU's user-mode network sees to it."""


class ConfigError(Exception):
    """A lab cannot be made or found as asked; the message says what to do."""


@dataclass(frozen=True)
class Shape:
    """How machines are built, whoever launches them."""

    drives: int = 4
    head_drives: int = 0
    drive_bytes: int = 2**30
    rails: int = 2
    memory_mib: int = 512


@dataclass(frozen=True)
class Config:
    """A lab, as kept in `lab.json`."""

    name: str
    slot: int
    """1..254, different for each lab that runs on this computer: addresses, ports and groups follow from it."""
    api_key: str
    cluster_id: str
    limits: bool
    image: str
    """Folder of the image."""
    accel: str
    """What runs the nodes, one of `hardware.ACCELS`."""
    shape: Shape
    reason: str = ""
    """Why that runs them."""
    qemu: str = "tcg"
    """What runs the nodes of `on_qemu`: `kvm` or `tcg`."""
    on_qemu: tuple[str, ...] = ()
    """Names of nodes that are QEMU's whatever runs the others."""
    kernel: str = ""
    """Folder of the kernel of User-Mode Linux nodes; empty where there are none."""

    @property
    def api_port(self) -> int:
        return 18000 + self.slot

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def repositories_url(self) -> str:
        """Where a node finds the package repositories; a name of `repository.NAMES` follows."""
        return f"http://{HOST_SEEN_FROM_NODES}:{self.api_port}/repositories"

    @property
    def private(self) -> Network:
        """The private network's switch."""
        return Network(f"230.77.{self.slot}.1", 20000 + self.slot)

    def rail(self, number: int) -> Network:
        """The switch of a rail."""
        return Network(f"230.77.{self.slot}.{16 + number}", 20000 + self.slot)

    def public_address(self, index: int) -> str:
        return f"127.77.{self.slot}.{index}"


def private_address(index: int) -> str:
    """Address of a node on the private network."""
    return f"10.77.0.{index}"


def rail_address(number: int, index: int) -> str:
    """Address of a node on a rail, with its prefix."""
    return f"10.78.{number}.{index}/24"


def parse_size(text: str) -> int:
    """Bytes from a size such as `512M`, `1G` or `1048576`."""
    match = re.fullmatch(r"(\d+)([KMGT]?)", text.upper())
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no size: give a number of bytes, or one with K, M, G or T behind it, such as 1G.")
    return int(match[1]) * 1024 ** " KMGT".index(match[2] or " ")


def labs_root() -> Path:
    """Folder of all labs of this user."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "onecc-lab"


def lab_folder(name: str) -> Path:
    """Folder of one lab."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise ConfigError(f"{name!r} is no name for a lab: use up to 32 lower-case letters, digits and hyphens.")
    return labs_root() / name


def load(folder: Path) -> Config:
    """The settings of the lab in a folder."""
    try:
        raw = json.loads((folder / "lab.json").read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no lab {folder.name!r}. Start it with: onecc-lab --name {folder.name} up") from None
    del raw["schema"]
    return Config(**(raw | {"shape": Shape(**raw["shape"]), "on_qemu": tuple(raw["on_qemu"])}))


def dump(config: Config) -> str:
    """The JSON of settings."""
    return json.dumps({"schema": 1} | asdict(config), indent=2) + "\n"


def free_slot() -> int:
    """A slot that no lab of this user has and whose API port nobody listens on. Call it with the labs' lock held."""
    taken = set()
    for file in labs_root().glob("*/lab.json"):
        taken.add(json.loads(file.read_text())["slot"])
    for slot in range(1, 255):
        if slot in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 18000 + slot))
            except OSError:
                continue
            return slot
    raise ConfigError("254 labs run on this computer already; end one with: onecc-lab --name NAME down")
