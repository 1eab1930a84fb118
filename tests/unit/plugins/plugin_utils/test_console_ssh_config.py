# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils._console_ssh_config import Entry, Refused, entries_of, hosts_from_config
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import Notes
from hypothesis import example, given, settings
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
        ("Host LocalHost\nHostName 10.0.0.1", "not usable as the name"),
        ("Host 127.0.0.1\nHostName 10.0.0.1", "not usable as the name"),
        ("Host 127.1\nHostName 10.0.0.1", "not usable as the name"),
        ("Host a\nHostName 127.0.0.1", "HostName is not an address"),
        ("Host a\nHostName 169.254.169.254", "HostName is not an address"),
        ("Host training\nHostName 10.0.0.1", "the name of a group"),
        ("Host a\nHostName 10.0.0.1\nUser -oX", "User is not usable"),
        ("Host a\nHostName 10.0.0.1\nUser $(id)", "User is not usable"),
    ],
)
def test_what_is_not_usable_is_named(block, says):
    notes = Notes()
    found = hosts_from_config(block, (), {}, notes, {"training"})
    assert not found and says in notes.warnings[0] and notes.warnings[0].isprintable()


@pytest.mark.parametrize(("text", "line"), [
    ("\ufeffHost a\nHostName 10.0.0.1", 1),
    ("Host a\nHostNam 10.0.0.1", 2),
    ("Hots a\nHostName 10.0.0.1", 1),
    ("Host a\nHostName 10.0.0.1 10.0.0.2", 2),
    ("Host a\nHostName", 2),
    ('Host "a\nHostName 10.0.0.1', 1),
    ("Host a\nIdentityFile '~/x", 2),
    ("Host\nHostName 10.0.0.1", 1),
    ("Host a\nHostName %n", 2),
    ("Host a\n\nPort 0", 3),
    ("Host a\nPort 22x", 2),
    ("Host a\nPort 65536", 2),
    ("Host a\nUser", 2),
    ("Include other\nHost a\nHostName 10.0.0.1", 1),
    ("IgnoreUnknown X\nHost a", 1),
    ("Host a\nHostName 10.0.0.1\nMatch exec true\nHostName 10.0.0.2", 3),
    ("Host a\nHostName 10.0.0.1\nMatch !host a\nUser x", 3),
    ("Host a\nMatch host\nUser x", 2),
    ("Host a\nMatch host 'a'\nUser x", 2),
    ("Host a\nMatch\nUser x", 2),
    ("Host a\nHostName 10.0.0.1\nMatch user x\nUser y", 3),
    ("Host a\0\nHostName 10.0.0.1", 1),
    ("Host a\x0bb\nHostName 10.0.0.1", 1),
    ("Host a\u2028Host b\nHostName 10.0.0.1", 1),
    ("10.0.0.1 Host\nHost a", 1),
])
def test_what_is_not_read_is_refused_with_its_line(text, line):
    with pytest.raises(Refused, match=f"^line {line}: ") as error:
        hosts(text)
    assert str(error.value).isprintable()


def test_comments_behind_words():
    text = "Host c-head-1 # login node, ask ops\n  HostName 20.0.0.1\r\nHost c-node-1 # rack 3\n  HostName 10.19.0.2 # private\n"
    assert entries_of(text) == [Entry("c-head-1", "20.0.0.1", None, None), Entry("c-node-1", "10.19.0.2", None, None)]


def test_the_first_value_wins():
    text = (
        "Host *\nUser ubuntu\nPort 2222\nHost c-head-1\nHostName 20.0.0.1\nPort 22\nHost !c-node-3 c-node-*\nUser bob\n"
        "Host c-node-1\nHostName 10.19.0.2\nMatch host c-node-1 user root\nHostName 10.0.0.1\n"
    )
    assert entries_of(text) == [Entry("c-head-1", "20.0.0.1", "2222", "ubuntu"), Entry("c-node-1", "10.19.0.2", "2222", "ubuntu")]


def test_match_blocks_and_negations():
    text = "Host a b !b\nUser x\nHost a b\nHostName 10.0.0.1\nMatch all\nPort 5\nIdentityFile y\n"
    assert entries_of(text) == [Entry("a", "10.0.0.1", "5", "x"), Entry("b", "10.0.0.1", "5", None)]
    text = "Host a\nUser x\nHostName 10.0.0.1\nMatch host 10.0.0.* user x,y\nPort 4\nMatch originalhost a,!a\nPort 5\n"
    assert entries_of(text) == [Entry("a", "10.0.0.1", "4", "x")]


# A program as judge: what ssh itself makes of generated files. ONECC_SSH_EXAMPLES=5000 for a long trial.
EXAMPLES = int(os.environ.get("ONECC_SSH_EXAMPLES", "60"))
NAMES = ["a", "b", "n-1", "n-2", "A"]
PATTERNS = [*NAMES, "*", "n-?", "n-*", "!a", "!n-*", "?", "[ab]", "a#b", "#c", '"a"', "'b'", '"n-1" b', "a,b", "\\"]
VALUES = ["10.0.0.1", "10.0.0.2", '"10.0.0.3"', "10.0.0.4 # x", "10.0.0.5#x", "10.0.0.6 7", "'10.0.0.7'", "%h",
          "x%h", "%%h", "10.0.0.8\r", "", '"10.0.0.9']
PORTS = ["22", "2222", "0", "65536", "22x", '"23"', "24 #x", "+25", "022", " ", "ssh"]
USERS = ["bob", '"ann"', "x # y", "a b", "a\\ b", "''", "eve\t"]
OTHERS = ["IdentityFile ~/.ssh/id", "ProxyJump a", "Hots a", "StrictHostKeyChecking no", "# x", "  ", "\t#", "\ufeff", "ServerAliveInterval 5", "User",
          "IdentityFile 'x", "Match all", "Match host 10.0.0.1,n-1", "Match originalhost a,!b", "Match user bob",
          "Match host N-* user bob", "Match host", "Match", "match ALL", "Match all host a"]
SEPARATORS = [" ", "=", " = ", "\t", " =", "= = ", "  ", '"']


def said(keywords, values):
    return st.builds("{}{}{}{}".format, st.sampled_from(["", "  ", "\t"]), st.sampled_from(keywords), st.sampled_from(SEPARATORS), values)


LINES = st.one_of(
    said(["Host", "host", "HOST"], st.lists(st.sampled_from(PATTERNS), min_size=0, max_size=3).map(" ".join)),
    said(["Host"], st.sampled_from(NAMES)),
    said(["HostName", "hostname"], st.sampled_from(VALUES)),
    said(["HostName"], st.sampled_from(VALUES[:2])),
    said(["Port"], st.sampled_from(PORTS)),
    said(["User"], st.sampled_from(USERS)),
    st.sampled_from(OTHERS),
)


def judged(file, name):
    """Host name, port and user by ssh, or None where it refuses the file."""
    command = ["ssh", "-G", "-F", str(file), "--", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = dict(re.findall(r"^(hostname|port|user) (.*)$", done.stdout, re.M))
    return {**found, "hostname": found["hostname"].lower()} if done.returncode == 0 else None


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh on this machine")
@settings(max_examples=EXAMPLES, deadline=None)
@example(["Host a # b", "HostName 10.0.0.1"])
@example(["\ufeffHost a", "HostName 10.0.0.1"])
@example(["Host [ab] a", "HostName 10.0.0.1", "Host a", "HostName 10.0.0.2"])
@example(["Host a", "User bob", "HostName 10.0.0.1", "Match host 10.0.0.1 user bob", "Port 24"])
@given(st.lists(LINES, max_size=8))
def test_ssh_reads_the_same(lines):
    text = "".join(f"{line}\n" for line in lines)
    try:
        entries = entries_of(text)
    except Refused:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config")
        file.write_text(text)
        nobody = judged("/dev/null", "x")
        for entry in entries:
            if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]*", entry.name):
                expected = {"hostname": entry.host_name.lower(), "port": str(int(entry.port or 22)), "user": entry.user or nobody["user"]}
                assert judged(file, entry.name) == expected, text
        # What ssh refuses is refused, also where there is no host.
        assert judged(file, "x") is not None, text


WORDS = ["Host ", "HostName ", "a", "10.0.0.1", "\n", "=", '"', "!", "*", "Match ", "Port ", "\0", "[", "%h"]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map("".join))
def test_any_text_can_be_read_or_refused(text):
    try:
        _found, notes = hosts(text)
    except Refused as error:
        assert str(error).isprintable()
        return
    assert all(warning.isprintable() for warning in notes.warnings)
