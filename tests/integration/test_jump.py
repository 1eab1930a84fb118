# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way through the head nodes, walked: real sshd processes on loopback addresses, real ssh, real ansible.

Three heads and six nodes, one sshd and one host key each, all on one high port. ssh checks host keys strictly, against a
file that knows them by instance id alone.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UNPACKED = CHECKOUT / ".cache/sshd/usr/sbin"  # by `make integration`, where the machine has none
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{UNPACKED}")
PRIVSEP = Path("/run/sshd")  # where Debian's sshd wants an empty directory when root runs it

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs all of 127.0.0.0/8, which Linux alone has"),
    pytest.mark.skipif(SSHD is None, reason="no sshd on this machine; `make sshd` unpacks one"),
    pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh on this machine (Debian: openssh-client)"),
]

HEADS = {f"jump-head-{i}": f"127.77.0.{i}" for i in (1, 2, 3)}
NODES = {f"jump-node-{i}": f"127.77.1.{i}" for i in range(1, 7)}


def instance_id(name: str) -> str:
    return f"{name.replace('-', ''):0>32}"


class Machine:
    """One sshd, which stands for one instance."""

    def __init__(self, name: str, address: str, port: int, directory: Path, client_key: Path) -> None:
        self.name, self.address, self.port = name, address, port
        self.log = directory / f"{name}.log"
        self.host_key = directory / f"{name}.key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.host_key)], check=True)
        self.config = directory / f"{name}.conf"
        self.config.write_text(
            f"""\
ListenAddress {address}:{port}
HostKey {self.host_key}
AuthorizedKeysFile {client_key}.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 10:30:100
LogLevel DEBUG1
Subsystem sftp internal-sftp
"""
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SSHD
        self.process = subprocess.Popen([SSHD, "-D", "-f", str(self.config), "-E", str(self.log)], start_new_session=True)
        for _attempt in range(200):
            if self.process.poll() is not None:
                raise RuntimeError(f"sshd of {self.name} ended: {self.log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
                return
            threading.Event().wait(0.05)
        raise RuntimeError(f"sshd of {self.name} does not listen")

    def processes(self) -> list[int]:
        """This sshd and all that it started, sessions included, which are sessions of their own."""
        if self.process is None:
            return []
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in task.read_text().split()]
        return found

    def signal(self, number: int) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def logins(self) -> int:
        return len(re.findall(r"^Accepted publickey", self.log.read_text(), re.M)) if self.log.exists() else 0

    def forwards(self) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return re.findall(r"server_request_direct_tcpip: originator \S+ port \d+, target (\S+) port", text)


class Cluster:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.77.0.1", 0))
            self.port = probe.getsockname()[1]
        self.key = directory / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.machines = {
            name: Machine(name, address, self.port, directory, self.key) for name, address in {**HEADS, **NODES}.items()
        }
        known = directory / "known hosts"
        known.write_text(
            "".join(
                f"{instance_id(name)} {machine.host_key.with_suffix('.key.pub').read_text()}"
                for name, machine in self.machines.items()
            )
        )
        # With a space, a quote and a percent sign, which all have a meaning to one of the four that read the command.
        self.ssh_config = directory / "it's 100% ssh.conf"
        self.ssh_config.write_text(
            f"""\
Host *
  Port {self.port}
  IdentityFile {self.key}
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile "{known}"
  GlobalKnownHostsFile /dev/null
"""
        )
        self.control_dir = directory / "c"
        self.inventory = directory / "jump.lambda_cloud.yml"
        self.inventory.write_text(f"plugin: onecc.cluster.lambda_cloud\nssh_user: {getpass.getuser()}\n")
        self.ansible_cfg = directory / "ansible.cfg"
        self.ansible_cfg.write_text(
            "[defaults]\nforks = 16\n[ssh_connection]\npipelining = true\nssh_args = -o ControlMaster=auto -o ControlPersist=60s\n"
        )
        self.url = ""

    def rows(self) -> list[dict[str, object]]:
        return [
            {
                "id": instance_id(name),
                "name": name,
                "status": "active",
                "ip": HEADS.get(name),
                "private_ip": None if name in HEADS else NODES[name],
                "region": {"name": "us-east-2", "description": ""},
                "instance_type": {"name": "x", "specs": {"gpus": 0 if name in HEADS else 8}},
            }
            for name in self.machines
        ]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_CONFIG": str(self.ansible_cfg),
            "ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.control_dir),
            "LAMBDA_API_URL": self.url,
            "LAMBDA_API_KEY": "secret_jump.0123456789abcdef",
            "ONECC_SSH_CONFIG": str(self.ssh_config),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }

    def ansible(self, pattern: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ansible", "-i", str(self.inventory), pattern, *args],
            env={**self.environment(), **environment}, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False,
        )

    def forget_connections(self) -> None:
        """Ends the shared connections, to nodes and then to heads, and the logs of what went through them.

        In that order, each to its end: a way whose head goes away under it would try the next head, and log in there.
        """
        sockets = list(self.control_dir.glob("*")) if self.control_dir.exists() else []
        to_nodes = [path for path in sockets if path.name.endswith(f"-{getpass.getuser()}")]
        for batch, ended in ((to_nodes, " -W "), (set(sockets) - set(to_nodes), "")):
            for path in batch:
                subprocess.run(["ssh", "-S", str(path), "-O", "exit", "x"], capture_output=True, check=False)
                path.unlink(missing_ok=True)
            for _attempt in range(600):
                if not self.connections(ended):
                    break
                threading.Event().wait(0.05)
            else:
                raise RuntimeError(f"connections do not end: {self.connections(ended)}")
        for machine in self.machines.values():
            if machine.log.exists():
                os.truncate(machine.log, 0)

    def connections(self, word: str) -> list[str]:
        """Command lines, with this word in them, of the processes that hold a connection of this cluster."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if line.startswith(("ssh", "sh -c")) and str(self.control_dir) in line and word in line:
                    found.append(line)
        return found

    def heads(self) -> list[Machine]:
        return [self.machines[name] for name in HEADS]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    runpy.run_path(str(CHECKOUT / "tests" / "unit" / "conftest.py"))
    made_privsep = os.geteuid() == 0 and not PRIVSEP.exists()
    if made_privsep:
        PRIVSEP.mkdir(mode=0o755)
    # A short path: it holds sockets.
    directory = Path(tempfile.mkdtemp(prefix="onecc-"))
    cluster = Cluster(directory)
    (directory / "collections/ansible_collections/onecc").mkdir(parents=True)
    (directory / "collections/ansible_collections/onecc/cluster").symlink_to(CHECKOUT)

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": cluster.rows()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    try:
        for machine in cluster.machines.values():
            machine.start()
        yield cluster
    finally:
        cluster.forget_connections()
        for machine in cluster.machines.values():
            machine.stop()
        server.shutdown()
        server.server_close()
        shutil.rmtree(directory)
        if made_privsep:
            PRIVSEP.rmdir()


@pytest.fixture(autouse=True)
def all_well(cluster: Cluster) -> Iterator[None]:
    cluster.forget_connections()
    yield
    cluster.forget_connections()
    for machine in cluster.machines.values():
        if machine.process is None:
            machine.start()
    cluster.forget_connections()


def reached(result: subprocess.CompletedProcess[str]) -> set[str]:
    return set(re.findall(r"^(\S+) \| (?:CHANGED|SUCCESS)", result.stdout, re.M))


def test_heads_are_entered_directly_and_nodes_through_them(cluster: Cluster) -> None:
    result = cluster.ansible("onecc", "-m", "ansible.builtin.raw", "-a", "true")
    assert reached(result) == {*HEADS, *NODES}, result.stdout + result.stderr
    went = [set(head.forwards()) for head in cluster.heads()]
    assert all(len(targets) == 2 for targets in went), went
    assert set().union(*went) == set(NODES.values())


def test_modules_and_files_get_through(cluster: Cluster) -> None:
    result = cluster.ansible("onecc_compute", "-m", "ansible.builtin.ping", ANSIBLE_PIPELINING="false")
    assert reached(result) == set(NODES), result.stdout + result.stderr


def test_nodes_share_the_connection_to_a_head(cluster: Cluster) -> None:
    first = cluster.ansible("onecc_compute", "-f", "1", "-m", "ansible.builtin.raw", "-a", "true")
    assert reached(first) == set(NODES), first.stdout + first.stderr
    assert [head.logins() for head in cluster.heads()] == [1, 1, 1]


def test_connections_to_nodes_are_kept_too(cluster: Cluster) -> None:
    """Ansible looks for the words ControlPersist and ControlPath in its arguments; the head's must not be taken for the node's."""
    for _run in range(3):
        result = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true")
        assert reached(result) == {"jump-node-1"}, result.stdout + result.stderr
    # On a busy computer a way through a head may be given up once, and taken again.
    assert cluster.machines["jump-node-1"].logins() < 3


@pytest.mark.parametrize("dead", [["jump-head-1"], ["jump-head-1", "jump-head-2"], ["jump-head-2", "jump-head-3"]])
def test_another_head_is_taken_when_one_refuses(cluster: Cluster, dead: list[str]) -> None:
    for name in dead:
        cluster.machines[name].stop()
    result = cluster.ansible("onecc_compute", "-m", "ansible.builtin.raw", "-a", "true", ANSIBLE_SSH_RETRIES="0")
    assert reached(result) == set(NODES), result.stdout + result.stderr


def test_no_head_at_all_is_a_node_that_is_not_reached(cluster: Cluster) -> None:
    for head in cluster.heads():
        head.stop()
    result = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true", ANSIBLE_SSH_RETRIES="0")
    assert result.returncode == 4 and "UNREACHABLE" in result.stdout


def test_a_head_that_accepts_and_says_nothing_is_passed_over(cluster: Cluster) -> None:
    head = cluster.machines["jump-head-1"]
    head.stop()
    with socket.socket() as hole:
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind((head.address, cluster.port))
        hole.listen(64)
        result = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true", ANSIBLE_SSH_RETRIES="0")
    assert reached(result) == {"jump-node-1"}, result.stdout + result.stderr
    assert cluster.machines["jump-head-2"].forwards() == [NODES["jump-node-1"]]


def test_a_head_that_dies_behind_an_open_connection_is_passed_over(cluster: Cluster) -> None:
    """The shared connection is up, but nobody is at its other end any more."""
    first = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true")
    assert reached(first) == {"jump-node-1"}, first.stdout + first.stderr
    head = cluster.machines["jump-head-1"]
    head.signal(signal.SIGSTOP)
    try:
        # jump-node-4 starts at the same head as jump-node-1 does.
        result = cluster.ansible("jump-node-4", "-m", "ansible.builtin.raw", "-a", "true", ANSIBLE_SSH_RETRIES="0")
    finally:
        head.signal(signal.SIGCONT)
    assert reached(result) == {"jump-node-4"}, result.stdout + result.stderr
    assert NODES["jump-node-4"] in cluster.machines["jump-head-2"].forwards()


def test_a_wrong_host_key_is_refused_on_the_node_and_on_the_head(cluster: Cluster) -> None:
    known = next(cluster.directory.glob("known hosts"))
    right = known.read_text()
    for name in ("jump-node-1", "jump-head-1"):
        other = cluster.machines["jump-node-6"].host_key.with_suffix(".key.pub").read_text()
        lines = [line for line in right.splitlines() if not line.startswith(instance_id(name))]
        known.write_text("\n".join([*lines, f"{instance_id(name)} {other}"]) + "\n")
        try:
            host = "jump-node-1" if name == "jump-node-1" else name
            result = cluster.ansible(host, "-m", "ansible.builtin.raw", "-a", "true", ANSIBLE_SSH_RETRIES="0")
            assert result.returncode == 4 and "REMOTE HOST IDENTIFICATION HAS CHANGED" in result.stdout, result.stdout
        finally:
            known.write_text(right)
        cluster.forget_connections()


def test_a_node_that_ends_its_connection_does_not_wake_the_next_head(cluster: Cluster) -> None:
    result = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true")
    assert reached(result) == {"jump-node-1"}, result.stdout + result.stderr
    cluster.machines["jump-node-1"].stop()
    cluster.machines["jump-node-1"].start()
    again = cluster.ansible("jump-node-1", "-m", "ansible.builtin.raw", "-a", "true")
    assert reached(again) == {"jump-node-1"}, again.stdout + again.stderr
    assert [head.forwards() for head in cluster.heads()[1:]] == [[], []]
