# SPDX-License-Identifier: GPL-3.0-or-later
"""What was written is not what counts: another file has the last word, or a program does not take it.

Each is planted on a node in state, named by verify.yml with the file that does it, and then the machine is asked itself.
"""

from __future__ import annotations

import json

import pytest
from conftest import NODE, Lab

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2bAz5lN0nGhYmZqzH8vHc3mUqkz0iZb0m1PqkVt1aB ada@laptop"
ADA = {"name": "ada", "uid": 2001, "sudo": True, "keys": [KEY]}

# By what is planted: the files that have to be named.
OVERRIDES = {
    "echo 'net.ipv4.neigh.default.gc_thresh3 = 1024' >/etc/sysctl.d/99-vendor.conf": "/etc/sysctl.d/99-vendor.conf",
    r"printf '* hard memlock 64\n* soft memlock 64\n' >/etc/security/limits.d/zz-vendor.conf": "/etc/security/limits.d/zz-vendor.conf",
    r"printf '[Manager]\nDefaultLimitMEMLOCK=8M\n' >/etc/systemd/system.conf.d/99-vendor.conf": "/etc/systemd/system.conf.d/99-vendor.conf",
    "sed -i 's/^Include/#Include/' /etc/ssh/sshd_config": "/etc/ssh/sshd_config",
    "chmod 0666 /etc/ssh/onecc/ada": "/etc/ssh/onecc/ada",
    "chmod 0777 /home/ada": "/home/ada",
    "echo '%ada ALL=(ALL) ALL' >/etc/sudoers.d/zz-site": "/etc/sudoers.d/zz-site",
}
ASK = """
sysctl --values net.ipv4.neigh.default.gc_thresh3
runuser -u ada -- true
su ada -c 'ulimit -l'
systemctl show --value --property DefaultLimitMEMLOCK
"""


def declared(**variables: object) -> tuple[str, ...]:
    return "--limit", NODE, "-e", json.dumps({"onecc_roles": ["base"], "base_users": [ADA], **variables})


@pytest.mark.spoils(NODE)
def test_the_file_that_overrides_is_named(lab: Lab) -> None:
    """What verify.yml says beforehand is what a boot then makes of it. What a site.yml can mend, it does."""
    assert lab.site(*declared()).rc == 0
    assert lab.ssh(NODE, ASK).split() == ["16384", "unlimited", "infinity"]
    lab.ssh(NODE, "\n".join(OVERRIDES))
    found = lab.verify(*declared())
    assert found.rc == 2
    said = found.messages(NODE)
    assert [path for path in OVERRIDES.values() if path not in said] == []
    assert lab.site(*declared()).rc == 2
    assert lab.ssh(NODE, "stat -c %a /etc/ssh/onecc/ada") == "644"
    lab.ssh(NODE, "sync")
    lab.machine(NODE).cut()
    lab.boot(NODE)
    assert lab.ssh(NODE, ASK).split() == ["1024", "64", "8388608"]


@pytest.mark.thorough
@pytest.mark.spoils(NODE)
@pytest.mark.parametrize(("setup", "variables", "part"), [
    ("", {"base_limits": {"nofile": "2097152"}}, "fs.nr_open"),
    ("useradd -m -u 2002 somebody", {"base_users": [{"name": "taken", "uid": 2002}]}, "somebody"),
    ("", {"base_users": [{"name": "eve", "uid": 2003, "groups": ["docker"]}]}, "docker"),
    ("", {"base_users": [{"name": "noshell", "uid": 2004, "shell": "/bin/zsh"}]}, "/bin/zsh"),
    ("", {"base_sysctls": {"vm.nothing": "1"}}, "vm.nothing"),
    ("", {"base_sysctls": {"vm.swappiness": "0x10"}}, "16"),
    ("rm -f /etc/ssh/sshd_config.d/00-onecc.conf; echo 'AuthorizedKeysFile /etc/ssh/keys/%u' >/etc/ssh/sshd_config.d/50-site.conf", {}, "50-site.conf"),
    ("echo 'AllowUsers ubuntu' >/etc/ssh/sshd_config.d/60-site.conf", {}, "60-site.conf"),
])
def test_what_would_fail_is_said_beforehand(lab: Lab, setup: str, variables: dict, part: str) -> None:
    lab.ssh(NODE, setup or "true")
    found = lab.verify(*declared(**variables))
    assert found.rc == 2 and part in found.messages(NODE)
