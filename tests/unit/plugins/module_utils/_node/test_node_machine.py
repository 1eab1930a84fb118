# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import tempfile

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import machine as module
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine, TooLarge


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


# What a user may have put in the place of a file


@pytest.fixture
def odd(machine, tmp_path):
    """Names of what is no file, and would keep a reader for ever or do something when it is opened."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "terminal").symlink_to("/dev/ptmx")
    (tmp_path / "to-fifo").symlink_to("fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        yield ["/fifo", "/zero", "/terminal", "/to-fifo", "/folder", "/loop", "/socket"]


def test_what_is_no_file_is_not_opened(machine, odd, monkeypatch):
    opened, real = [], os.open

    def opens(path, flags, *more, **rest):
        opened.append((path, bool(flags & os.O_PATH)))
        return real(path, flags, *more, **rest)

    monkeypatch.setattr(module.os, "open", opens)
    for name in odd:
        assert machine.data(name) is None and machine.data(name, 0, 10) is None and machine.text(name) is None, name
    assert opened and all(only_looked_at for _path, only_looked_at in opened)


def test_a_file_that_is_too_large_is_not_read(machine, tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge) as error:
        machine.text("/sparse")
    assert error.value.filename == "/sparse" and "larger than 64 MiB" in str(error.value)
    assert machine.data("/sparse", 1 << 30, 16) == bytes(16), "a piece of it is"


@pytest.mark.parametrize(("size", "read"), [(0, True), (65536, True), (65537, True), (65538, False)])
def test_how_large_a_file_may_be(machine, tmp_path, monkeypatch, size, read):
    monkeypatch.setattr(module, "MOST_BYTES", 65537)
    (tmp_path / "file").write_bytes(b"x" * size)
    if read:
        assert machine.data("/file") == b"x" * size
    else:
        with pytest.raises(TooLarge):
            machine.data("/file")


def test_files_of_the_kernel_are_read(tmp_path):
    """They say that they are empty."""
    here = Machine()
    assert (here.text("/proc/self/status") or "").startswith("Name:") and here.attribute("/proc/sys/kernel/ostype") == "Linux"
    assert len(here.data("/proc/self/mountinfo")) > 100 and here.data("/proc/self/mem") is None


def test_no_descriptor_is_left(machine, odd):
    before = len(os.listdir("/proc/self/fd"))
    for name in (*odd, "/nothing"):
        machine.data(name)
    assert len(os.listdir("/proc/self/fd")) == before


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
USER = 54321


@pytest.fixture
def home():
    """A user's folder, which that user can reach, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        home = pathlib.Path(above, "home")
        home.mkdir()
        (home / "own").write_text("mine")
        (home / "own").chmod(0o600)
        for path in (home, home / "own"):
            os.chown(path, USER, USER)
        secret = pathlib.Path(above, "secret")
        secret.write_text("ROOT=secret")
        secret.chmod(0o640)
        os.chown(secret, 0, 0)
        yield home


@ROOT
def test_what_is_a_user_s_is_read_as_that_user(home):
    here = Machine()
    assert here.data_of(USER, USER, str(home / "own"), 100) == b"mine" and here.data_of(USER, USER, str(home / "own"), 2) == b"mi"
    (home / "link").symlink_to("../secret")
    (home / "way").symlink_to("..")
    (home / "to-own").symlink_to("own")
    for name in ("link", "way/secret", "to-own", "nothing", "../secret"):
        assert here.data_of(USER, USER, str(home / name), 100) is None, name
    assert os.geteuid() == 0 and here.data(str(home.parent / "secret")) == b"ROOT=secret"


@ROOT
def test_root_s_groups_are_dropped(home):
    os.chmod(home.parent / "secret", 0o040)
    before = os.getgroups()
    try:
        os.setgroups([0])
        assert Machine().data_of(USER, USER, str(home.parent / "secret"), 100) is None
    finally:
        os.setgroups(before)


def test_a_captured_tree_has_no_users(machine, tmp_path):
    (tmp_path / "file").write_text("text")
    assert machine.data_of(USER, USER, "/file", 100) == b"text"
