# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import users
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

KEY = "ssh-ed25519 " + "A" * 68
OTHER = "ssh-ed25519 " + "B" * 68


def user(**fields: object) -> dict:
    return {
        "name": "ada", "uid": 2001, "shell": None, "groups": [], "sudo": True, "keys": [f"{KEY} ada@laptop"], "access": True,
        "authorized_keys_files": specs.AUTHORIZED_KEYS_FILES, **fields,
    }


def put(machine: Captured, path: str, text: str, mode: int) -> None:
    machine.write(path, text)
    os.chmod(machine.path(path), mode)


PASSWD = "root:x:0:0:root:/root:/bin/bash\nada:x:{uid}:{gid}::/home/ada:/bin/bash\nbob:x:2002:2002::/home/bob:/bin/bash\n+::::::\n"


@pytest.fixture
def machine(tmp_path):
    """A node on which ada is as declared. Who runs the test is root there, and ada too, for nobody else can own a home."""
    found = Captured(tmp_path)
    for shell in ("/bin/bash", "/usr/sbin/nologin"):
        put(found, shell, "", 0o755)
    os.makedirs(found.path("/home/ada"))
    os.chmod(found.path("/home/ada"), 0o755)
    found.write("/etc/passwd", PASSWD.format(uid=2001, gid=2001))
    found.write("/etc/group", "root:x:0:\nonecc:x:990:ada\nada:x:2001:\nvideo:x:44:ada,bob\nops:x:3000:\n")
    found.write("/etc/shadow", "root:*:19000:0:99999:7:::\nada:!:19000:0:99999:7:::\n")
    put(found, "/etc/ssh/onecc/ada", f"{KEY} ada@laptop\n", 0o644)
    put(found, "/etc/sudoers", "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n", 0o440)
    put(found, "/etc/sudoers.d/onecc-ada", "ada ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
    found.answers["getent"] = Completed(2, "")
    return found


def fields(machine: Captured, *declared: dict) -> list[tuple]:
    return [(item["name"], item["field"], (item["remedy"] == "manual")) for item in users.check(machine, list(declared))]


def test_a_user_in_state(machine):
    assert fields(machine, user()) == []
    assert fields(machine, user(groups=["video"], shell="/bin/bash")) == []


@pytest.mark.parametrize(("declared", "field", "refused"), [
    ({"uid": 2002}, "uid", True),
    ({"groups": ["video", "ops"]}, "groups", False),
    ({"groups": ["video", "docker"]}, "groups", True),
    ({"sudo": False}, "sudo", False),
    ({"keys": [KEY, OTHER]}, "keys", False),
])
def test_what_may_differ(machine, declared, field, refused):
    assert fields(machine, user(**declared)) == [("ada", field, refused)]


def test_another_shell(machine):
    put(machine, "/bin/zsh", "", 0o755)
    assert fields(machine, user(shell="/bin/zsh")) == [("ada", "shell", False)]


@pytest.mark.parametrize("spoil", [
    lambda machine: os.unlink(machine.path("/bin/bash")),
    lambda machine: os.chmod(machine.path("/bin/bash"), 0o644),
    lambda machine: (os.unlink(machine.path("/bin/bash")), os.mkdir(machine.path("/bin/bash"))),
    lambda machine: machine.write("/etc/passwd", PASSWD.format(uid=2001, gid=2001).replace("ada:/bin/bash", "ada:/usr/sbin/nologin")),
])
def test_a_shell_that_lets_nobody_in(machine, spoil):
    spoil(machine)
    assert ("ada", "shell", True) in fields(machine, user())


def test_a_declared_shell_that_is_not_installed(machine):
    assert fields(machine, user(shell="/bin/zsh")) == [("ada", "shell", False), ("ada", "shell", True)]
    assert "nobody" in accounts.invalid(user(shell="/usr/sbin/nologin"))


TODAY = int(time.time() // 86400)


@pytest.mark.parametrize(("shadow", "field"), [
    ("19000:0:99999:7::1:", "expired"),
    (f"19000:0:99999:7::{TODAY}:", "expired"),
    (f"19000:0:99999:7::{TODAY + 2}:", None),
    ("0:0:99999:7:::", "password"),
    (f"{TODAY - 91}:0:90:7:::", "password"),
    (f"{TODAY - 89}:0:90:7:::", None),
    (f"{TODAY - 91}:0::7:::", None),
    (":::::::", None),
    (f"{TODAY + 9}:0:90:7:::", None),
])
def test_an_account_that_has_expired(machine, shadow, field):
    machine.write("/etc/shadow", f"ada:!:{shadow}\n".replace("::::::::", ":::::::"))
    assert fields(machine, user()) == ([("ada", field, False)] if field else [])


@pytest.mark.parametrize("path", accounts.NOLOGIN)
def test_a_node_that_lets_nobody_in(machine, path):
    machine.write(path, "")
    assert fields(machine, user()) == [("ada", "nologin", False)]


def mine(machine: Captured) -> None:
    """ada's numbers are those of who runs the test."""
    machine.write("/etc/passwd", PASSWD.format(uid=os.getuid() or 2001, gid=os.stat(machine.path("/home/ada")).st_gid))


@pytest.mark.parametrize(("mode", "differs"), [
    (0o755, False), (0o700, False), (0o775, False), (0o777, True), (0o757, True), (0o1777, True),
])
def test_the_mode_of_a_home(machine, mode, differs):
    mine(machine)
    os.chmod(machine.path("/home/ada"), mode)
    declared = user(uid=None)
    assert fields(machine, declared) == ([("ada", "home", False)] if differs else [])


def test_a_home_that_another_group_may_write_to(machine):
    os.chmod(machine.path("/home/ada"), 0o775)  # its group is not ada's, 2001
    assert fields(machine, user()) == [("ada", "home", False)]


def test_a_home_that_is_not_there_or_of_somebody_else(machine, monkeypatch):
    os.rmdir(machine.path("/home/ada"))
    assert fields(machine, user()) == [("ada", "home", False)]
    machine.write("/home/ada", "")
    assert fields(machine, user()) == [("ada", "home", False)]
    os.unlink(machine.path("/home/ada"))
    os.mkdir(machine.path("/home/ada"))
    monkeypatch.setattr(accounts, "_root", lambda _machine: 4242)
    assert ("ada", "home", False) in fields(machine, user())


@pytest.mark.parametrize(("path", "field"), [("/etc/ssh/onecc/ada", "keys file"), ("/etc/sudoers.d/onecc-ada", "sudo file")])
def test_files_that_sshd_and_sudo_do_not_accept(machine, path, field, monkeypatch):
    for mode in (0o666, 0o600, 0o4444):
        os.chmod(machine.path(path), mode)
        assert fields(machine, user()) == [("ada", field, False)]
    os.rename(machine.path(path), machine.path("/elsewhere"))
    machine.link(path, "/elsewhere")
    assert fields(machine, user()) == [("ada", field, False)]
    monkeypatch.setattr(accounts, "_root", lambda _machine: 4242)
    assert {("ada", "keys file", False), ("ada", "sudo file", False)} <= set(fields(machine, user()))


@pytest.mark.parametrize(("text", "differs"), [
    ("root ALL=(ALL) ALL\n", True),
    ("# @includedir /etc/sudoers.d\n", True),
    ("#includedir /etc/sudoers.d\n", False),
    ("@includedir sudoers.d\n", False),
    ("@includedir \"/etc/sudoers.d/\"\n", False),
    ("@includedir /etc/sudoers.d\n%video ALL=(ALL) ALL\n", True),
    ("%video ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n", False),
    ("@includedir /etc/sudoers.d\n%video ALL=(ALL) NOPASSWD: ALL\n", False),
    ("@includedir /etc/sudoers.d\nbob,ada ALL=(ALL) \\\n  !ALL\n", True),
    ("@includedir /etc/sudoers.d\n%other ALL=(ALL) ALL\nada ALL=(root) /bin/ls\n", False),
])
def test_whether_sudo_goes_by_the_file(machine, text, differs):
    os.unlink(machine.path("/etc/sudoers"))
    machine.write("/etc/sudoers", text)
    assert fields(machine, user()) == ([("ada", "sudo in effect", False)] if differs else [])
    assert fields(machine, user(sudo=False))[0][1] == "sudo"


@pytest.mark.parametrize(("name", "differs"), [("zz-site", True), ("00-site", False), ("zz.site", False), ("zz-site~", False)])
def test_a_file_of_sudo_that_comes_later(machine, name, differs):
    machine.write(f"/etc/sudoers.d/{name}", "ada ALL=(ALL:ALL) ALL\n")
    found = list(users.check(machine, [user()]))
    assert [item["field"] for item in found] == (["sudo in effect"] if differs else [])
    assert not differs or f"/etc/sudoers.d/{name} line 1" in found[0]["message"]


def test_no_sudo_at_all(machine):
    os.unlink(machine.path("/etc/sudoers"))
    assert fields(machine, user()) == [("ada", "sudo in effect", False)]


def without_ada(machine: Captured) -> None:
    machine.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbob:x:2002:2002::/home/bob:/bin/bash\n")
    machine.write("/etc/group", "onecc:x:990:\n")
    os.rmdir(machine.path("/home/ada"))


def test_a_missing_account_needs_a_uid(machine):
    without_ada(machine)
    assert fields(machine, user())[0] == ("ada", "exists", False)
    assert fields(machine, user(uid=None))[0] == ("ada", "uid", True)


def test_a_uid_that_is_taken(machine):
    without_ada(machine)
    found = list(users.check(machine, [user(uid=2002)]))
    assert (found[0]["field"], (found[0]["remedy"] == "manual")) == ("uid", True) and "bob" in found[0]["message"]


@pytest.mark.parametrize("said", ["eve:*:2001:2001::/home/eve:/bin/bash\n", "ada:*:7777:7777::/home/ada:/bin/bash\n"])
def test_a_uid_or_a_name_of_a_directory_service(machine, said):
    without_ada(machine)
    machine.answers["getent"] = Completed(0, said)
    assert fields(machine, user())[0] == ("ada", "uid", True)


def test_what_else_keeps_an_account_from_being_made(machine):
    without_ada(machine)
    machine.write("/etc/group", "onecc:x:990:\nada:x:5000:\n")
    assert fields(machine, user())[0] == ("ada", "uid", True)
    machine.write("/etc/group", "onecc:x:990:\n")
    os.mkdir(machine.path("/home/ada"))
    declared = 2001 if os.getuid() != 2001 else 2003
    assert fields(machine, user(uid=declared))[0] == ("ada", "uid", True)
    os.rmdir(machine.path("/home/ada"))
    assert fields(machine, user(groups=["docker"]))[0] == ("ada", "groups", True)


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
    machine.write("/etc/group", "root:x:0:\nada:x:2001:\n")
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
