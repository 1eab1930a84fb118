# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Reads from a machine what the linter of NCCL's configuration has to know."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import Assignment, Device, Node
from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, nccl_conf, obstacles, rdma
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# Where NVIDIA's packages, distributions and builds by hand put the library; and where pip puts its metadata.
LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/cuda/lib64",
    "/usr/local/nccl/lib",
)
WHEELS = ("/usr/lib/python3/dist-packages", "/usr/local/lib/python3.10/dist-packages", "/usr/local/lib/python3.12/dist-packages")

# systemd-system.conf(5), "DefaultEnvironment="; the later in this order counts.
MANAGERS = ("/usr/lib/systemd/system.conf.d", "/run/systemd/system.conf.d", "/etc/systemd/system.conf.d")
# Of accounts that people have; login.defs(5), UID_MIN and UID_MAX of Debian and Ubuntu.
PEOPLE = range(1000, 60000)
# Of a user's file. NCCL has some 200 variables, and none longer than 2 KiB with its value.
MOST_BYTES = 1 << 19


def node(machine: Machine, path: str, lines: list[nccl_conf.Line], version: tuple[int, int] | None = None) -> Node:
    """The node, for the linter of the file `path`. `version` overrides the one that is found."""
    topologies = {}
    for line in lines:
        if line.name == "NCCL_TOPO_FILE":
            value = line.value.strip(" \t\r\"'")
            topologies[value] = machine.data(value) if value.startswith("/") else None
    try:
        mode = os.stat(machine.path(path)).st_mode & 0o7777
    except OSError:
        mode = None
    ports = rdma.ports(machine)
    return Node(
        version=version or installed(machine),
        devices=[Device(port.device, port.number, port.link_layer, port.active) for port in ports],
        interfaces=machine.names("/sys/class/net"),
        pci=set(machine.names("/sys/bus/pci/devices")),
        topologies=topologies,
        mode=mode,
    )


def installed(machine: Machine) -> tuple[int, int] | None:
    """Major and minor version of the system's NCCL: by the library's file name, by Debian's package, or by pip's."""
    names = [name for folder in LIBRARIES for name in machine.names(folder)]
    package = dpkg.installed(machine, {"libnccl2"}).get("libnccl2", {})
    versions = [match[1] for name in names if (match := re.fullmatch(r"libnccl\.so\.(\d+\.\d+)\.\d+", name))]
    versions += re.findall(r"^\d+\.\d+", package.get("Version", ""))
    if not versions:
        wheels = [name for folder in WHEELS for name in machine.names(folder)]
        versions = [match[1] for name in wheels if (match := re.match(r"nvidia_nccl_cu\d+-(\d+\.\d+)", name))]
    return max((tuple(map(int, version.split("."))) for version in versions), default=None)


def before(machine: Machine, path: str) -> list[Assignment]:
    """What is set before NCCL reads the file `path`: in the environment, and for the system's file in the files before it."""
    environment = list(_environment(machine))
    found = [item for item in environment if item.name != "NCCL_CONF_FILE"]
    if path != nccl_conf.PATH:
        return found
    for item in environment:
        if item.name == "NCCL_CONF_FILE":
            found += _file(item.value, machine.data(item.value) or b"", item.for_whom)
    return found + list(_of_users(machine))


def content(machine: Machine, path: str) -> bytes | None:
    """A file's bytes, None where they cannot be read. In a user's folder it is read as that user, for it may be a link to another's."""
    why = obstacles.stranger(machine, path)
    if why is None or why.stranger is None:
        return machine.data(path)
    try:
        return machine.data_of(*why.stranger, path, MOST_BYTES)
    except TimeoutError:
        return None


def _of_users(machine: Machine) -> Iterator[Assignment]:
    """What users' own files set. Homes may be on a server that is gone: no other user is asked once one has not answered."""
    for name, home, user, group in _homes(machine):
        file = f"{home.rstrip('/')}/.nccl.conf"
        try:
            data = machine.data_of(user, group, file, MOST_BYTES)
        except TimeoutError:
            return
        yield from _file(file, data or b"", f"jobs of {name}")


def _file(file: str, data: bytes, for_whom: str | None) -> list[Assignment]:
    lines = nccl_conf.settings(nccl_conf.parse(data))
    return [Assignment(file, line.number, name, line.value, for_whom) for name, line in lines.items()]


def _environment(machine: Machine) -> Iterator[Assignment]:
    """NCCL's variables in the environments that the system gives to processes."""
    for number, line in enumerate((machine.text("/etc/environment") or "").split("\n"), 1):
        # pam_env(8): NAME=VALUE, export before it is allowed, quotes are taken away.
        yield from _assignments("/etc/environment", number, line, "logins")
    scripts = [f"/etc/profile.d/{name}" for name in machine.names("/etc/profile.d") if name.endswith(".sh")]
    for file in ("/etc/profile", *scripts, "/etc/bash.bashrc"):
        for number, line in enumerate((machine.text(file) or "").split("\n"), 1):
            yield from _assignments(file, number, line, "login shells" if file != "/etc/bash.bashrc" else "shells")
    drop_ins = [f"{folder}/{name}" for folder in MANAGERS for name in machine.names(folder) if name.endswith(".conf")]
    for file in ("/etc/systemd/system.conf", *drop_ins):
        for number, line in enumerate((machine.text(file) or "").split("\n"), 1):
            key, _equals, value = line.partition("=")
            if key.strip() == "DefaultEnvironment":
                yield from _assignments(file, number, value, "services")


def _assignments(file: str, number: int, line: str, for_whom: str) -> Iterator[Assignment]:
    """The assignments to NCCL's variables in a line, as a shell splits it."""
    if "NCCL_" not in line or line.lstrip().startswith(("#", ";")):
        return
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    for word in words:
        name, equals, value = word.rstrip(";").partition("=")
        if equals and re.fullmatch(r"NCCL_[A-Z0-9_]+", name):
            yield Assignment(file, number, name, value, for_whom)


def _homes(machine: Machine) -> Iterator[tuple[str, str, int, int]]:
    """Names, home directories and the numbers of root and of people, and of their groups. passwd(5)."""
    for line in (machine.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) != 7 or not fields[2].isdecimal() or not fields[3].isdecimal() or not fields[5].startswith("/"):
            continue
        if fields[2] == "0" or int(fields[2]) in PEOPLE:
            yield fields[0], fields[5], int(fields[2]), int(fields[3])
