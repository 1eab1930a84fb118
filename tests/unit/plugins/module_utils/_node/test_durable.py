# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    return file


def test_a_new_file_gets_the_mode(tmp_path):
    durable.write(str(tmp_path / "a" / "b" / "file"), "text", 0o640)
    file = tmp_path / "a" / "b" / "file"
    assert file.read_text() == "text"
    assert file.stat().st_mode & 0o7777 == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_keeps_its_mode(file, mode):
    file.chmod(mode)
    durable.write(str(file), "new", 0o644)
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o7777 == mode


def test_the_umask_does_not_matter(tmp_path):
    before = os.umask(0o077)
    try:
        durable.write(str(tmp_path / "file"), "text", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o644


def test_bytes_and_line_ends_stay(file):
    text = b"caf\xe9\r\n\n\tx".decode("utf-8", "surrogateescape")
    durable.write(str(file), text, 0o644)
    assert file.read_bytes() == b"caf\xe9\r\n\n\tx"


def test_only_the_file_is_left(file):
    durable.write(str(file), "new", 0o644)
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
def test_a_failure_before_the_end_leaves_the_old_file(file, monkeypatch, call):
    def fail(*_arguments):
        raise OSError("no space")

    monkeypatch.setattr(durable.os, call, fail)
    with pytest.raises(OSError, match="no space"):
        durable.write(str(file), "new", 0o644)
    assert file.read_text() == "old"
    monkeypatch.undo()
    durable.write(str(file), "new", 0o644)
    assert file.read_text() == "new" and os.listdir(file.parent) == ["file"]


def test_the_text_is_on_the_disk_before_the_name_is(file, monkeypatch):
    """What a power loss leaves depends on the order: text, then name, then directory."""
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}

    def fsync(descriptor):
        calls.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        real["fsync"](descriptor)

    def rename(old, new):
        calls.append(("rename", os.path.basename(new)))
        real["rename"](old, new)

    monkeypatch.setattr(durable.os, "fsync", fsync)
    monkeypatch.setattr(durable.os, "rename", rename)
    durable.write(str(file), "new", 0o644)
    assert calls == [("fsync", "file.new"), ("rename", "file"), ("fsync", file.parent.name)]


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "LOCKS", str(tmp_path / "onecc"))
    return tmp_path / "onecc"


def is_free(path) -> bool:
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_lock_is_held_within_and_free_after(locks):
    with durable.locked("nvme_raid"):
        assert not is_free(locks / "nvme_raid.lock")
        with durable.locked("mount"):
            pass
    assert is_free(locks / "nvme_raid.lock")


def test_a_lock_is_free_after_a_failure(locks):
    with pytest.raises(ValueError), durable.locked("nvme_raid"):
        raise ValueError
    assert is_free(locks / "nvme_raid.lock")
