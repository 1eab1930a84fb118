# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as a whole: the first runs, one session a node, nodes that are not reached, strings that mean harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import HEAD, NODE, OTHER_HEAD, OTHER_NODE, Lab, running_lab

NODES = (HEAD, OTHER_HEAD, NODE, OTHER_NODE)
HOSTILE = "{{ lookup('pipe', 'touch /tmp/onecc-hostile') }} $(touch /tmp/onecc-hostile)"


def sessions(lab: Lab, node: str) -> int:
    """How many sessions the node's SSH server has opened since its boot, the one that asks left out."""
    logged = lab.ssh(node, "journalctl --identifier sshd --boot --output cat | grep -c '^Starting session:' || true")
    return int(logged) - 1


@pytest.fixture
def new_lab(tmp_path: Path, worker_id: str) -> Iterator[Lab]:
    """A lab whose nodes nobody has configured."""
    with running_lab(f"new-{worker_id}", tmp_path, "--heads", "1", "--compute", "1") as lab:
        yield lab


def test_bare_nodes_are_checked_without_a_change(new_lab: Lab) -> None:
    before = new_lab.verify()
    assert before.rc == 2
    bare = {("arrays", "scratch"), ("mounts", "/scratch"), ("mounts", "/lambda/nfs/shared"), ("blocks", "/etc/hosts"), ("limits", "memlock")}
    assert bare <= before.drift(NODE)
    checked = new_lab.site("--check", "--diff")
    assert checked.rc == 0, checked.output
    assert "it does not exist: an array of 4 drives" in checked.output
    again = new_lab.verify()
    assert {host: entry["drift"] for host, entry in again.hosts.items()} == {
        host: entry["drift"] for host, entry in before.hosts.items()
    }


def test_second_run_changes_nothing_in_one_session_a_node(lab: Lab) -> None:
    before = {node: sessions(lab, node) for node in NODES}
    second = lab.site()
    assert second.rc == 0, second.output
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", second.output, re.MULTILINE)
    assert sorted(recap) == [(node, "0") for node in NODES]
    # One of site.yml, and one of the question before.
    assert {node: sessions(lab, node) - before[node] for node in before} == {node: 2 for node in before}


def everything(lab: Lab) -> str:
    """An inventory that keeps a node whose power is cut, as it is before the API has noticed."""
    path = lab.folder / "1cc.lambda_cloud.yml"
    path.write_text("plugin: onecc.cluster.lambda_cloud\nstatuses: [active, unhealthy]\n", encoding="utf-8")
    return str(path)


def test_unreachable_node_fails_alone(lab: Lab) -> None:
    lab.machine(OTHER_HEAD).cut()
    try:
        lab.ssh(HEAD, "chmod 0700 /scratch")
        done = lab.site("-i", everything(lab))
        assert done.rc == 4, done.output
        assert done.status(OTHER_HEAD) == "unreachable"
        assert done.status(HEAD) == "converged"
        assert done.status(NODE) == "in_state"
    finally:
        lab.boot(OTHER_HEAD)


def test_compute_node_is_reached_with_its_head_down(lab: Lab) -> None:
    """A compute node that goes through the first head goes through the second without it."""
    lab.machine(HEAD).cut()
    try:
        lab.ssh(OTHER_HEAD, "chmod 0700 /scratch")
        done = lab.site("-i", everything(lab))
        assert done.rc == 4, done.output
        assert done.status(HEAD) == "unreachable"
        assert done.status(OTHER_HEAD) == "converged"
        assert done.status(NODE) == "in_state"
        without = lab.site()
        assert without.rc == 0, without.output
        assert sorted(without.hosts) == [OTHER_HEAD, NODE, OTHER_NODE], "a node that the API calls unhealthy is left out"
    finally:
        lab.boot(HEAD)


def test_wrong_variable_is_refused_before_anything_is_touched(lab: Lab) -> None:
    done = lab.site("-e", "nvme_raid_layout=stripe")
    assert done.rc == 2
    assert "nvme_raid_layout" in done.output and "stripe" in done.output and "directory" in done.output
    assert "Traceback" not in done.output
    assert lab.verify().rc == 0


@pytest.mark.spoils(HEAD)
def test_what_keeps_the_clock_is_replaced_only_when_told(lab: Lab) -> None:
    lab.ssh(HEAD, "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq chrony")
    keepers = "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' chrony systemd-timesyncd 2>/dev/null | awk '$2 == \"ii\" {print $1}'"
    assert lab.ssh(HEAD, keepers).split() == ["chrony"], "to install the one removes the other"
    kept = lab.site("--limit", HEAD)
    assert kept.rc == 0 and kept.mended(HEAD) == {("files", "/etc/chrony/sources.d/onecc.sources")}, kept.output
    assert lab.ssh(HEAD, keepers).split() == ["chrony"]
    assert lab.ssh(HEAD, "systemctl is-active chrony").strip() == "active"
    told = lab.site("--limit", HEAD, "-e", "base_time_service=systemd-timesyncd")
    assert told.rc == 0, told.output
    assert lab.ssh(HEAD, keepers).split() == ["systemd-timesyncd"]
    assert lab.verify().rc == 0
