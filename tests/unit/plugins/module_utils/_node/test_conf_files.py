# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file has the last word, as systemd has it, and as systemd-analyze says over generated trees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import conf_files, sysctl_files
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


NAMES = ("10-a.conf", "90-onecc-x.conf", "99-z.conf", "A.conf", "é.conf", ".hidden.conf", "b.conf~", "c.txt")
PLACES = st.dictionaries(
    st.tuples(st.sampled_from(conf_files.FOLDERS), st.sampled_from(NAMES)), st.sampled_from(["text", "empty", "null"]), max_size=8,
)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is the judge")
@settings(max_examples=12)
@given(PLACES, st.sets(st.sampled_from(conf_files.FOLDERS)))
def test_the_order_of_files_is_that_of_systemd(places, mains):
    with tempfile.TemporaryDirectory() as folder:
        machine = Captured(Path(folder))
        for root in mains:
            machine.write(f"{root}/systemd/system.conf", f"[Manager]\n#{root}\n")
        for (root, name), what in places.items():
            path = machine.path(f"{root}/systemd/system.conf.d/{name}")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if what == "null":
                os.symlink("/dev/null", path)
            else:
                Path(path).write_text("[Manager]\n" if what == "text" else "", encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "--no-pager", f"--root={folder}", "cat-config", "systemd/system.conf"], capture_output=True, check=False,
            env={**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"},
        )
        shown = re.findall(rf"^# {re.escape(folder)}(/\S*/systemd/\S+)$", done.stdout.decode(), re.MULTILINE)
        # Its older versions read the first file from /etc alone.
        ours = conf_files.files(machine, "systemd/system.conf")
        assert [path for path in ours if ".d/" in path] == [path for path in shown if ".d/" in path]


def values(machine: Captured) -> list[tuple]:
    return [(item.key, item.value) for item in conf_files.assignments(machine, "systemd/system.conf", "Manager", {})]


def test_what_systemd_reads_in_a_file(machine):
    machine.write("/etc/systemd/system.conf", "[Other]\nA=0\n[Manager]\n#A=1\n ; A=2\nA = 3 \\\n# no comment ends it\n  4\nB=\n")
    machine.write("/usr/lib/systemd/system.conf", "[Manager]\nC=1\n")
    machine.write("/usr/lib/systemd/system.conf.d/a.conf", "D=0\n[Manager]\nD=1\n")
    assert values(machine) == [("A", "3    4"), ("B", ""), ("D", "1")]


def test_an_absolute_link_leads_into_the_captured_tree(machine):
    machine.write("/opt/x", "a = 1\n")
    os.makedirs(machine.path("/etc/sysctl.d"))
    os.symlink("/opt/x", machine.path("/etc/sysctl.d/99-x.conf"))
    os.symlink("99-loop.conf", machine.path("/etc/sysctl.d/99-loop.conf"))
    assert conf_files.lines(machine, "/etc/sysctl.d/99-x.conf") == ["a = 1"]
    assert conf_files.lines(machine, "/etc/sysctl.d/99-loop.conf") == []


OURS = {"/etc/sysctl.d/90-onecc-x.conf": "vm.swappiness = 1\n"}


def last(machine: Captured, name: str = "vm.swappiness") -> tuple | None:
    found = sysctl_files.at_boot(sysctl_files.declared(machine, OURS), name)
    return found and (found.value, found.path)


@pytest.mark.parametrize(("path", "text", "overrides"), [
    ("/etc/sysctl.d/99-vendor.conf", "vm.swappiness = 60\n", True),
    ("/etc/sysctl.d/99-vendor.conf", "  -vm/swappiness=60", True),
    ("/etc/sysctl.d/99-vendor.conf", "/vm//swappiness = 60", True),
    ("/etc/sysctl.d/99-vendor.conf", "-vm.swappiness", True),
    ("/etc/sysctl.d/99-vendor.conf", "# vm.swappiness = 60\n;vm.swappiness = 60\nvm.swappiness 60\n", False),
    ("/etc/sysctl.d/99-vendor.conf", "vm.* = 60\n", False),  # what is named stands above a pattern
    ("/etc/sysctl.d/99-vendor.conf", "vm.swappiness = 1\n", False),
    ("/etc/sysctl.d/99-vendor.txt", "vm.swappiness = 60\n", False),
    ("/usr/lib/sysctl.d/99-vendor.conf", "vm.swappiness = 60\n", True),
    ("/usr/local/lib/sysctl.d/zz.conf", "vm.swappiness = 60\n", True),
    ("/run/sysctl.d/91.conf", "vm.swappiness = 60\n", True),
    ("/run/sysctl.d/10.conf", "vm.swappiness = 60\n", False),
    ("/run/sysctl.d/90-onecc-x.conf", "vm.swappiness = 60\n", False),
    ("/etc/sysctl.conf", "vm.swappiness = 60\n", False),
])
def test_who_has_the_last_word_on_a_sysctl(machine, path, text, overrides):
    machine.write(path, text)
    assert (last(machine)[1] == path) is overrides


def test_sysctl_conf_counts_where_a_link_leads_there(machine):
    machine.write("/etc/sysctl.conf", "vm.swappiness=60\n")
    machine.link("/etc/sysctl.d/99-sysctl.conf", "/etc/sysctl.conf")
    assert last(machine) == ("60", "/etc/sysctl.d/99-sysctl.conf")


def test_a_masked_file_does_not_count(machine):
    machine.write("/usr/lib/sysctl.d/99-vendor.conf", "vm.swappiness = 60\n")
    os.makedirs(machine.path("/etc/sysctl.d"))
    os.symlink("/dev/null", machine.path("/etc/sysctl.d/99-vendor.conf"))
    assert last(machine) == ("1", "/etc/sysctl.d/90-onecc-x.conf")


@pytest.mark.parametrize(("text", "value"), [
    ("net.ipv4.conf.*.forwarding = 1\n", "1"), ("net.ipv4.*.forwarding = 1\n", None), ("net/ipv4/conf/eth0/forwarding=2\n", None),
    ("net.ipv4.conf.*.forwarding = 1\n-net.ipv4.conf.all.forwarding\n", None), ("net.*.conf.[!e]*.forwarding = 1\n", "1"),
])
def test_patterns_of_sysctls(machine, text, value):
    machine.write("/etc/sysctl.d/a.conf", text)
    found = last(machine, "net.ipv4.conf.all.forwarding")
    assert (found and found[0]) == value


def test_a_counterpart_takes_the_value_away(machine):
    machine.write("/etc/sysctl.d/10.conf", "vm.dirty_ratio = 5\n")
    assert last(machine, "vm.dirty_ratio")[0] == "5"
    machine.write("/etc/sysctl.d/20.conf", "vm.dirty_bytes = 1048576\n")
    assert last(machine, "vm.dirty_ratio") == ("1048576", "/etc/sysctl.d/20.conf")
    machine.write("/etc/sysctl.d/30.conf", "vm.dirty_bytes = 0\n")
    assert last(machine, "vm.dirty_ratio")[0] == "5"


@pytest.mark.parametrize(("last_value", "value"), [("3", "3"), ("1", "2")])
def test_what_is_set_anew_is_written_last_and_what_is_repeated_is_not(machine, last_value, value):
    machine.write("/etc/sysctl.d/a.conf", f"vm.* = 1\nvm.o* = 2\nvm.* = {last_value}\n")
    assert last(machine, "vm.other")[0] == value
