# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

TIMESYNCD = {"systemd-timesyncd", "systemd-timesyncd.service", "/etc/systemd/timesyncd.conf.d", "/etc/systemd/timesyncd.conf.d/90-onecc.conf"}
CHRONY = {"chrony", "chrony.service", "/etc/chrony/sources.d/onecc.sources"}


@pytest.mark.parametrize(("chosen", "declared"), [
    ({}, {**dict.fromkeys(TIMESYNCD, "timesyncd"), **dict.fromkeys(CHRONY, "chrony")}),
    ({"base_time_service": "systemd-timesyncd"}, dict.fromkeys(TIMESYNCD, "all")),
    ({"base_time_service": "chrony"}, dict.fromkeys(CHRONY, "all")),
    ({"base_time_service": "none"}, {}),
])
def test_what_keeps_the_clock(chosen, declared):
    """Unasked, whatever is there stays: to install one removes the other."""
    loader = DataLoader()
    state = _declaration.role_state("base", Templar(loader), loader, {"inventory_hostname": "n1", "base_hosts": False, **chosen})
    items = [item for kind in ("packages", "directories", "files", "units") for item in state.get(kind, [])]
    clock = {item.get("name") or item["path"]: item["where"] for item in items if item.get("where")}
    assert clock == declared


def base(**variables: object) -> dict:
    loader = DataLoader()
    return _declaration.role_state("base", Templar(loader), loader, {"inventory_hostname": "n1", "base_hosts": False, **variables})


SSHD = "/etc/ssh/sshd_config.d/00-onecc.conf"
ADA = {"name": "ada", "uid": 2001}


@pytest.mark.parametrize(("chosen", "users", "sshd"), [
    ({}, None, False), ({"base_users": None}, None, False), ({"base_users": []}, [], False), ({"base_users": [ADA]}, ["ada"], True),
])
def test_nothing_declared_is_not_nobody(chosen, users, sshd):
    state = base(**chosen)
    assert (None if "users" not in state else [user["name"] for user in state["users"]]) == users
    assert (SSHD in [file["path"] for file in state["files"]]) is sshd


@pytest.mark.parametrize(("files", "line"), [
    (None, "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/onecc/%u"),
    (["/etc/ssh/keys/%u"], "AuthorizedKeysFile /etc/ssh/keys/%u /etc/ssh/onecc/%u"),
    ([], "AuthorizedKeysFile /etc/ssh/onecc/%u"),
])
def test_where_people_keep_their_own_keys(files, line):
    state = base(base_users=[ADA], **({} if files is None else {"base_authorized_keys_files": files}))
    assert line in next(file["content"] for file in state["files"] if file["path"] == SSHD).splitlines()


@pytest.mark.parametrize("file", ["none", "a b", "a\nPermitRootLogin yes", "a\"", ""])
def test_what_is_no_file_of_keys(file):
    with pytest.raises(_declaration.DeclarationError, match="authorized_keys_files"):
        base(base_users=[ADA], base_authorized_keys_files=[file])


@pytest.mark.parametrize(("name", "value", "manager"), [
    ("memlock", "64", "65536"), ("stack", "8192", "8388608"), ("nofile", "1024", "1024"), ("memlock", "unlimited", "infinity"),
])
def test_a_limit_is_the_same_for_logins_and_for_services(name, value, manager):
    """limits.conf counts memory in KiB, systemd in bytes."""
    limit, = base(base_limits={name: value})["limits"]
    assert limit["manager"] == manager and f"* hard {name} {value}\n" in limit["files"][0]["content"]


def test_a_declared_nr_open_counts_for_nofile():
    state = base(base_limits={"nofile": "2097152"}, base_sysctls={"fs/nr_open": "2097152"})
    assert state["limits"][0]["nr_open"] == "2097152"


@pytest.mark.parametrize("name", ["base_time_servers", "base_upgrade_exclusions"])
@pytest.mark.parametrize("value", ['a"; }; DPkg::Pre-Invoke { "touch /tmp/x', "a\nb", "a\x1b[8m"])
def test_a_value_cannot_leave_its_place_in_a_file(name, value):
    with pytest.raises(_declaration.DeclarationError, match="written into a file"):
        base(**{name: [value]})
