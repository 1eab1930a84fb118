# SPDX-License-Identifier: GPL-3.0-or-later
"""The role nccl on a lab node, whose rails are soft-RoCE: what it writes, and what is said of what is not as declared."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import NODE, Lab

CONF, PROFILE, HOSTS, TOPOLOGY = "/etc/nccl.conf", "/etc/profile.d/onecc-nccl.sh", "/etc/onecc/mpi_hosts", "/etc/nccl-topology.xml"
VARIABLES = {"onecc_roles": ["nccl"], "onecc_rails": {"link_layer": "Ethernet", "count": 2}}
WRITTEN = {("nccl_configs", CONF), ("files", HOSTS)}


def arguments(**variables: object) -> tuple[str, ...]:
    return ("--limit", NODE, "-e", json.dumps({**VARIABLES, **variables}))


@pytest.fixture
def node(bare_lab: Lab) -> Iterator[Lab]:
    """The lab, whose compute node has nothing of the role before and after the test."""
    # On a busy computer the lab's unit may have looked for the rails before they were there.
    clean = f"rm -f {CONF} {PROFILE} {HOSTS} {TOPOLOGY}; ip link set rail1 up; systemctl start onecc-lab-rails"
    bare_lab.ssh(NODE, clean)
    yield bare_lab
    bare_lab.ssh(NODE, clean)
    # The host file is every node's: the tests that follow find the node in state.
    assert bare_lab.site("--limit", NODE).rc == 0


def test_the_devices_are_those_of_the_node(node: Lab) -> None:
    first = node.site(*arguments())
    assert first.rc == 0 and first.mended(NODE) == WRITTEN, first.output
    lines = node.ssh(NODE, f"grep -v '^#' {CONF}").splitlines()
    assert lines == ["NCCL_IB_HCA==mlx5_0,mlx5_1", "NCCL_SOCKET_IFNAME==eno1"]
    exported = node.ssh(NODE, f"OMPI_MCA_btl_tcp_if_include=mine; . {PROFILE}; env | grep -E '^(UCX|OMPI)' | sort").splitlines()
    assert exported == [
        "OMPI_MCA_btl_tcp_if_include=mine", "OMPI_MCA_oob_tcp_if_include=eno1", "UCX_NET_DEVICES=mlx5_0:1,mlx5_1:1",
    ]
    assert node.ssh(NODE, f"cat {HOSTS}").splitlines()[0].split()[0] == NODE
    again = node.site(*arguments())
    assert again.rc == 0 and again.mended(NODE) == set() and again.status(NODE) == "in_state", again.output


@pytest.mark.thorough
def test_what_is_changed_is_named_and_mended(node: Lab) -> None:
    assert node.site(*arguments()).rc == 0
    before = node.ssh(NODE, f"sha256sum {CONF} {PROFILE} {HOSTS}")
    for script in (
        f"sed -i 's/==mlx5_0,mlx5_1/=mlx5/' {CONF}", f"rm {CONF}", f"chmod 0600 {CONF}", f"sed -i /UCX/d {PROFILE}", f"rm {PROFILE}",
        f"sed -i 's/^NCCL_SOCKET/#&/' {CONF}",
    ):
        node.ssh(NODE, script)
        seen = node.verify(*arguments())
        assert seen.rc == 2 and seen.drift(NODE) == {("nccl_configs", CONF)}, f"after `{script}`:\n{seen.output}"
        mended = node.site(*arguments())
        assert mended.rc == 0 and mended.mended(NODE) == {("nccl_configs", CONF)}, f"after `{script}`:\n{mended.output}"
        assert node.ssh(NODE, f"sha256sum {CONF} {PROFILE} {HOSTS}") == before
    assert node.ssh(NODE, f"stat -c %a {CONF}") == "644"


@pytest.mark.thorough
def test_of_three_devices_two_are_rails_and_one_has_another_name(node: Lab) -> None:
    # Soft-RoCE has no PCI address to go by: its rails are in the order of their names.
    node.ssh(NODE, "rdma link add storage type rxe netdev eno1; rdma dev set mlx5_1 name other")
    try:
        declared = arguments(nccl_rails={"exclude": ["eno1"]})
        done = node.site(*declared)
        assert done.rc == 0 and done.mended(NODE) == WRITTEN, done.output
        assert node.ssh(NODE, f"sed -n 's/^NCCL_IB_HCA=//p' {CONF}") == "=mlx5_0,other"
        assert "UCX_NET_DEVICES=mlx5_0:1,other:1" in node.ssh(NODE, f". {PROFILE}; env")
        assert node.verify(*declared).rc == 0
        # It gets its name back, and the file names a device that is no more.
        node.ssh(NODE, "rdma dev set other name mlx5_1")
        seen = node.verify(*declared)
        assert seen.rc == 2 and seen.drift(NODE) == {("nccl_configs", CONF)}, seen.output
        assert node.site(*declared).rc == 0
        assert node.ssh(NODE, f"sed -n 's/^NCCL_IB_HCA=//p' {CONF}") == "=mlx5_0,mlx5_1"
    finally:
        node.ssh(NODE, "rdma link delete storage; rdma dev set other name mlx5_1 2>/dev/null || true")


@pytest.mark.thorough
def test_a_link_that_goes_down_is_named_and_stays_on_the_list(node: Lab) -> None:
    assert node.site(*arguments()).rc == 0
    node.ssh(NODE, "ip link set rail1 down")
    seen = node.verify(*arguments())
    assert seen.rc == 2 and seen.drift(NODE) == {("rails", "rails")}, seen.output
    assert "rail 1 (mlx5_1, rail1) is down" in seen.messages(NODE)
    node.ssh(NODE, "ip link set rail1 up")
    assert node.verify(*arguments()).rc == 0


@pytest.mark.thorough
def test_what_the_platform_set_stays(node: Lab) -> None:
    platform = "# The platform's\nNCCL_SOCKET_IFNAME=eno1\nNCCL_P2P_LEVEL=NVL\n"
    node.ssh(NODE, f"printf '%b' {platform!r} > {CONF}")
    done = node.site(*arguments())
    assert done.rc == 0, done.output
    lines = node.ssh(NODE, f"grep -v '^#' {CONF}").splitlines()
    assert lines == ["NCCL_SOCKET_IFNAME=eno1", "NCCL_P2P_LEVEL=NVL", "NCCL_IB_HCA==mlx5_0,mlx5_1"]
    node.ssh(NODE, f"sed -i 's/=eno1/=eno/' {CONF}")
    seen = node.verify(*arguments())
    assert seen.rc == 2 and "line 2, which is not ours, sets NCCL_SOCKET_IFNAME to 'eno'" in seen.messages(NODE)
    refused = node.site(*arguments())
    assert refused.rc == 2 and "Remove the line, or declare its value" in refused.output
    assert "NCCL_SOCKET_IFNAME=eno\n" in node.ssh(NODE, f"cat {CONF}") + "\n"


@pytest.mark.thorough
def test_a_setting_that_the_linter_objects_to_reaches_no_node(node: Lab) -> None:
    setting = {"name": "NCCL_IB_HCA", "value": "mlx5_1 # rail", "reason": "from a blog"}
    seen = node.site(*arguments(nccl_settings=[setting]))
    assert seen.rc == 2 and "inline-comment" in seen.output
    setting["value"] = "=mlx5_7"
    seen = node.site(*arguments(nccl_settings=[setting]))
    assert seen.rc == 2 and "the node has no mlx5_7" in seen.output
    assert node.ssh(NODE, f"ls {CONF} 2>/dev/null || true") == ""


@pytest.mark.thorough
def test_a_topology_is_written_where_it_fits(node: Lab) -> None:
    address = node.ssh(NODE, "ls /sys/bus/pci/devices | tail -1")
    topology = f'<system version="1"><pci busid="{address}" class="0x010802"/></system>\n'
    done = node.site(*arguments(nccl_topology=topology))
    assert done.rc == 0, done.output
    assert f"NCCL_TOPO_FILE={TOPOLOGY}" in node.ssh(NODE, f"cat {CONF}") and address in node.ssh(NODE, f"cat {TOPOLOGY}")
    seen = node.verify(*arguments(nccl_topology=topology.replace(address, "0000:99:00.0")))
    assert seen.rc == 2 and "names 0000:99:00.0, which this node does not have" in seen.messages(NODE)
