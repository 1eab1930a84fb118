# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils._console_ssh_config import Entry, entries_of, hosts_from_config
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import Notes
from hypothesis import given
from hypothesis import strategies as st

CONSOLE = """\
# us-east-2-1cc
Host us-east-2-1cc-head-1
    HostName 203.0.113.11
    User ubuntu
Host us-east-2-1cc-head-2
\tHostName=198.51.100.12
\tPort = 2222

Host us-east-2-1cc-node-1
    HostName 172.26.135.124
    ProxyJump us-east-2-1cc-head-1
host "us-east-2-1cc-node-2" alias-2
    hostname "172.26.135.125"

Host us-east-2-*
    User admin
    Port 22
Host *
    IdentityFile ~/.ssh/id
"""


def hosts(text, names=(), overrides=None):
    notes = Notes()
    return {host.name: host for host in hosts_from_config(text, names, overrides or {}, notes)}, notes


def test_entries_with_the_first_value_winning():
    assert entries_of(CONSOLE) == [
        Entry("us-east-2-1cc-head-1", "203.0.113.11", "22", "ubuntu"),
        Entry("us-east-2-1cc-head-2", "198.51.100.12", "2222", "admin"),
        Entry("us-east-2-1cc-node-1", "172.26.135.124", "22", "admin"),
        Entry("us-east-2-1cc-node-2", "172.26.135.125", "22", "admin"),
        Entry("alias-2", "172.26.135.125", None, None),
    ]


def test_hosts():
    found, notes = hosts(CONSOLE, names=["us-*"])
    assert [(host.name, host.role) for host in found.values()] == [
        ("us-east-2-1cc-head-1", "head"),
        ("us-east-2-1cc-head-2", "head"),
        ("us-east-2-1cc-node-1", "compute"),
        ("us-east-2-1cc-node-2", "compute"),
    ]
    head, node = found["us-east-2-1cc-head-2"], found["us-east-2-1cc-node-1"]
    # 203.0.113.0/24 and its like are not global, but they are how a head is entered.
    assert head.node["ip"] == "198.51.100.12" and head.port == 2222 and head.user == "admin"
    assert node.node["private_ip"] == "172.26.135.124" and node.node["ip"] is None
    assert not notes.warnings


def test_overrides():
    found, _notes = hosts("Host gate\nHostName 8.8.8.8\nHost cpu\nHostName 10.0.0.1", overrides={"gate": "head", "cpu": "generic_cpu"})
    assert (found["gate"].role, found["gate"].node["ip"]) == ("head", "8.8.8.8")
    assert found["cpu"].role == "generic_cpu"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("Host a\nHostName gateway.example", "HostName is not an address"),
        ("Host a", "HostName is not an address"),
        ("Host a\nHostName $(id)", "HostName is not an address"),
        ("Host a;b\nHostName 10.0.0.1", "not usable as the name"),
        ("Host localhost\nHostName 10.0.0.1", "not usable as the name"),
        ("Host -oX\nHostName 10.0.0.1", "not usable as the name"),
        ("Host a\nHostName 10.0.0.1\nPort 0", "Port is not a port"),
        ("Host a\nHostName 10.0.0.1\nPort 22x", "Port is not a port"),
        ("Host a\nHostName 10.0.0.1\nUser -oX", "User is not usable"),
        ("Host a\nHostName 10.0.0.1\nUser $(id)", "User is not usable"),
    ],
)
def test_what_is_not_usable_is_named(block, says):
    found, notes = hosts(block)
    assert not found and says in notes.warnings[0] and notes.warnings[0].isprintable()


def test_match_blocks_and_negations():
    text = "Host a b !b\nUser x\nHost a b\nHostName 10.0.0.1\nMatch all\nPort 5\nHost 10.0.0.2\n"
    assert entries_of(text) == [Entry("a", "10.0.0.1", None, "x"), Entry("b", "10.0.0.1", None, None), Entry("10.0.0.2", "10.0.0.2", None, None)]


WORDS = ["Host ", "HostName ", "a", "10.0.0.1", "\n", "=", '"', "!", "*", "Match ", "Port ", "\0", "[", "%h"]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map("".join))
def test_any_text_can_be_read(text):
    _found, notes = hosts(text)
    assert all(warning.isprintable() for warning in notes.warnings)
