# SPDX-License-Identifier: GPL-3.0-or-later
"""Rails of a lab node, which are soft-RoCE: what node_facts finds, and what is said of one that is down or has another name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CHECKOUT, NODE, Lab

DECLARED = {"link_layer": "Ethernet", "count": 2}


def task(lab: Lab, module: str, arguments: dict) -> dict:
    """Runs a module of the collection on the compute node, as root, and returns its result."""
    folder = lab.folder / "results"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible"), NODE, "-b", "-m", f"onecc.cluster.{module}", "-a", json.dumps(arguments), "--tree", str(folder)],
        cwd=CHECKOUT, env=lab.environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / NODE).read_text())


def differences(lab: Lab) -> dict[str, str]:
    """What the comparison says of the rails: messages by field."""
    found = task(lab, "drift", {"state": {"rails": [{"name": "rails", **DECLARED}]}})["drift"]
    assert all(item["kind"] == item["name"] == "rails" and (item["remedy"] == "manual") for item in found)
    return {item["field"]: item["message"] for item in found}


def test_what_a_node_is_made_of(bare_lab: Lab) -> None:
    address = bare_lab.machine(NODE).description.private
    found = task(bare_lab, "node_facts", {"rails": DECLARED, "private_address": address})["ansible_facts"]["onecc_node"]
    assert [(rail["name"], rail["interface"], rail["state"]) for rail in found["rails"]["rails"]] == [
        ("mlx5_0", "rail0", "ACTIVE"), ("mlx5_1", "rail1", "ACTIVE"),
    ]
    assert found["rails"]["by"] == "address" and found["gpus"] == []
    assert [(port["link_layer"], port["rate"], port["address"]) for port in found["rdma"]] == [("Ethernet", 2.5, None)] * 2
    assert found["private_interface"] == "eno1"
    own = {item["name"]: item["ipv4"] for item in found["interfaces"]}
    assert own["eno1"] == [address] and {"rail0", "rail1"} <= set(own)
    # A User-Mode Linux node has neither PCI nor firmware.
    qemu = bare_lab.machine(NODE).description.hardware.accel != "uml"
    drives = [drive for drive in found["drives"] if not drive["system"]]
    assert len(drives) == 4 and all(bool(drive["pci_address"]) == qemu for drive in drives)
    assert found["memory"]["total_mib"] > 100 and found["cpu"]["threads"] >= 1
    assert found["virtualization"]["vendor"] == ("QEMU" if qemu else None) and found["kernel"]["release"] == bare_lab.ssh(NODE, "uname -r")


@pytest.fixture
def second_rail(bare_lab: Lab) -> Iterator[Lab]:
    """The lab; the second rail is afterwards as it was."""
    yield bare_lab
    bare_lab.ssh(NODE, "ip link set rail1 up; rdma dev set foo name mlx5_1 2>/dev/null || true")


@pytest.mark.thorough
def test_a_rail_that_is_down_or_has_another_name(second_rail: Lab) -> None:
    lab = second_rail
    assert differences(lab) == {}
    alike = lab.run("rails", "-e", json.dumps({"onecc_rails": DECLARED}), "--check")
    assert alike.rc == 0, alike.output
    lab.ssh(NODE, "ip link set rail1 down")
    found = differences(lab)
    assert list(found) == ["mlx5_1 state"] and "rail 1 (mlx5_1, rail1) is down" in found["mlx5_1 state"]
    assert "`ip link set rail1 up`" in found["mlx5_1 state"]
    odd = lab.run("rails", "-e", json.dumps({"onecc_rails": DECLARED}), "--check")
    assert odd.rc == 2 and "rail 1 (mlx5_1, rail1) is down" in odd.output, odd.output
    lab.ssh(NODE, "ip link set rail1 up; rdma dev set mlx5_1 name foo")
    assert differences(lab) == {}
    renamed = task(lab, "node_facts", {"subsets": ["rails"], "rails": {"devices": ["rail*"]}})["ansible_facts"]["onecc_node"]["rails"]
    assert {rail["interface"]: rail["name"] for rail in renamed["rails"]} == {"rail0": "mlx5_0", "rail1": "foo"}
    lab.ssh(NODE, "rdma link delete foo")
    assert list(differences(lab)) == ["count"]
    lab.ssh(NODE, "rdma link add mlx5_1 type rxe netdev rail1")
    assert differences(lab) == {}
