# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""How OpenSSH gets to a host: directly, or through one of several head nodes.

Everything that ends up on a command line is an address or an identifier that `_discovery` checked, a constant, or a
setting of the user, which is quoted. Four readers take it apart, one after the other: Ansible (shlex), ssh (% tokens),
the user's shell (`exec …`), and the sh started here, for `exec a || b` would never come to b.
"""

from __future__ import annotations

import hashlib
import os.path
import shlex
import socket
import typing as t
from dataclasses import dataclass

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import HEAD, Host, Notes, listed, natural

# A 1-Click Cluster has three head nodes. More tries than that would only delay the answer that a node is down.
HEADS_TRIED = 3
# Seconds for a head node to answer at all, and to be noticed as dead by a connection that is up (interval x (count + 1)).
CONNECT_TIMEOUT = 10
ALIVE_INTERVAL, ALIVE_COUNT = 5, 2
HEAD_LOST_AFTER = max(CONNECT_TIMEOUT, ALIVE_INTERVAL * (ALIVE_COUNT + 1))
CONTROL_PERSIST = "15m"
# sun_path holds 108 bytes with the final zero on Linux and 104 elsewhere; ssh appends a dot and 16 characters while it
# sets the socket up.
SOCKET_PATH_LIMIT = 104 - 1 - 17


@dataclass(frozen=True)
class Settings:
    """The user's side of the connection; None leaves it to OpenSSH."""

    user: str | None = None
    port: int | None = None
    config_file: str | None = None
    key_file: str | None = None
    control_dir: str | None = None
    """Where sockets of shared connections live; None: connections are not shared."""


class Route(t.NamedTuple):
    address: str
    heads: tuple[Host, ...]
    """In the order in which they are tried; none: directly."""

    @property
    def by_way_of(self) -> tuple[str, ...]:
        """Names of the heads; what `proxy_commands` goes by."""
        return tuple(head.name for head in self.heads)


def routes(hosts: t.Sequence[Host], connection: str, notes: Notes) -> dict[str, Route]:
    """By name of host, the way to it. Hosts that no way leads to are missing, and the reader is told."""
    heads = _heads_by_region(hosts) if connection == "head" else {}
    found: dict[str, Route] = {}
    lost: list[str] = []
    headless: list[str] = []
    passed: dict[str | None, int] = {}
    for host in sorted(hosts, key=lambda host: natural(host.name)):
        region = host.node["region"]
        public, private = host.node["ip"], host.node["private_ip"]
        if connection == "public" or (connection == "head" and host.role == HEAD):
            address = public or private
        else:
            address = private or public
        if address is None:
            lost.append(host.name)
            continue
        through: tuple[Host, ...] = ()
        if connection == "head" and host.role != HEAD and private:
            available = heads.get(region, [])
            if available:
                # The i-th node begins at the i-th head, so that each head carries its share.
                turn = passed.get(region, 0)
                passed[region] = turn + 1
                through = tuple(available[(turn + i) % len(available)] for i in range(min(HEADS_TRIED, len(available))))
            else:
                headless.append(host.name)
        found[host.name] = Route(address, through)
    if lost:
        notes.warnings.append(f"Left out, because the API lists no address that leads to them: {listed(lost)}.")
    if headless:
        notes.warnings.append(
            "No head node with a public address is known in their region, so these are contacted directly by private "
            f"address: {listed(headless)}. On a machine outside that network set `connection: public`, or widen the "
            "filters so that they include the head nodes; inside it set `connection: private`."
        )
    return found


def _heads_by_region(hosts: t.Iterable[Host]) -> dict[str | None, list[Host]]:
    """Head nodes that can be entered from outside. A private network does not reach beyond its region."""
    by_region: dict[str | None, list[Host]] = {}
    for host in sorted(hosts, key=lambda host: natural(host.name)):
        if host.role == HEAD and host.node["ip"]:
            by_region.setdefault(host.node["region"], []).append(host)
    return by_region


def proxy_commands(routes_taken: t.Iterable[Route], settings: Settings) -> dict[tuple[str, ...], str]:
    """The ProxyCommand of every way through heads. Thousands of nodes share a few."""
    ways = {route.by_way_of: route.heads for route in routes_taken if route.heads}
    return {names: proxy_command(heads, settings) for names, heads in ways.items()}


def common_args(host: Host, proxy: str | None, settings: Settings) -> str:
    """ansible_ssh_common_args: for ssh, scp and sftp alike."""
    words = []
    if settings.config_file:
        words += ["-F", settings.config_file]
    if host.node["id"]:
        words += ["-o", f"HostKeyAlias={host.node['id']}"]
    if proxy:
        words += ["-o", f"ProxyCommand={proxy}"]
    return shlex.join(words)


def proxy_command(heads: t.Sequence[Host], settings: Settings) -> str:
    """Tries the heads in turn. ssh reads nothing from its input before the way is open, so the next one starts afresh."""
    script = " || ".join(hop(head, settings) for head in heads)
    # Each % that is there stands for itself; those of the target are for ssh to fill in.
    return f"sh -c {shlex.quote(script)}".replace("%", "%%").replace(_TARGET, "[%h]:%p")


# No path or name can hold a zero byte.
_TARGET = "\0target\0"


def hop(head: Host, settings: Settings) -> str:
    """The command that connects its input and output to the target through `head`."""
    port = head.port or settings.port
    user = head.user or settings.user
    words = ["ssh"]
    if settings.config_file:
        words += ["-F", settings.config_file]
    words += ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={CONNECT_TIMEOUT}"]
    words += ["-o", f"ServerAliveInterval={ALIVE_INTERVAL}", "-o", f"ServerAliveCountMax={ALIVE_COUNT}"]
    socket_path = control_socket(head, settings)
    if socket_path:
        # One connection to a head for all the nodes behind it: sshd drops new ones at random from the tenth on that has
        # not logged in yet (MaxStartups 10:30:100). With -S, since Ansible looks for the word ControlPath in its
        # arguments to learn whether the connection to the node has one.
        words += ["-o", "ControlMaster=auto", "-o", f"ControlPersist={CONTROL_PERSIST}"]
        words += ["-S", socket_path.replace("%", "%%")]
    if head.node["id"]:
        words += ["-o", f"HostKeyAlias={head.node['id']}"]
    if settings.key_file:
        words += ["-i", settings.key_file.replace("%", "%%")]
    if port:
        words += ["-p", str(port)]
    if user:
        words += ["-l", user]
    command = f'{shlex.join(words)} -W "{_TARGET}" -- {head.node["ip"]}'
    if not socket_path:
        return command
    # Over a shared connection ssh ends with 0 even if that connection broke off; then it is gone, and the next head is due.
    check = shlex.join(["ssh", "-F", "none", "-S", socket_path.replace("%", "%%"), "-O", "check"])
    return f"{{ {command} && {check} -- {head.node['ip']} >/dev/null 2>&1; }}"


def control_socket(head: Host, settings: Settings) -> str | None:
    """Path of the socket of the shared connection to `head`, or None where a path would be too long for one.

    A short digest in place of %C, whose 40 digits do not fit into many a directory. This machine's name is in it, for a
    home directory may be shared by several.
    """
    if not settings.control_dir:
        return None
    name = _socket_name(head.node["id"], head.node["ip"], head.port or settings.port, head.user or settings.user, settings)
    path = os.path.join(settings.control_dir, name)
    return path if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT else None


def control_path(host: Host, route: Route, settings: Settings) -> str:
    """ansible_control_path: the socket of Ansible's own connection to a node.

    Ansible would name it after address, port and user alone. Two clusters may use the same private addresses, and the
    connection to a node of one would then be taken for that to a node of the other, which no host key could prevent.
    """
    heads = [(head.node["id"], head.node["ip"]) for head in route.heads]
    name = _socket_name(host.node["id"], route.address, host.port or settings.port, heads, settings)
    return f"%(directory)s/{name}-%%r"


def _socket_name(*identity: object) -> str:
    return "onecc-" + hashlib.sha256(repr((socket.gethostname(), *identity)).encode()).hexdigest()[:10]


def connect_timeout(longest: int) -> int:
    """Seconds for the connection to a node through up to `longest` heads, all but the last of which may be dead."""
    return HEAD_LOST_AFTER * (longest - 1) + 2 * CONNECT_TIMEOUT
