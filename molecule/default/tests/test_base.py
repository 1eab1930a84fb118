# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role base leaves on a node. Every test reads the node itself, none asks the collection."""

from __future__ import annotations

testinfra_hosts = ["onecc"]


def test_nodes_know_each_other_by_name(host):
    """By an address of the network between them. A node's own name may stand for itself too, as Debian has it."""
    for name in ("1cc-head-1", "1cc-node-1"):
        addresses = {line.split()[0] for line in host.check_output("getent ahostsv4 %s", name).splitlines()}
        if name == host.check_output("hostname"):
            addresses.discard("127.0.1.1")
        assert len(addresses) == 1 and not addresses.pop().startswith("127.")
        assert host.run("ping -c 1 -w 20 %s", name).rc == 0


def test_localhost_is_still_there(host):
    assert "127.0.0.1" in host.check_output("getent ahostsv4 localhost")


def test_logins_may_pin_memory_and_open_files(host):
    """As a job starts by SSH: a login without a terminal."""
    assert host.check_output("ulimit -l; ulimit -Hl; ulimit -n").split() == ["unlimited", "unlimited", "1048576"]


def test_services_may_too(host):
    with host.sudo():
        found = host.check_output("systemd-run --quiet --wait --pipe sh -c 'ulimit -l; ulimit -n'").split()
    assert found == ["unlimited", "1048576"]


def test_the_clock_is_kept(host):
    service = host.service("systemd-timesyncd")
    assert service.is_enabled and service.is_running


def test_kernel_parameters(host):
    assert host.sysctl("net.ipv4.neigh.default.gc_thresh3") == 16384
    assert host.sysctl("vm.zone_reclaim_mode") == 1


def test_automatic_upgrades_leave_the_gpu_stack_alone(host):
    listed = host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert '"nvidia"' in listed and '"linux-image"' in listed


def test_the_ssh_server_takes_its_configuration(host):
    with host.sudo():
        settings = host.check_output("sshd -T").splitlines()
    assert "exposeauthinfo yes" in settings
    assert host.user("ada").uid == 2001
    assert "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/onecc/%u" in settings
