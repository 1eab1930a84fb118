# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import machine as module
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


@pytest.fixture
def machine(tmp_path):
    return Machine(str(tmp_path))


def test_paths_lie_below_the_root(machine, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "x").write_bytes(b" caf\xe9\n")
    assert machine.exists("/etc/x") and not machine.exists("/etc/y")
    assert machine.names("/etc") == ["x"]
    assert machine.text("/etc/x") == " caf\ufffd\n"
    assert machine.text("/etc/x", "surrogateescape").encode("utf-8", "surrogateescape") == b" caf\xe9\n"
    assert machine.attribute("/etc/x") == "caf\ufffd"
    assert machine.data("/etc/x", 1, 3) == b"caf"


def test_what_is_not_there(machine, tmp_path):
    (tmp_path / "file").write_text("")
    assert machine.names("/nothing") == machine.names("/file") == machine.names("/file/below") == []
    assert machine.text("/nothing") is None and machine.data("/") is None
    assert machine.attribute("/nothing") == ""


def test_links_lead_to_paths_of_the_machine(machine, tmp_path):
    (tmp_path / "sys" / "class").mkdir(parents=True)
    (tmp_path / "sys" / "class" / "x").symlink_to("../devices/x")
    assert machine.real("/sys/class/x") == "/sys/devices/x", "also where nothing is there"
    assert machine.real("/sys/class/x/y") == "/sys/devices/x/y"
    assert Machine().real("/proc/self/../1") == "/proc/1"


def test_the_root_of_the_running_machine():
    assert Machine().path("/proc/self") == "/proc/self"


def test_a_program(machine):
    done = machine.run("/bin/sh", "-c", "echo $LC_ALL; echo caf\udce9 >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, "C\n", "caf\ufffd\n")


def test_arguments_are_no_shell_words(machine):
    assert machine.run("/bin/echo", "$(id); *").stdout == "$(id); *\n"


def test_a_program_that_is_missing(machine):
    done = machine.run("no-such-program", "x")
    assert done.rc == 127 and "no-such-program" in done.stderr


def test_a_program_that_may_not_be_run(machine, tmp_path):
    (tmp_path / "program").write_text("")
    done = machine.run(str(tmp_path / "program"))
    assert done.rc == 126 and "program" in done.stderr


def test_a_program_that_hangs(machine, monkeypatch):
    def run(argv, **_arguments):
        raise subprocess.TimeoutExpired(argv, 60)

    monkeypatch.setattr(module.subprocess, "run", run)
    assert machine.run("wipefs").rc == 124


def test_standard_input_is_empty(machine):
    """The checker's own program comes on it."""
    read, write = os.pipe()
    os.write(write, b"program")
    os.close(write)
    kept = os.dup(0)
    os.dup2(read, 0)
    try:
        assert machine.run("/bin/cat").stdout == ""
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read)
