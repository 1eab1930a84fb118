# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NCCL's files should be on captured nodes, and what is said of those that are otherwise."""

from __future__ import annotations

import os

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_declared
from ansible_collections.onecc.cluster.plugins.module_utils._node import gpudirect, nccl_conf, nccl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import nccl_configs
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import nccl_configs as nccl_configs_kind
from ansible_collections.onecc.cluster.tests.unit.sysfs import Sysfs, address, gpu_path, rail_path, rewrite

PROFILE = "/etc/profile.d/onecc-nccl.sh"
RAILS = {"link_layer": "InfiniBand", "devices": [], "exclude": [], "min_rate": None, "count": None}
EIGHT = ",".join(f"mlx5_{i}" for i in range(1, 9))
ROUTES = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    "eno1\t0000130A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
TOPOLOGY = f'<system version="1"><pci busid="ffff:ff:01.0" class="0x060400"><pci busid="{address(gpu_path(0))}" class="0x030200"/></pci></system>\n'


def declared(**fields: object) -> dict:
    base = {
        "path": nccl_conf.PATH, "settings": [], "rails": RAILS, "address": "10.19.0.7", "topology": None, "profile": PROFILE, "gpudirect": True,
        "allow": [],
    }
    return nccl_configs_kind.completed({**base, **fields})


@pytest.fixture
def machine(tmp_path):
    """A node with eight rails, without NCCL's files."""
    node = Sysfs(tmp_path)
    node.gpu_node()
    node.write("/proc/net/route", ROUTES)
    return node


def apply(node: Sysfs, config: dict) -> None:
    """Puts the node into the declared state."""
    wanted = nccl_files.wanted(node, config)
    before = node.text(config["path"]) or ""
    node.write(config["path"], nccl_files.placed(before, nccl_conf.render(wanted.settings)))
    for path, content in wanted.files.items():
        node.write(path, config["topology"] if path == nccl_files.TOPOLOGY else content)


def fields(node: Sysfs, config: dict) -> dict[str, dict]:
    found = list(nccl_configs.check(node, [config]))
    assert all(item["name"] == config["path"] and config["path"] in item["message"] and "\n" not in item["message"] for item in found)
    return {item["field"]: item for item in found}


def values(node: Sysfs, config: dict) -> dict[str, str]:
    return {item["name"]: item["value"] for item in nccl_files.wanted(node, config).settings}


def test_what_a_node_is_to_have(machine):
    assert values(machine, declared()) == {"NCCL_IB_HCA": f"={EIGHT}", "NCCL_SOCKET_IFNAME": "=eno1"}
    apply(machine, declared())
    assert machine.text(nccl_conf.PATH) == (
        "# BEGIN onecc.cluster\n"
        "# The rails of this node, by their exact names.\n"
        f"NCCL_IB_HCA=={EIGHT}\n"
        "# The interface of the private network, by its exact name.\n"
        "NCCL_SOCKET_IFNAME==eno1\n"
        "# END onecc.cluster\n"
    )
    assert machine.text(PROFILE).splitlines()[1:] == [
        f'export UCX_NET_DEVICES="${{UCX_NET_DEVICES:-{",".join(f"mlx5_{i}:1" for i in range(1, 9))}}}"',
        'export OMPI_MCA_oob_tcp_if_include="${OMPI_MCA_oob_tcp_if_include:-eno1}"',
        'export OMPI_MCA_btl_tcp_if_include="${OMPI_MCA_btl_tcp_if_include:-eno1}"',
    ]
    assert fields(machine, declared()) == {}


def test_a_bare_node(machine):
    found = fields(machine, declared())
    assert list(found) == ["settings", PROFILE]
    assert found["settings"]["message"] == (
        f"/etc/nccl.conf: NCCL_IB_HCA is not set, declared is ={EIGHT}; NCCL_SOCKET_IFNAME is not set, declared is =eno1"
    )


def test_a_node_without_rails_is_left_alone(tmp_path):
    node = Sysfs(tmp_path)
    node.write("/proc/net/route", ROUTES)
    node.write(nccl_conf.PATH, "export NCCL_DEBUG=INFO\n")
    assert nccl_files.wanted(node, declared()) is None
    assert fields(node, declared(settings=[{"name": "NCCL_IB_SL", "value": "1", "reason": "r"}])) == {}


def test_a_rail_that_is_down_is_still_one(machine):
    apply(machine, declared())
    rewrite(machine, "/sys/class/infiniband/mlx5_3/ports/1", state="1: DOWN", phys_state="2: Polling", rate="10 Gb/sec (4X SDR)")
    assert fields(machine, declared()) == {}


def test_a_rail_that_has_gone_is_no_longer_named(tmp_path):
    node = Sysfs(tmp_path)
    node.gpu_node(broken={2: {"gone": True}})
    assert values(node, declared(address=None)) == {"NCCL_IB_HCA": f"={EIGHT.replace('mlx5_3,', '')}"}


def test_several_ports(tmp_path):
    node = Sysfs(tmp_path)
    node.hca("mlx5_0", rail_path(0), ports=2)
    assert values(node, declared(address=None, rails={**RAILS, "count": 2})) == {"NCCL_IB_HCA": "=mlx5_0:1,mlx5_0:2"}


def test_a_declared_setting_takes_the_place_of_a_derived_one(machine):
    config = declared(settings=[
        {"name": "NCCL_SOCKET_IFNAME", "value": "=eno2", "reason": "r"}, {"name": "NCCL_IB_SL", "value": "1", "reason": "lossless"},
    ])
    assert values(machine, config) == {"NCCL_IB_HCA": f"={EIGHT}", "NCCL_SOCKET_IFNAME": "=eno2", "NCCL_IB_SL": "1"}
    apply(machine, config)
    assert "# lossless\nNCCL_IB_SL=1\n" in machine.text(nccl_conf.PATH)
    assert "NCCL_IB_SL is 1, declared is nothing" in fields(machine, declared())["settings"]["message"]


@pytest.mark.parametrize(("line", "kept"), [
    ("NCCL_SOCKET_IFNAME=eno1", True),  # Lambda's scripts
    ("NCCL_SOCKET_IFNAME=^lo,ib", True),
    ("NCCL_IB_HCA=^mlx5_0", True),  # Lambda's tutorial
    (f"NCCL_IB_HCA={EIGHT}", True),
    ("NCCL_IB_HCA=mlx5", False),
    ("NCCL_IB_HCA==mlx5_1", False),
    ("NCCL_SOCKET_IFNAME==ib0", False),
])
def test_what_the_platform_set(machine, line, kept):
    machine.write(nccl_conf.PATH, f"# by hand\n{line}\nNCCL_CROSS_NIC=1\n")
    for name in ("eno1", "lo"):
        machine.write(f"/sys/class/net/{name}/flags", "0x1003\n")
    name, _equals, value = line.partition("=")
    config = declared()
    assert name not in values(machine, config)
    apply(machine, config)
    assert machine.text(nccl_conf.PATH).startswith(f"# by hand\n{line}\nNCCL_CROSS_NIC=1\n# BEGIN onecc.cluster\n")
    found = fields(machine, config)
    assert list(found) == ([] if kept else [name])
    assert [kept_line.name for kept_line in nccl_files.wanted(machine, config).kept] == ([name] if kept else [])
    if not kept:
        assert (found[name]["remedy"] == "manual") and f"line 2, which is not ours, sets {name} to {value!r}" in found[name]["message"]


def test_what_the_platform_set_with_the_declared_value(machine):
    machine.write(nccl_conf.PATH, "NCCL_CROSS_NIC=1\n")
    same = declared(settings=[{"name": "NCCL_CROSS_NIC", "value": "1", "reason": "r"}])
    assert "NCCL_CROSS_NIC" not in values(machine, same)
    other = declared(settings=[{"name": "NCCL_CROSS_NIC", "value": "0", "reason": "r"}])
    assert "Remove the line, or declare its value" in fields(machine, other)["NCCL_CROSS_NIC"]["message"]


@pytest.mark.parametrize("line", [b"export NCCL_DEBUG=INFO", b'NCCL_NET="IB"', b"NCCL_NET=IB # x", b"NCCL_NET=IB\r", b" NCCL_NET=IB", b"prose", b"A=\xff"])
def test_a_line_that_nccl_reads_otherwise(machine, line):
    apply(machine, declared())
    machine.write(nccl_conf.PATH, line + b"\n" + machine.data(nccl_conf.PATH))
    found = fields(machine, declared())
    assert list(found) == ["line 1"] and (found["line 1"]["remedy"] == "manual")


@pytest.mark.parametrize(("alter", "field"), [
    (lambda text: text.replace("==mlx5_1,", "=mlx5_1,"), "settings"),
    (lambda text: text.replace("# The rails", "# the rails"), "settings"),
    (lambda text: text * 2, "settings"),
    (lambda text: "", "settings"),
])
def test_an_altered_block(machine, alter, field):
    apply(machine, declared())
    text = machine.text(nccl_conf.PATH)
    machine.write(nccl_conf.PATH, alter(text))
    assert list(fields(machine, declared())) == [field]
    apply(machine, declared())
    assert machine.text(nccl_conf.PATH) == text


def test_only_root_reads_it(machine):
    apply(machine, declared())
    os.chmod(machine.path(nccl_conf.PATH), 0o600)
    assert fields(machine, declared())["mode"]["is"] == "0600"
    os.chmod(machine.path(nccl_conf.PATH), 0o644)
    os.chmod(machine.path(PROFILE), 0o600)
    assert list(fields(machine, declared())) == [PROFILE]


def test_a_topology_of_this_machine(machine):
    config = declared(topology=TOPOLOGY)
    assert config["addresses"] == [address(gpu_path(0))]
    assert values(machine, config)["NCCL_TOPO_FILE"] == nccl_files.TOPOLOGY
    assert nccl_files.TOPOLOGY in fields(machine, config)
    apply(machine, config)
    assert fields(machine, config) == {}
    machine.write(nccl_files.TOPOLOGY, TOPOLOGY + "\n")
    assert list(fields(machine, config)) == [nccl_files.TOPOLOGY]


def test_a_topology_of_another_machine(machine):
    config = declared(topology=TOPOLOGY.replace(address(gpu_path(0)), "0000:99:00.0"))
    assert "NCCL_TOPO_FILE" not in values(machine, config)
    found = fields(machine, config)["topology"]
    assert (found["remedy"] == "manual") and "names 0000:99:00.0, which this node does not have" in found["message"]


def test_a_block_that_is_no_longer_declared(machine):
    config = declared(rails=None, address=None, profile=None, settings=[{"name": "NCCL_IB_SL", "value": "1", "reason": "r"}])
    apply(machine, config)
    machine.write(nccl_conf.PATH, "NCCL_IB_SL=1\n" + machine.text(nccl_conf.PATH))
    assert list(fields(machine, config)) == ["settings"]
    apply(machine, config)
    assert machine.text(nccl_conf.PATH) == "NCCL_IB_SL=1\n"


OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.148.08  Release Build\n"


PROPRIETARY = OPEN.replace("Open Kernel", "x86_64 Kernel")
PEERMEM, NV_PEER_MEM = "/sys/module/nvidia_peermem/version", "/sys/kernel/mm/memory_peers/nv_mem/version"


@pytest.mark.parametrize(("driver", "kernel", "file", "differs"), [
    (None, "6.8.0-60-generic", None, False),
    (OPEN, "6.8.0-60-generic", None, False),
    (OPEN, "5.12.0", None, False),
    (OPEN, "5.4.0-100", PEERMEM, False),
    (PROPRIETARY, "6.8.0", NV_PEER_MEM, False),
    (PROPRIETARY, "6.8.0", None, True),
    (OPEN, "5.4.0-100", None, True),
    # There is a module, and nobody loaded it.
    (PROPRIETARY, "6.8.0", "/lib/modules/6.8.0/kernel/drivers/nvidia-peermem.ko", True),
])
def test_gpudirect(machine, driver, kernel, file, differs):
    apply(machine, declared())
    machine.write("/proc/sys/kernel/osrelease", f"{kernel}\n")
    if driver:
        machine.write(gpudirect.DRIVER, driver)
    if file:
        machine.write(file, "0\n")
        machine.write(f"/lib/modules/{kernel}/modules.dep", f"{file}:\n" if file.endswith(".ko") else "")
    found = fields(machine, declared())
    assert list(found) == (["gpudirect"] if differs else [])
    if differs:
        assert ("not loaded" in found["gpudirect"]["message"]) == (file is not None)
        assert bool(gpudirect.impossible(machine, "auto")) == (file is None)
    assert fields(machine, declared(gpudirect=False)) == {}


@pytest.mark.parametrize(("changed", "words"), [
    ({"path": "etc/nccl.conf"}, ["path is 'etc/nccl.conf'"]),
    ({"profile": "/etc/../x"}, ["profile is"]),
    ({"address": "10.0.0"}, ["address is '10.0.0'"]),
    ({"allow": ["no-such-rule"]}, ["no-such-rule", "prefix-match"]),
    ({"topology": "<system/>"}, ["no PCI address"]),
    ({"settings": [{"name": "NCCL_NET", "value": "IB", "reason": "a\nb"}]}, ["a line each"]),
    ({"settings": [{"name": "NCCL_NET", "value": "IB\nX=1", "reason": "a"}]}, ["a line each"]),
    ({"settings": [{"name": "NCCL_NET", "value": "IB", "reason": ""}]}, ["the reason is not empty"]),
    ({"settings": [{"name": "NCCL_NTE", "value": "IB", "reason": "a"}]}, ["did you mean NCCL_NET?", "unknown-variable"]),
    ({"settings": [{"name": "NCCL_NET", "value": '"IB"', "reason": "a"}]}, ["quotes"]),
    ({"settings": [{"name": "NCCL_DEBUG", "value": "INFO", "reason": "a"}]}, ["debug-variable"]),
    ({"settings": [{"name": "NCCL_IB_SL", "value": "1", "reason": "a"}] * 2}, ["duplicate"]),
])
def test_what_is_wrong_with_a_declaration(changed, words):
    wrong = nccl_declared.invalid(declared(**changed))
    assert all(word in wrong for word in words)


@pytest.mark.parametrize("changed", [
    {}, {"topology": TOPOLOGY}, {"settings": [{"name": "NCCL_DEBUG", "value": "INFO", "reason": "for a week"}], "allow": ["debug-variable"]},
])
def test_a_declaration_that_is_right(changed):
    assert nccl_declared.invalid(declared(**changed)) is None
