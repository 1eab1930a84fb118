# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import users
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

KEY = "ssh-ed25519 " + "A" * 68
OTHER = "ssh-ed25519 " + "B" * 68


def user(**fields: object) -> dict:
    return {
        "name": "ada", "uid": 2001, "shell": None, "groups": [], "sudo": True, "keys": [f"{KEY} ada@laptop"], "access": True, **fields,
    }


@pytest.fixture
def machine(tmp_path):
    """A node on which ada is as declared."""
    found = Captured(tmp_path)
    found.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nada:x:2001:2001::/home/ada:/bin/bash\n+::::::\n")
    found.write("/etc/group", "root:x:0:\nonecc:x:990:ada\nvideo:x:44:ada,bob\n")
    found.write("/etc/shadow", "root:*:19000:0:99999:7:::\nada:!:19000:0:99999:7:::\n")
    found.write("/etc/ssh/onecc/ada", f"{KEY} ada@laptop\n")
    found.write("/etc/sudoers.d/onecc-ada", "ada ALL=(ALL:ALL) NOPASSWD: ALL\n")
    return found


def fields(machine: Captured, *declared: dict) -> list[tuple]:
    return [(item["name"], item["field"], item.get("refused", False)) for item in users.check(machine, list(declared))]


def test_a_user_in_state(machine):
    assert fields(machine, user()) == []
    assert fields(machine, user(groups=["video"], shell="/bin/bash")) == []


@pytest.mark.parametrize(("declared", "field", "refused"), [
    ({"uid": 2002}, "uid", True),
    ({"shell": "/bin/zsh"}, "shell", False),
    ({"groups": ["video", "docker"]}, "groups", False),
    ({"sudo": False}, "sudo", False),
    ({"keys": [KEY, OTHER]}, "keys", False),
])
def test_what_may_differ(machine, declared, field, refused):
    assert fields(machine, user(**declared)) == [("ada", field, refused)]


def test_an_account_that_has_expired(machine):
    machine.write("/etc/shadow", "ada:!:19000:0:99999:7::1:\n")
    assert fields(machine, user()) == [("ada", "expired", False)]


def test_a_missing_account_needs_a_uid(machine):
    machine.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    assert fields(machine, user())[0] == ("ada", "exists", False)
    assert fields(machine, user(uid=None))[0] == ("ada", "uid", True)


def test_who_is_not_declared_is_named_with_every_access(machine):
    machine.write("/etc/ssh/onecc/ubuntu", f"{KEY}\n")
    found = list(users.check(machine, []))
    assert [(item["name"], item["field"]) for item in found] == [("ada", "access"), ("ubuntu", "access")]
    assert found[0]["is"] == ["/etc/ssh/onecc/ada", "/etc/sudoers.d/onecc-ada", "an account that has not expired"]


def test_who_lost_the_access_is_not_named_again(machine):
    for path in ("/etc/ssh/onecc/ada", "/etc/sudoers.d/onecc-ada"):
        os.unlink(machine.path(path))
    assert [item[1] for item in fields(machine)] == ["access"]
    machine.write("/etc/shadow", "ada:!:19000:0:99999:7::1:\n")
    assert fields(machine) == []


def test_an_account_that_was_there_before_does_not_count(machine):
    machine.write("/etc/group", "root:x:0:\n")
    for path in ("/etc/ssh/onecc/ada", "/etc/sudoers.d/onecc-ada"):
        os.unlink(machine.path(path))
    assert fields(machine) == []


def connect(machine: Captured, name: str, key: str) -> None:
    """Makes this process one of an SSH session, as sshd tells it, with sudo's process in between."""
    machine.write(f"/proc/{os.getpid()}/environ", "SUDO_USER=x\0")
    machine.write(f"/proc/{os.getpid()}/status", "Name:\tpython3\nPPid:\t77\n")
    machine.write("/proc/77/environ", f"USER={name}\0SSH_USER_AUTH=/tmp/sshauth.x\0")
    machine.write("/tmp/sshauth.x", f"publickey {key}\n")


def test_the_key_one_connects_with_stays(machine):
    connect(machine, "ada", KEY)
    assert ("ada", "keys", True) in fields(machine, user(keys=[OTHER]))
    assert ("ada", "keys", True) in fields(machine)
    assert fields(machine, user(keys=[KEY])) == [("ada", "keys", False)], "only its comment is another"


@pytest.mark.parametrize(("name", "key"), [("ada", OTHER), ("ubuntu", KEY)])
def test_other_keys_go(machine, name, key):
    connect(machine, name, key)
    assert fields(machine, user(keys=[OTHER])) == [("ada", "keys", False)]


def test_no_session_is_nobody(machine):
    assert accounts.connected(machine) == ("", set())


@pytest.mark.parametrize("name", ["README", "ada~", ".ada.swp", "ada.new", "#ada#", ".onecc-0123456789abcdef.tmp", "Ada", "ada.dpkg-old"])
def test_what_no_user_can_be_called_is_no_user(machine, name):
    """Of an administrator, an editor, dpkg, or a run that was cut."""
    machine.write(f"/etc/ssh/onecc/{name}", "x")
    machine.write(f"/etc/sudoers.d/onecc-{name}", "x")
    assert accounts.managed(machine) == {"ada"} and fields(machine, user()) == []
