# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable
from ansible_collections.onecc.cluster.plugins.module_utils._node.durable import Access, Refused

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
USER = 54321


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    return file


def mode(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_file_gets_the_mode(tmp_path):
    durable.write(str(tmp_path / "a" / "b" / "file"), "text", 0o640)
    file = tmp_path / "a" / "b" / "file"
    assert file.read_text() == "text" and mode(file) == 0o640


@pytest.mark.parametrize("number", [0o600, 0o664, 0o444, 0o4755])
def test_a_file_keeps_its_mode(file, number):
    file.chmod(number)
    durable.write(str(file), "new", 0o644)
    assert file.read_text() == "new" and mode(file) == number


@ROOT
def test_a_file_keeps_its_owner(file):
    os.chown(file, USER, USER + 1)
    durable.write(str(file), "new", 0o644)
    assert (file.stat().st_uid, file.stat().st_gid) == (USER, USER + 1)


def test_a_file_that_is_put_has_the_access_that_is_given(file):
    file.chmod(0o644)
    durable.put(str(file), "new", Access(os.getuid(), os.getgid(), 0o600))
    assert file.read_text() == "new" and mode(file) == 0o600


@ROOT
def test_a_file_may_be_given_away(file):
    durable.put(str(file), "new", Access(USER, USER, 0o4750))
    assert (file.stat().st_uid, file.stat().st_gid, mode(file)) == (USER, USER, 0o4750)


def test_the_umask_does_not_matter(tmp_path):
    before = os.umask(0o077)
    try:
        durable.write(str(tmp_path / "file"), "text", 0o644)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o644


def test_bytes_and_line_ends_stay(file):
    text = b"caf\xe9\r\n\n\tx".decode("utf-8", "surrogateescape")
    durable.write(str(file), text, 0o644)
    assert file.read_bytes() == b"caf\xe9\r\n\n\tx"


def test_only_the_file_is_left(file):
    durable.write(str(file), "new", 0o644)
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize("call", ["fchown", "fchmod", "fsync", "rename"])
def test_a_failure_before_the_end_leaves_the_old_file_and_nothing_else(file, monkeypatch, call):
    def fail(*_arguments, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, call, fail)
    with pytest.raises(Refused, match=f"{file} cannot be written: No space left on device"):
        durable.write(str(file), "new", 0o644)
    assert file.read_text() == "old" and os.listdir(file.parent) == ["file"]
    monkeypatch.undo()
    durable.write(str(file), "new", 0o644)
    assert file.read_text() == "new" and os.listdir(file.parent) == ["file"]


def test_a_file_is_whole_and_on_the_disk_before_it_has_its_name(file, monkeypatch):
    """What a power loss leaves, and who can read a secret meanwhile, depends on the order."""
    calls = []
    real = {name: getattr(os, name) for name in ("fchown", "fchmod", "fsync", "rename")}

    def called(call):
        def record(*arguments, **more):
            what = os.path.basename(os.readlink(f"/proc/self/fd/{arguments[0]}")) if call != "rename" else arguments[1]
            calls.append((call, "temporary" if durable.TEMPORARY.fullmatch(what) else what))
            if what != "file" and call == "fchown":
                found = os.fstat(arguments[0])
                assert found.st_size == 3 and stat.S_IMODE(found.st_mode) == 0o600
            return real[call](*arguments, **more)
        return record

    for call in real:
        monkeypatch.setattr(durable.os, call, called(call))
    durable.put(str(file), "new", Access(-1, -1, 0o644))
    assert calls == [
        ("fchown", "temporary"), ("fchmod", "temporary"), ("fsync", "temporary"), ("rename", "file"), ("fsync", file.parent.name),
    ]


def test_a_run_that_is_killed_between_writing_and_renaming(file):
    """It leaves what nobody takes for data, and the next one takes that away."""
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
import importlib.util
spec = importlib.util.spec_from_file_location("durable", {durable.__file__!r})
durable = importlib.util.module_from_spec(spec)
spec.loader.exec_module(durable)
os.rename = lambda *_names, **_more: os.kill(os.getpid(), signal.SIGKILL)
durable.write({str(file)!r}, "new", 0o644)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (left,) = set(os.listdir(file.parent)) - {"file"}
    assert durable.TEMPORARY.fullmatch(left) and mode(file.parent / left) == 0o644 and file.read_text() == "old"
    (file.parent / ".onecc-mine.tmp").write_text("")
    durable.write(str(file), "new", 0o644)
    assert file.read_text() == "new" and sorted(os.listdir(file.parent)) == [".onecc-mine.tmp", "file"]


def test_taking_a_file_away(file):
    durable.remove(str(file))
    durable.remove(str(file))
    assert os.listdir(file.parent) == []


@pytest.mark.parametrize("old", [None, 0o700, 0o1777])
def test_a_directory(tmp_path, old):
    if old is not None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d").chmod(old)
    durable.directory(str(tmp_path / "d"), Access(os.getuid(), os.getgid(), 0o2750))
    assert mode(tmp_path / "d") == 0o2750
    durable.directory(str(tmp_path / "d"), Access())
    assert mode(tmp_path / "d") == 0o2750


def test_what_is_something_else_stays(tmp_path):
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "to-file").symlink_to("secret")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "to-file", "fifo", "target"):
        with pytest.raises(Refused, match=str(tmp_path / name)):
            durable.write(str(tmp_path / name), "new", 0o644)
        if name != "target":
            with pytest.raises(Refused, match=str(tmp_path / name)):
                durable.directory(str(tmp_path / name), Access(mode=0o777))
    assert mode(tmp_path / "target") == 0o700 and (tmp_path / "secret").read_text() == "secret" and mode(tmp_path / "secret") == 0o600
    with pytest.raises(Refused, match=f"{tmp_path}/secret is no folder"):
        durable.write(str(tmp_path / "secret" / "below"), "new", 0o644)


def test_a_link_that_root_made_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk/../disk")
    (tmp_path / "absolute").symlink_to(tmp_path / "home")
    durable.write(str(tmp_path / "absolute" / "file"), "text", 0o644)
    assert (tmp_path / "disk" / "file").read_text() == "text"


def test_links_in_a_ring(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Refused, match="is no folder"):
        durable.write(str(tmp_path / "a" / "file"), "text", 0o644)


@pytest.mark.parametrize(("bits", "written"), [(0o755, True), (0o1777, True), (0o777, False), (0o757, False), (0o775, True)])
def test_folders_that_others_write_in(tmp_path, bits, written):
    """Those of this process's own group are nobody else; with the sticky bit they replace what is their own alone."""
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d").chmod(bits)
    if written:
        durable.write(str(tmp_path / "d" / "e" / "file"), "text", 0o644)
    else:
        with pytest.raises(Refused, match=f"in the folder {tmp_path}/d others than root may write"):
            durable.write(str(tmp_path / "d" / "e" / "file"), "text", 0o644)
    assert (tmp_path / "d" / "e" / "file").exists() == written


# What a user of the node planted: the rows of the review's table, and more.


@pytest.fixture
def home(tmp_path):
    """A user's folder, beside one of root's with a secret."""
    (tmp_path / "home").mkdir()
    (tmp_path / "roots").mkdir(mode=0o700)
    (tmp_path / "roots" / "shadow").write_text("secret")
    (tmp_path / "roots" / "shadow").chmod(0o600)
    os.chown(tmp_path / "home", USER, USER)
    return tmp_path / "home"


def plant(path, target=None):
    path.symlink_to(target) if target else path.write_text("mine")
    os.lchown(path, USER, USER)


PLANTED = {
    "the temporary name of old is a link to a file of root's": lambda home: plant(home / "file.new", "../roots/shadow"),
    "the temporary name of old is a link to nothing": lambda home: plant(home / "file.new", "../roots/new"),
    "the temporary name of old is a file": lambda home: plant(home / "file.new"),
    "the temporary name of old is a FIFO": lambda home: os.mkfifo(home / "file.new"),
    "the file is a link": lambda home: plant(home / "file", "../roots/shadow"),
    "the file is the user's": lambda home: plant(home / "file"),
    "nothing": lambda home: None,
}


@ROOT
@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_in_a_user_s_folder_nothing_is_written(home, planted):
    PLANTED[planted](home)
    before = sorted((path.name, path.lstat().st_uid, mode(path)) for path in home.rglob("*"))
    for act in (
        lambda path: durable.write(path, "new", 0o644), lambda path: durable.put(path, "new", Access(USER, USER, 0o666)),
        lambda path: durable.directory(path, Access(mode=0o1777)), durable.remove,
    ):
        with pytest.raises(Refused, match=f"the folder {home} belongs to user {USER}") as refused:
            act(str(home / "file"))
        assert refused.value.stranger == (USER, USER)
    assert sorted((path.name, path.lstat().st_uid, mode(path)) for path in home.rglob("*")) == before
    shadow = home.parent / "roots" / "shadow"
    assert os.listdir(shadow.parent) == ["shadow"] and shadow.read_text() == "secret" and mode(shadow) == 0o600
    assert shadow.stat().st_uid == 0


@ROOT
@pytest.mark.parametrize("where", ["home", "sticky"])
def test_a_link_on_the_way_is_not_followed(home, where):
    folder = home if where == "home" else home.parent / "sticky"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    plant(folder / "way", "../roots")
    with pytest.raises(Refused, match="may have put in the way" if where == "sticky" else "belongs to"):
        durable.put(str(folder / "way" / "shadow"), "new", Access(USER, USER, 0o666))
    with pytest.raises(Refused):
        durable.directory(str(folder / "way"), Access(mode=0o1777))
    shadow = home.parent / "roots" / "shadow"
    assert shadow.read_text() == "secret" and shadow.stat().st_uid == 0 and mode(shadow.parent) == 0o700


@ROOT
def test_a_folder_is_swapped_for_a_link_while_a_file_is_written(home, monkeypatch):
    """What was opened is written to, whatever has its name by then."""
    folder = home.parent / "d"
    folder.mkdir()
    real = os.rename

    def swapped(*names, **more):
        monkeypatch.undo()
        folder.rename(home.parent / "moved")
        folder.symlink_to("roots")
        real(*names, **more)

    monkeypatch.setattr(durable.os, "rename", swapped)
    durable.write(str(folder / "shadow"), "new", 0o644)
    assert (home.parent / "roots" / "shadow").read_text() == "secret" and (home.parent / "moved" / "shadow").read_text() == "new"


@ROOT
def test_a_secret_is_nobody_else_s_at_any_moment(monkeypatch):
    """A user opens all that appears in a folder of root's that everybody may enter, which those of pytest are not."""
    monkeypatch.setattr(durable.os, "fsync", lambda _descriptor: time.sleep(0.001))  # so that there are many moments
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        folder = pathlib.Path(above)
        reader = os.fork()
        if not reader:
            os._exit(looked_for(folder))
        for _time in range(50):
            durable.put(str(folder / "public"), "", Access(0, 0, 0o644))
            durable.put(str(folder / "public"), "secret", Access(0, 0, 0o600))
        durable.write(str(folder / "over"), "", 0o644)
        assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 0


def looked_for(folder: pathlib.Path) -> int:
    """1 where a user sees the secret before it is over, 2 where the user sees nothing at all."""
    seen = 2
    try:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
        while not (folder / "over").exists():
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    seen = 0 if b"secret" not in (folder / name).read_bytes() else 1
                    if seen == 1:
                        return 1
    except BaseException:
        return 3
    return seen


# Turns


@pytest.fixture
def mutex(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "LOCKS", str(tmp_path / "onecc"))
    monkeypatch.setattr(durable, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(durable, "POLL_SECONDS", 0.01)
    return tmp_path / "onecc" / "mutex"


def is_free(path) -> bool:
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_turn_lasts_as_long_as_the_work(mutex):
    with durable.locked("nvme_raid"):
        assert not is_free(mutex)
    assert is_free(mutex)
    with pytest.raises(ValueError), durable.locked("nvme_raid"):
        raise ValueError
    assert is_free(mutex)


def test_the_mutex_is_root_s_alone(mutex):
    """Whoever can open it can hold it."""
    mutex.parent.mkdir()
    mutex.parent.chmod(0o755)  # as the first edition made it
    with durable.locked("mount"):
        assert (mode(mutex.parent), mode(mutex)) == (0o700, 0o600)


def test_who_does_not_get_a_turn_hears_of_the_holder(mutex):
    with durable.locked("package_set"):
        started = time.monotonic()
        with pytest.raises(Refused, match=rf"process {os.getpid()} \(package_set: .*python.*Nothing was changed"), durable.locked("mount"):
            pass
        assert time.monotonic() - started < 5


def test_whoever_waits_gets_a_turn_when_the_holder_is_killed(mutex, monkeypatch):
    monkeypatch.setattr(durable, "WAIT_SECONDS", 30)
    ready, tell = os.pipe()
    holder = os.fork()
    if not holder:
        with durable.locked("package_set"):
            os.write(tell, b"x")
            time.sleep(60)
            os._exit(0)
    os.read(ready, 1)
    threading.Timer(0.1, os.kill, (holder, signal.SIGKILL)).start()
    with durable.locked("mount"):
        os.waitpid(holder, 0)


@ROOT
def test_another_user_cannot_hold_the_mutex(mutex):
    with durable.locked("mount"):
        pass
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setuid(USER)
        try:
            os.open(mutex, os.O_RDONLY)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_link_in_place_of_the_mutex(mutex, tmp_path):
    mutex.parent.mkdir(mode=0o700)
    mutex.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused), durable.locked("mount"):
        pass
    assert not (tmp_path / "elsewhere").exists()


class Module:
    """A module, as far as a turn goes."""

    def __init__(self, check_mode: bool = False) -> None:
        self.check_mode, self.messages = check_mode, []

    def fail_json(self, msg: str) -> None:
        self.messages.append(msg)


def test_check_mode_takes_no_turn(mutex):
    with durable.turn(Module(check_mode=True), "mount"):
        assert not mutex.parent.exists()


@pytest.mark.parametrize(("error", "message"), [
    (Refused("x: no"), "x: no"), (OSError(errno.EFBIG, "larger than 64 MiB", "/x"), "/x: larger than 64 MiB"),
])
def test_what_cannot_be_written_or_read_ends_the_module(mutex, error, message):
    module = Module()
    with durable.turn(module, "mount"):
        raise error
    assert module.messages == [message]
