# SPDX-License-Identifier: GPL-3.0-or-later
"""The role filesystems: one file system on two nodes across a reboot, and an export whose server goes away."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import HEAD, NODE, OTHER_HEAD, Lab

# What the lab attaches to each node, and where the API says it is mounted.
SHARED = "/lambda/nfs/shared"
EXPORT = "/data/export"
RESOURCE = ("mounts", EXPORT)

SERVE = """
install() { apt-get install -qq -y --no-install-recommends nfs-kernel-server >/dev/null; }
install || { apt-get update -qq; install; }
mkdir -p /srv/export
chmod 1777 /srv/export
echo '/srv/export *(rw,no_subtree_check,no_root_squash)' > /etc/exports
systemctl restart nfs-server
exportfs -ra
"""


def test_two_nodes_share_a_file_system_across_a_power_cut(lab: Lab) -> None:
    for node in (OTHER_HEAD, NODE):
        lab.ssh(node, f"echo {node} > {SHARED}/{node}; sync")
    for node in (OTHER_HEAD, NODE):
        lab.machine(node).cut()
    for node in (OTHER_HEAD, NODE):
        lab.boot(node)
    for node in (OTHER_HEAD, NODE):
        found = lab.ssh(node, f"systemctl is-active lambda-nfs-shared.mount; cat {SHARED}/{OTHER_HEAD} {SHARED}/{NODE}")
        assert found.split() == ["active", OTHER_HEAD, NODE]
    assert lab.verify().rc == 0


def test_what_is_unmounted_is_named_and_mended(lab: Lab) -> None:
    lab.ssh(NODE, f"umount {SHARED}")
    assert lab.verify().drift(NODE) == {("mounts", SHARED)}
    assert lab.site().mended(NODE) == {("mounts", SHARED)}


@pytest.fixture
def export(lab: Lab) -> Iterator[tuple[str, ...]]:
    """An export of the first head node, and the arguments that declare it on the compute node."""
    lab.ssh(HEAD, SERVE)
    address = lab.machine(HEAD).description.private
    declared = {"name": "export", "mount_point": EXPORT, "type": "nfs4", "source": f"{address}:/srv/export"}
    yield "--limit", NODE, "-e", json.dumps({"filesystems_mounts": [declared]})
    lab.ssh(HEAD, "systemctl start nfs-server")
    lab.ssh(
        NODE,
        f"umount -f -l {EXPORT} 2>/dev/null || true\nsystemctl disable data-export.mount; systemctl reset-failed\n"
        "rm -f /etc/systemd/system/data-export.mount; systemctl daemon-reload",
    )


def test_an_export_whose_server_goes_away(lab: Lab, export: tuple[str, ...]) -> None:
    done = lab.site(*export)
    assert done.rc == 0 and done.mended(NODE) == {RESOURCE}, done.output
    lab.ssh(NODE, f"touch {EXPORT}/file")
    assert lab.verify(*export).rc == 0
    server = lab.machine(HEAD).description.private
    lab.ssh(HEAD, "systemctl stop nfs-server")
    # Mounted, and the server is gone.
    seen = lab.verify(*export)
    assert seen.rc == 2 and seen.drift(NODE) == {RESOURCE}, seen.output
    assert f"mount {EXPORT}: the server {server} does not answer" in seen.messages(NODE)
    # Booted without it.
    lab.machine(NODE).cut()
    lab.boot(NODE)
    failed = lab.site(*export)
    assert failed.drift(NODE) == {RESOURCE}, failed.output
    assert failed.rc == 2 and f"mount {EXPORT}: the server {server} does not answer" in failed.messages(NODE), failed.output
    lab.ssh(HEAD, "systemctl start nfs-server")
    done = lab.site(*export)
    assert done.rc == 0 and done.mended(NODE) == {RESOURCE}, done.output
