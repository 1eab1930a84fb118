# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that are loopback addresses: real sshd processes without privileges, and an open SSH connection to each host."""

from __future__ import annotations

import contextlib
import getpass
import grp
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cpu
import jinja2
from figures import sessions

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
UNPACKED = CHECKOUT / ".cache/sshd/usr/sbin"  # by `make sshd`, where the computer has none
PRIVSEP = Path("/run/sshd")  # where Debian's sshd wants an empty directory when root runs it
# MAX_LISTEN_SOCKS in sshd.c: one process listens at no more addresses. Listening at all of them with one would open the
# bench to the network.
ADDRESSES_AN_SSHD = 16
TEMPLATES = HERE / "role" / "templates"
PYTHON = "/usr/bin/python3"
PACKAGES = 4
RAILS = 8


class Unfit(Exception):
    """This computer cannot run the bench. The message says what it lacks."""


class Hosts:
    """`count` hosts, in the state that the playbooks of the bench declare. To be closed."""

    def __init__(self, count: int, folder: Path, meter: cpu.Groups | cpu.Processes) -> None:
        self.names = [f"bench-{number:03}" for number in range(1, count + 1)]
        self.addresses = {name: f"127.78.{number // 250}.{number % 250 + 1}" for number, name in enumerate(self.names)}
        self.folder, self._meter = folder, meter
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []
        self._made_privsep = False
        self.sockets = folder / "cp"
        self.ssh_config = folder / "ssh.conf"
        self.inventory = folder / "hosts.yml"
        try:
            self._make_state()
            self._start_servers()
            self._connect()
        except BaseException:
            self.close()
            raise

    def _make_state(self) -> None:
        """The files of every host, and the inventory whose variables they are rendered from."""
        group = grp.getgrgid(os.getgid()).gr_name
        packages = manual_packages()
        variables = {
            "ansible_python_interpreter": PYTHON,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_common_args": f"-F {self.ssh_config}",
            "ansible_control_path": f"{self.sockets}/%%h",
            "bench_folder": str(self.folder / "state"),
            "bench_owner": getpass.getuser(),
            "bench_group": group,
            "bench_packages": packages,
            "bench_package_resources": [{"name": name} for name in packages],
            "bench_rails": [{"port": f"mlx5_{rail}", "leaf": rail % 4} for rail in range(RAILS)],
            # For site.yml: the bench's role alone, without sudo.
            "ansible_become": False,
        }
        hosts = {name: {"ansible_host": address} for name, address in self.addresses.items()}
        # JSON is YAML, and is read as such.
        self.inventory.write_text(json.dumps({"onecc": {"vars": variables, "hosts": hosts}}))
        for name in self.names:
            place = self.folder / "state" / name
            place.mkdir(parents=True)
            (place / "scratch").mkdir(mode=0o755)
            for template in TEMPLATES.glob("*.j2"):
                rendered = jinja2.Template(template.read_text(), keep_trailing_newline=True, trim_blocks=True)
                _write(place / template.stem, rendered.render({**variables, "inventory_hostname": name}))
            _write(place / "90-swappiness.conf", "vm.swappiness = 10\n")
            _write(place / "90-max-map-count.conf", "vm.max_map_count = 1048576\n")
            _write(place / "limits.conf", "* hard memlock unlimited\n")

    def _start_servers(self) -> None:
        server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{UNPACKED}")
        if not server or not shutil.which("ssh"):
            raise Unfit("There is no sshd or no ssh here. `make sshd` gets the one, the package openssh-client has the other.")
        if os.geteuid() == 0 and not PRIVSEP.exists():
            PRIVSEP.mkdir(mode=0o755)
            self._made_privsep = True
        for name in ("host_key", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        with socket.socket() as probe:
            probe.bind((next(iter(self.addresses.values())), 0))
            port = probe.getsockname()[1]
        home = self.folder / "home"
        home.mkdir()
        # The stub first. Home is an empty folder: what a shell reads there, such as a .bashrc that sets up pyenv, can cost
        # more than all that is measured. The cache of apt that an installed system has, and containers are made without.
        (self.folder / "apt.conf").write_text(
            f'Dir::Etc::parts "/dev/null";\nDir::Cache::pkgcache "{home}/pkgcache.bin";\nDir::Cache::srcpkgcache "{home}/srcpkgcache.bin";\n'
        )
        path = f"{HERE / 'stubs'}:/usr/sbin:/usr/bin:/sbin:/bin"
        addresses = list(self.addresses.values())
        for first in range(0, len(addresses), ADDRESSES_AN_SSHD):
            config, log = (self.folder / f"sshd-{first}.{suffix}" for suffix in ("conf", "log"))
            self._logs.append(log)
            listen = "".join(f"ListenAddress {address}:{port}\n" for address in addresses[first:first + ADDRESSES_AN_SSHD])
            config.write_text(
                f"""\
{listen}HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/id.pub
SetEnv PATH={path} HOME={home} APT_CONFIG={self.folder}/apt.conf
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
LogLevel VERBOSE
"""
            )
            process = self._start("node", [server, "-D", "-f", str(config), "-E", str(log)])
            self._await(process, lambda begin=first: _listens(addresses[begin], port), "The SSH server does not start.")
        (self.folder / "known_hosts").write_text(f"bench {(self.folder / 'host_key.pub').read_text()}")
        self.ssh_config.write_text(
            f"""\
Host *
  Port {port}
  IdentityFile {self.folder}/id
  IdentitiesOnly yes
  HostKeyAlias bench
  StrictHostKeyChecking yes
  UserKnownHostsFile {self.folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
"""
        )

    def _connect(self) -> None:
        """The connection of each host, at the socket where Ansible looks for it, so that no measured run makes one."""
        self.sockets.mkdir(mode=0o700)
        started = {}
        for address in self.addresses.values():
            master = ["ssh", "-F", str(self.ssh_config), "-N", "-M", "-S", str(self.sockets / address), address]
            started[address] = self._start("controller", master)
        for address, process in started.items():
            self._await(process, (self.sockets / address).exists, f"There is no connection to {address}.")

    def _start(self, side: str, argv: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._meter.wrapped(side, argv), start_new_session=True, stdin=subprocess.DEVNULL)
        self._processes.append(process)
        self._meter.watch(side, process.pid)
        return process

    @staticmethod
    def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool], problem: str) -> None:
        for _attempt in range(1500):
            if ready():
                return
            if process.poll() is not None:
                break
            time.sleep(0.02)
        raise Unfit(problem)

    def log_sizes(self) -> list[int]:
        return [log.stat().st_size for log in self._logs]

    def sessions_since(self, sizes: list[int]) -> Counter[str]:
        """Sessions by connection since the logs were as long as they are said to have been."""
        found: Counter[str] = Counter()
        for log, size in zip(self._logs, sizes):
            found += sessions(log.read_bytes()[size:].decode(errors="replace"))
        return found

    def close(self) -> None:
        """Ends the connections, then the servers and what is left below them, and waits for each."""
        for process in reversed(self._processes):
            for pid in reversed(cpu.tree(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        if self._made_privsep:
            with contextlib.suppress(OSError):  # another run may need it still, or have removed it
                PRIVSEP.rmdir()
            self._made_privsep = False


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def manual_packages() -> list[str]:
    """Some packages of this computer that somebody asked for: the module apt would mark any others so, and that is a change."""
    if subprocess.run([PYTHON, "-c", "import apt"], capture_output=True, check=False).returncode or not shutil.which("apt-mark"):
        raise Unfit("The stock tasks need Debian or Ubuntu with the package python3-apt.")
    marked = subprocess.run(["apt-mark", "showmanual"], capture_output=True, text=True, check=True).stdout.split()
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *marked]
    status = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"^installed ([a-z0-9][a-z0-9+.-]+)$", status, re.M)
    if len(found) < PACKAGES:
        raise Unfit(f"The bench needs {PACKAGES} packages that are installed and marked as manual; there are {len(found)}.")
    return found[:PACKAGES]
