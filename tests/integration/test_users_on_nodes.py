# SPDX-License-Identifier: GPL-3.0-or-later
"""What an unprivileged user of a node, or an administrator, may have done there before the next run."""

from __future__ import annotations

import json

import pytest
from conftest import NODE, Lab

# Processes that look like tasks of Ansible: one of the user's, and one of root's program that any user may start.
IMPOSTORS = """
useradd --create-home pat
su pat -c "flock /run/onecc/mutex sleep 600 >/dev/null 2>&1 &"
su pat -s /bin/bash -c "(exec -a sh python3 -c 'import time; time.sleep(600)' BECOME-SUCCESS-abcdefgh) >/dev/null 2>&1 &"
su pat -s /bin/bash -c "(exec -a sh sudo -S x BECOME-SUCCESS-abcdefgi < <(sleep 600)) >/dev/null 2>&1 &"
"""
# What a run leaves that is cut between writing and renaming (of the first edition and of this one), and what an editor does.
LEFT = """
touch /etc/.onecc-0123456789abcdef.tmp
install -d /etc/ssh/onecc; echo x >/etc/ssh/onecc/ada.new
echo x >/etc/sudoers.d/onecc-ada~
"""


@pytest.mark.spoils(NODE)
def test_neither_users_nor_leftovers_hold_up_a_run(lab: Lab) -> None:
    lab.ssh(NODE, IMPOSTORS + LEFT + "sed -i '/^# BEGIN onecc/,/^# END onecc/d' /etc/hosts; chattr +i /etc/hosts")
    nobody = ("--limit", NODE, "-e", json.dumps({"base_users": []}))
    refused = lab.site(*nobody)
    assert refused.rc == 2, refused.output
    assert [item["field"] for item in refused.hosts[NODE]["preflight"]] == ["writable"]
    assert "/etc/hosts has the attribute i" in refused.messages(NODE)
    lab.ssh(NODE, r"chattr -i /etc/hosts; sed -i 's/$/\r/' /etc/hosts")
    done = lab.site(*nobody)
    assert (done.rc, done.mended(NODE)) == (0, {("blocks", "/etc/hosts")}), done.output
    assert lab.ssh(NODE, "ls -d /etc/.onecc-* 2>/dev/null || true; grep -c 'BEGIN onecc' /etc/hosts") == "1"


@pytest.mark.thorough
@pytest.mark.spoils(NODE)
def test_nothing_is_written_where_a_user_has_a_say(lab: Lab) -> None:
    """Through a link that the user planted it would be written over a file of root's."""
    lab.ssh(NODE, """
useradd --create-home pat; install -d -m 0700 /opt/roots; echo secret >/opt/roots/shadow; chmod 0600 /opt/roots/shadow
su pat -c 'ln -s /opt/roots ~/way; ln -s /opt/roots/shadow ~/hosts; ln -s /dev/zero ~/.nccl.conf; mkfifo ~/fifo'
""")
    for path in ("/home/pat/hosts", "/home/pat/way/shadow", "/home/pat/fifo"):
        done = lab.site("--limit", NODE, "-e", json.dumps({"onecc_roles": ["nccl"], "nccl_mpi_hosts": path}))
        assert done.rc == 2 and "the folder /home/pat belongs to pat" in done.messages(NODE), done.output
    assert lab.ssh(NODE, "cat /opt/roots/shadow; stat -c '%U %a' /opt/roots /opt/roots/shadow; ls /opt/roots").split("\n") == [
        "secret", "root 700", "root 600", "shadow",
    ]
