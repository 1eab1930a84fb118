# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_node
from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import Device
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine
from ansible_collections.onecc.cluster.tests.unit.sysfs import Sysfs, rail_path

STATUS = "Package: libnccl2\nStatus: {}\nArchitecture: amd64\nVersion: {}\n"


@pytest.fixture
def machine(tmp_path):
    return Sysfs(tmp_path)


def sources(machine: Sysfs, path: str = nccl_conf.PATH) -> list[tuple]:
    return [tuple(item) for item in nccl_node.before(machine, path)]


@pytest.mark.parametrize(("files", "status", "expected"), [
    ([], None, None),
    (["/usr/lib/x86_64-linux-gnu/libnccl.so.2.26.5", "/usr/lib/x86_64-linux-gnu/libnccl.so.2"], None, (2, 26)),
    (["/usr/local/lib/libnccl.so.2.9.9", "/usr/lib/x86_64-linux-gnu/libnccl.so.2.21.5"], None, (2, 21)),
    ([], STATUS.format("install ok installed", "2.18.3-1+cuda12.2"), (2, 18)),
    ([], STATUS.format("deinstall ok config-files", "2.18.3-1+cuda12.2"), None),
    (["/usr/lib/python3/dist-packages/nvidia_nccl_cu12-2.27.3.dist-info/METADATA"], None, (2, 27)),
    (["/usr/lib/x86_64-linux-gnu/libncclx.so.2.26.5"], None, None),
])
def test_the_installed_version(machine, files, status, expected):
    for file in files:
        machine.write(file, "")
    if status:
        machine.write("/var/lib/dpkg/status", status)
    assert nccl_node.installed(machine) == expected


def test_the_node(machine):
    machine.hca("mlx5_1", rail_path(0), net="ib0")
    machine.hca("mlx5_0", None, "Ethernet", up=False)
    machine.write("/etc/t.xml", "<system/>")
    machine.write("/etc/nccl.conf", "NCCL_TOPO_FILE=/etc/t.xml\nNCCL_TOPO_FILE=/etc/gone.xml\nNCCL_TOPO_FILE=t.xml\n")
    os.chmod(machine.path("/etc/nccl.conf"), 0o640)
    node = nccl_node.node(machine, "/etc/nccl.conf", nccl_conf.parse(machine.data("/etc/nccl.conf")), (2, 20))
    assert node.version == (2, 20) and node.mode == 0o640 and node.interfaces == ["ib0"]
    assert node.devices == [Device("mlx5_0", 1, "Ethernet", False), Device("mlx5_1", 1, "InfiniBand", True)]
    assert rail_path(0).rpartition("/")[2] in node.pci
    assert node.topologies == {"/etc/t.xml": b"<system/>", "/etc/gone.xml": None, "t.xml": None}


def test_a_machine_that_says_nothing(machine):
    assert nccl_node.node(machine, "/etc/nccl.conf", []) == (None, [], [], set(), {}, None)
    assert sources(machine) == []


def test_what_is_set_before(machine):
    machine.write("/etc/environment", 'PATH="/bin"\nNCCL_NET="IB" # x\n#NCCL_NET=no\nexport NCCL_IB_SL=1\n')
    machine.write("/etc/profile.d/b.sh", "export A=1 NCCL_CROSS_NIC=0; echo\nif x; then export NCCL_ALGO='a b'; fi\n")
    machine.write("/etc/profile.d/b.txt", "export NCCL_NET=no\n")
    machine.write("/etc/bash.bashrc", "echo \"it's\" NCCL_NET=x'\n")
    machine.write("/etc/systemd/system.conf.d/x.conf", '[Manager]\nDefaultEnvironment="NCCL_NET=Socket" A=1 NCCL_PROTO=LL\n;DefaultEnvironment=NCCL_NET=no\n')
    machine.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/d:/x\nada:x:1001:1001::/home/ada:/bin/sh\nbad\n")
    machine.write("/root/.nccl.conf", "# mine\nNCCL_DEBUG=INFO\n")
    machine.write("/d/.nccl.conf", "NCCL_DEBUG=no\n")
    machine.write("/home/ada/.nccl.conf", b"NCCL_X=\xff\nNCCL_X=2\n")
    expected = [
        ("/etc/environment", 2, "NCCL_NET", "IB", "logins"),
        ("/etc/environment", 4, "NCCL_IB_SL", "1", "logins"),
        ("/etc/profile.d/b.sh", 1, "NCCL_CROSS_NIC", "0", "login shells"),
        ("/etc/profile.d/b.sh", 2, "NCCL_ALGO", "a b", "login shells"),
        ("/etc/bash.bashrc", 1, "NCCL_NET", "x'", "shells"),
        ("/etc/systemd/system.conf.d/x.conf", 2, "NCCL_NET", "Socket", "services"),
        ("/etc/systemd/system.conf.d/x.conf", 2, "NCCL_PROTO", "LL", "services"),
    ]
    assert sources(machine, "/tmp/other.conf") == expected
    assert sources(machine) == [
        *expected, ("/root/.nccl.conf", 2, "NCCL_DEBUG", "INFO", "jobs of root"),
        ("/home/ada/.nccl.conf", 1, "NCCL_X", "\udcff", "jobs of ada"),
    ]


def test_the_file_that_the_environment_names(machine):
    machine.write("/etc/environment", "NCCL_CONF_FILE=/opt/nccl.conf\n")
    machine.write("/opt/nccl.conf", "NCCL_NET=IB\n")
    assert sources(machine) == [("/opt/nccl.conf", 1, "NCCL_NET", "IB", "logins")]


# What users made of their own files


@pytest.mark.parametrize("plant", [
    os.mkfifo,
    lambda file: os.symlink("/dev/zero", file),
    lambda file: os.symlink("../root/secret", file),
    os.mkdir,
])
def test_no_user_keeps_the_module_waiting_or_has_it_read_another_file(machine, plant):
    machine.write("/etc/passwd", "ada:x:1001:1001::/home/ada:/bin/sh\nbob:x:1002:1002::/home/bob:/bin/sh\n")
    machine.write("/root/secret", "NCCL_SECRET=1\n")
    machine.write("/home/bob/.nccl.conf", "NCCL_X=1\n")
    os.makedirs(machine.path("/home/ada"))
    plant(machine.path("/home/ada/.nccl.conf"))
    assert [item[2:] for item in sources(machine)] == [("NCCL_X", "1", "jobs of bob")]


def test_a_user_s_file_is_read_no_further_than_settings_go(machine):
    machine.write("/etc/passwd", "ada:x:1001:1001::/home/ada:/bin/sh\n")
    machine.write("/home/ada/.nccl.conf", "NCCL_X=1\n" + "#" * nccl_node.MOST_BYTES + "\nNCCL_Y=1\n")
    assert [item[2] for item in sources(machine)] == ["NCCL_X"]


def test_one_home_that_does_not_answer_is_waited_for_once(machine, monkeypatch):
    machine.write("/etc/passwd", "".join(f"u{number}:x:{1000 + number}:100::/home/u{number}:/bin/sh\n" for number in range(50)))
    asked = []

    def silent(user, group, name, most):
        asked.append(name)
        raise TimeoutError

    monkeypatch.setattr(machine, "data_of", silent)
    assert sources(machine) == [] and len(asked) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
def test_a_file_in_a_user_s_folder_is_read_as_that_user():
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        home, secret = os.path.join(above, "home"), os.path.join(above, "secret")
        os.mkdir(home)
        for path, text, user in ((secret, b"ROOT=secret", 0), (f"{home}/nccl.conf", b"NCCL_X=1", 54321)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, text)
            os.close(descriptor)
            os.chown(path, user, user)
        os.chown(home, 54321, 54321)
        os.symlink(secret, f"{home}/link")
        os.symlink(above, f"{home}/way")
        assert nccl_node.content(Machine(), f"{home}/nccl.conf") == b"NCCL_X=1"
        assert nccl_node.content(Machine(), secret) == b"ROOT=secret"
        assert nccl_node.content(Machine(), f"{home}/link") is None and nccl_node.content(Machine(), f"{home}/way/secret") is None
