# SPDX-License-Identifier: GPL-3.0-or-later
"""The role ofed with real apt and dpkg: from one provider's RDMA stack to another's, each only when told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CHECKOUT, NODE, Lab, Run, doca_source, mlnx_ofed_source

# The newest of the lab's repository.
DOCA, RELEASE = "3.2.0-125000", "25.10-1.2.8"
MLNX_OFED, MLNX_RELEASE = "24.10-2.1.8.0", "24.10-2.1.8"


def declared(**variables: object) -> tuple[str, ...]:
    return "--limit", NODE, "-e", json.dumps({"onecc_roles": ["ofed"], **variables})


def info(lab: Lab) -> dict:
    """What ofed_info says of the compute node."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible"), NODE, "--become", "-m", "onecc.cluster.ofed_info"],
        cwd=CHECKOUT, env={**lab.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}, capture_output=True, text=True, check=True,
    )
    return json.loads(done.stdout[done.stdout.index("{"):])


def versions(lab: Lab) -> dict[str, str]:
    """What is installed on the compute node."""
    rows = lab.ssh(NODE, "dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\\n'").splitlines()
    return {name: version for status, name, version in map(str.split, rows) if status == "installed"}


@pytest.mark.thorough
def test_the_distributions_own_is_kept_until_told_otherwise(lab: Lab) -> None:
    found, before = info(lab), versions(lab)
    assert (found["provider"], found["version"]) == ("inbox", before["rdma-core"])
    assert found["reboot_reasons"] == [] and found["gpudirect"] is None and found["replacing"] is None
    assert [item["device"] for item in found["firmware"]] == lab.ssh(NODE, "ls /sys/class/infiniband").split() != []
    refused = lab.site(*declared(ofed_provider="doca", ofed_source=doca_source(lab)))
    assert refused.rc == 2, refused.output
    message = refused.messages(NODE)
    assert "The RDMA stack of this node is inbox" in message and "add inbox to ofed_replace" in message
    assert versions(lab) == before
    assert lab.ssh(NODE, "ls /etc/apt/sources.list.d /etc/apt/preferences.d").count("doca") == 0
    seen = lab.verify(*declared(ofed_kernel_modules={"ib_umad": "rdma", "no_such_module": "rdma", "mlx5_core": "mlx5"}))
    assert seen.drift(NODE) == {("kernel_modules", "ib_umad"), ("kernel_modules", "no_such_module")}
    assert f"does not exist for kernel {lab.ssh(NODE, 'uname -r')}" in seen.messages(NODE)


def moved(lab: Lab, provider: str, *arguments: str) -> tuple[Run, dict]:
    """Goes to a provider, sees it there and a second run with nothing to do, and returns the first run and what ofed_info says."""
    done = lab.site(*arguments)
    assert done.rc == 0, done.output
    found = info(lab)
    assert found["provider"] == provider
    again = lab.site(*arguments)
    assert again.rc == 0 and again.status(NODE) == "in_state", again.output
    return done, found


@pytest.fixture
def changing(lab: Lab) -> Iterator[Lab]:
    """The lab, whose compute node afterwards has what it had before."""
    before = versions(lab)
    yield lab
    now = versions(lab)
    back = " ".join(f"{name}={version}" for name, version in before.items() if now.get(name) != version)
    gone = " ".join(f"{name}-" for name in now if name not in before)
    lab.ssh(NODE, f"""
        apt-mark showhold | xargs --no-run-if-empty apt-mark unhold >/dev/null
        rm -f /etc/apt/{{sources.list.d,preferences.d,keyrings}}/{{doca,mellanox_mlnx_ofed}}* /var/lib/apt/lists/10.0.2.2*
        rm -f /etc/udev/rules.d/60-rdma-persistent-naming.rules
        apt-get install -qq -y --allow-downgrades --allow-change-held-packages --no-install-recommends {back} {gone} >/dev/null
    """)
    assert versions(lab) == before


@pytest.mark.thorough
def test_to_doca_and_back(changing: Lab) -> None:
    lab, before = changing, versions(changing)
    arguments = declared(ofed_provider="doca", ofed_source=doca_source(lab), ofed_replace=["inbox"], ofed_persistent_names="kernel")
    done, found = moved(lab, "doca", *arguments)
    assert {("ofed_providers", "doca"), ("locked_packages", "doca-ofed")} <= done.mended(NODE)
    assert found["version"].startswith(RELEASE)
    with_ofed = versions(lab)
    assert with_ofed["doca-ofed"] == DOCA and "mlnx" in with_ofed["libibverbs1"]
    assert lab.ssh(NODE, "apt-mark showhold").split() == ["doca-ofed"]
    assert lab.ssh(NODE, "systemctl is-enabled openibd; systemctl is-active openibd").split() == ["enabled", "active"]
    assert "NAME_KERNEL" in lab.ssh(NODE, "cat /etc/udev/rules.d/60-rdma-persistent-naming.rules")

    # openibd is the provider's, and looked after with nothing declared too.
    lab.ssh(NODE, "systemctl disable --now openibd 2>/dev/null")
    assert lab.verify(*declared()).drift(NODE) == {("units", "openibd.service")}
    assert lab.site(*declared()).mended(NODE) == {("units", "openibd.service")}

    refused = lab.site(*declared(ofed_provider="inbox"))
    assert refused.rc == 2, refused.output
    message = refused.messages(NODE)
    assert "add doca to ofed_replace" in message and "doca-ofed" in message and "take back to the distribution's version" in message
    assert versions(lab) == with_ofed

    moved(lab, "inbox", *declared(ofed_provider="inbox", ofed_replace=["doca"]))
    now = versions(lab)
    assert {name: version for name, version in now.items() if "mlnx" in version or "OFED" in version or name.startswith("doca-ofed")} == {}
    assert {name: now.get(name) for name in before} == before
    assert lab.ssh(NODE, "ibv_devices").count("mlx5_") == lab.ssh(NODE, "ls /sys/class/infiniband").count("mlx5_") > 0


@pytest.mark.thorough
def test_to_mlnx_ofed_and_on_to_doca(changing: Lab) -> None:
    """The way that clusters go on which MLNX_OFED was installed before it ended."""
    lab, before = changing, versions(changing)
    arguments = declared(ofed_provider="mlnx_ofed", ofed_source=mlnx_ofed_source(lab), ofed_replace=["inbox"])
    done, found = moved(lab, "mlnx_ofed", *arguments)
    assert {("ofed_providers", "mlnx_ofed"), ("locked_packages", "mlnx-ofed-all")} <= done.mended(NODE)
    assert found["version"].startswith(MLNX_RELEASE)
    with_ofed = versions(lab)
    assert with_ofed["mlnx-ofed-all"] == MLNX_OFED and with_ofed["libibverbs1"] == "2410mlnx54-1.2410218"
    assert lab.ssh(NODE, "apt-mark showhold").split() == ["mlnx-ofed-all"]
    assert lab.ssh(NODE, "ofed_info -s") == f"MLNX_OFED_LINUX-{MLNX_OFED}:"

    refused = lab.site(*declared(ofed_provider="doca", ofed_source=doca_source(lab)))
    assert refused.rc == 2 and "add mlnx_ofed to ofed_replace" in refused.messages(NODE), refused.output
    assert versions(lab) == with_ofed

    moved(lab, "doca", *declared(ofed_provider="doca", ofed_source=doca_source(lab), ofed_replace=["mlnx_ofed"]))
    now = versions(lab)
    assert now["doca-ofed"] == DOCA and not any(name.startswith("mlnx-ofed-all") for name in now)
    assert {name for name, version in now.items() if "2410" in version or "24.10" in version} == set(), "of the set before"
    assert {*before} - {*now} == set()
