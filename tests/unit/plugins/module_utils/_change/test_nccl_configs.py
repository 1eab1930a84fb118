# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on files of a captured node."""

from __future__ import annotations

import contextlib
import os

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.onecc.cluster.plugins.module_utils._change import nccl_configs
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf, nccl_files
from ansible_collections.onecc.cluster.tests.unit.sysfs import Sysfs, address, gpu_path

CONF = nccl_conf.PATH
PROFILE = "/etc/profile.d/onecc-nccl.sh"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neno1\t0000130A\t00000000\t0001\t0\t0\t0\t0000FFFF\n"
RELAXED = {"name": "NCCL_IB_PCI_RELAXED_ORDERING", "value": "1", "reason": "Virtual machines need it."}
TOPOLOGY = f'<system version="1"><pci busid="{address(gpu_path(0))}" class="0x030200"/></system>\n'


class Failed(Exception):
    """What fail_json ends a module with."""

    def __init__(self, msg: str, fields: dict) -> None:
        super().__init__(msg)
        self.fields = fields


class Module:
    """What of AnsibleModule the code under test uses, with arguments as it would check them."""

    def __init__(self, check_mode: bool = False, **arguments: object) -> None:
        checked = ArgumentSpecValidator(nccl_configs.ARGUMENTS).validate(arguments)
        assert checked.error_messages == []
        self.params = checked.validated_parameters
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def fail_json(self, msg: str, **fields: object) -> None:
        raise Failed(msg, fields)


@pytest.fixture
def node(tmp_path, monkeypatch):
    machine = Sysfs(tmp_path)
    machine.gpu_node()
    machine.write("/proc/net/route", ROUTES)
    machine.write("/usr/lib/x86_64-linux-gnu/libnccl.so.2.26.5", "")
    monkeypatch.setattr(nccl_configs, "Machine", lambda: machine)
    monkeypatch.setattr(nccl_configs.durable, "locked", lambda name: contextlib.nullcontext())
    return machine


def run(**arguments: object) -> dict:
    return nccl_configs.run(Module(**arguments))


def everything(**arguments: object) -> dict:
    given = {"rails": {}, "address": "10.19.0.7", "topology": TOPOLOGY, "profile": PROFILE, "settings": [RELAXED], "fail_on": "warning"}
    return run(**{**given, **arguments})


def test_a_missing_file_has_no_findings_and_that_is_said(node):
    module = Module(fail_on="warning")
    result = nccl_configs.run(module)
    assert result["exists"] is False and [CONF in warning for warning in module.warnings] == [True]
    assert (result["changed"], result["findings"], result["settings"], result["nccl_version"]) == (False, [], [], "2.26")
    with pytest.raises(Failed, match="path is '/tmp/no.conf', and there is no such file"):
        run(path="/tmp/no.conf")


def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(node):
    os.makedirs(node.path(CONF))
    with pytest.raises(Failed, match="^/etc/nccl.conf cannot be read. Become root"):
        run()


def test_findings_and_settings(node):
    node.write(CONF, "NCCL_IB_HCA=mlx5\nNCCL_DEBUG=INFO\n")
    node.write("/etc/environment", "NCCL_DEBUG=WARN\n")
    module = Module()
    result = nccl_configs.run(module)
    assert (result["changed"], result["exists"], module.warnings) == (False, True, [])
    assert [(item["line"], item["rule"]) for item in result["findings"]] == [(1, "ethernet-device"), (2, "debug-variable"), (2, "shadowed")]
    assert result["settings"] == [
        {"file": "/etc/environment", "line": 1, "name": "NCCL_DEBUG", "value": "WARN", "for_whom": "logins", "managed": False},
        {"file": CONF, "line": 1, "name": "NCCL_IB_HCA", "value": "mlx5", "for_whom": None, "managed": False},
        {"file": CONF, "line": 2, "name": "NCCL_DEBUG", "value": "INFO", "for_whom": None, "managed": False},
    ]
    assert [item["rule"] for item in run(allow=["ethernet-device", "shadowed"])["findings"]] == ["debug-variable"]


@pytest.mark.parametrize(("limit", "text", "fails"), [
    ("never", "NCCL_IB_HCA=mlx5\n", False),
    ("error", "NCCL_DEBUG=INFO\n", False),
    ("error", "NCCL_IB_HCA=mlx5\n", True),
    ("warning", "NCCL_DEBUG=INFO\n", True),
])
def test_it_fails_where_it_is_told_to(node, limit, text, fails):
    node.write(CONF, text)
    with pytest.raises(Failed, match="^/etc/nccl.conf:1: ") if fails else contextlib.nullcontext():
        run(fail_on=limit)


def test_another_version_and_another_file(node):
    node.write("/tmp/nccl.conf", "NCCL_IGNORE_NET_MISMATCH=0\n")
    assert [item["rule"] for item in run(path="/tmp/nccl.conf")["findings"]] == ["newer-variable"]
    assert run(path="/tmp/nccl.conf", nccl_version="2.30.3")["findings"] == []


def test_everything_is_written_once(node):
    result = everything()
    assert result["changed"] and result["findings"] == [] and len(result["diff"]) == 3
    names = ["NCCL_IB_HCA", "NCCL_SOCKET_IFNAME", "NCCL_TOPO_FILE", "NCCL_IB_PCI_RELAXED_ORDERING"]
    assert [(item["name"], item["managed"]) for item in result["settings"]] == [(name, True) for name in names]
    assert f"# {RELAXED['reason']}\nNCCL_IB_PCI_RELAXED_ORDERING=1\n" in node.text(CONF)
    assert node.text(nccl_files.TOPOLOGY) == TOPOLOGY and "UCX_NET_DEVICES" in node.text(PROFILE)
    assert [os.stat(node.path(path)).st_mode & 0o777 for path in (CONF, PROFILE, nccl_files.TOPOLOGY)] == [0o644] * 3
    again = everything()
    assert (again["changed"], again["diff"], again["differences"]) == (False, [], [])


def test_check_mode_writes_nothing_and_lints_what_would_be(node):
    result = everything(check_mode=True)
    assert result["changed"] and len(result["settings"]) == 4 and len(result["diff"]) == 3
    assert not any(node.exists(path) for path in (CONF, PROFILE, nccl_files.TOPOLOGY))


def test_lines_of_the_platform_stay(node):
    node.write(CONF, "# Lambda\nNCCL_SOCKET_IFNAME=eno1\nNCCL_P2P_LEVEL=NVL")
    result = everything(topology=None)
    assert result["kept"] == [{"name": "NCCL_SOCKET_IFNAME", "value": "eno1", "line": 2}]
    assert node.text(CONF).startswith("# Lambda\nNCCL_SOCKET_IFNAME=eno1\nNCCL_P2P_LEVEL=NVL\n# BEGIN onecc.cluster\n")
    assert node.text(CONF).count("NCCL_SOCKET_IFNAME") == 1
    assert [(item["name"], item["managed"]) for item in result["settings"]][:3] == [
        ("NCCL_SOCKET_IFNAME", False), ("NCCL_P2P_LEVEL", False), ("NCCL_IB_HCA", True),
    ]


def test_a_line_that_says_something_else_is_named_and_the_rest_written(node):
    node.write(CONF, "NCCL_IB_HCA=mlx5\n")
    with pytest.raises(Failed, match="line 1, which is not ours, sets NCCL_IB_HCA to 'mlx5', declared is =mlx5_1") as failed:
        everything(fail_on="never")
    assert failed.value.fields["changed"] and [item["rule"] for item in failed.value.fields["findings"]] == ["ethernet-device"]
    assert node.text(CONF).startswith("NCCL_IB_HCA=mlx5\n# BEGIN") and "NCCL_SOCKET_IFNAME==eno1" in node.text(CONF)


@pytest.mark.parametrize(("setting", "rule"), [
    ({"name": "NCCL_IB_HCA", "value": "=mlx5_0,mlx5_1"}, "ethernet-device"),
    ({"name": "NCCL_IB_HCA", "value": "=mlx5_17"}, "no-such-device"),
    ({"name": "NCCL_IB_GID_INDEX", "value": "3"}, "roce-on-infiniband"),
    ({"name": "NCCL_TOPO_FILE", "value": "/etc/gone.xml"}, "topology-file"),
])
def test_it_writes_nothing_that_it_would_object_to(node, setting, rule):
    setting = {**setting, "reason": "from a blog"}
    with pytest.raises(Failed, match=f"nothing was written, because of the declared settings: .*{rule}"):
        everything(settings=[setting])
    assert not node.exists(CONF) and not node.exists(PROFILE)
    everything(settings=[setting], allow=[rule])
    assert f"{setting['name']}={setting['value']}\n" in node.text(CONF)


def test_a_setting_for_a_newer_nccl_is_written(node):
    result = everything(settings=[{"name": "NCCL_IGNORE_NET_MISMATCH", "value": "0", "reason": "containers"}], fail_on="never")
    assert [item["rule"] for item in result["findings"]] == ["newer-variable"]


def test_another_machines_topology_is_not_written(node):
    with pytest.raises(Failed, match="names 0000:99:00.0, which this node does not have"):
        everything(topology=TOPOLOGY.replace(address(gpu_path(0)), "0000:99:00.0"))
    assert not node.exists(nccl_files.TOPOLOGY) and "NCCL_TOPO_FILE" not in node.text(CONF)
    assert "NCCL_IB_HCA" in node.text(CONF)


def test_a_node_without_rails_is_left_alone(node, tmp_path, monkeypatch):
    bare = Sysfs(tmp_path / "bare")
    monkeypatch.setattr(nccl_configs, "Machine", lambda: bare)
    result = everything()
    assert result["changed"] is False and not bare.exists(CONF) and not bare.exists(PROFILE)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_in_the_way_stays(node, kind):
    real = node.path(CONF)
    os.makedirs(real) if kind == "folder" else (os.makedirs(os.path.dirname(real), exist_ok=True), os.symlink("elsewhere", real))
    with pytest.raises(Failed, match="/etc/nccl.conf is no regular file. Nothing is done to it"):
        everything()
    assert os.path.lexists(real) and not node.exists(PROFILE)


def test_only_root_read_it(node):
    everything()
    os.chmod(node.path(CONF), 0o600)
    assert everything(fail_on="never")["changed"]
    assert os.stat(node.path(CONF)).st_mode & 0o777 == 0o644


def test_bytes_that_are_no_text_stay(node):
    node.write(CONF, b"# caf\xe9\r\n\nNCCL_P2P_LEVEL=NVL\n")
    everything()
    assert node.data(CONF).startswith(b"# caf\xe9\r\n\nNCCL_P2P_LEVEL=NVL\n# BEGIN onecc.cluster\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_is_there_keeps_its_owner(node):
    node.write("/etc/nccl.conf", "NCCL_DEBUG=WARN\n")
    os.chown(node.path("/etc/nccl.conf"), 54321, 54322)
    os.chmod(node.path("/etc/nccl.conf"), 0o600)
    assert everything()["changed"]
    inode = os.stat(node.path("/etc/nccl.conf"))
    assert (inode.st_uid, inode.st_gid, inode.st_mode & 0o7777) == (54321, 54322, 0o644)
