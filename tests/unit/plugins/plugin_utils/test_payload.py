# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import concurrent.futures
import errno
import io
import json
import os
import pathlib
import pwd
import stat
import subprocess
import sys
import zlib

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, loader, preflight, probe
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _payload
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PYTHON = "/usr/bin/python3"
SYSTEM_PYTHON = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"{PYTHON} is not here")
FILES = {"files": [{"path": "/etc/no-such-file", "sha256": "0", "owner": "root", "group": "root", "mode": "0644"}]}
# A resource of every kind, none of which is on this machine.
EVERY_KIND = {
    "packages": [{"name": "no-such-package"}],
    "kernel_modules": [{"name": "no_such_module"}],
    "sysctls": [{"name": "vm.no_such_parameter", "value": "1"}],
    "limits": [{"name": "core", "value": "77"}],
    "swaps": [{"name": "none"}],
    "directories": [{"path": "/no/such/directory"}],
    "files": [{"path": "/no/such/file", "content": "é {{ x }} $(id) \\ ' \" \n"}],
    "blocks": [{"path": "/no/such/file", "content": "x"}],
    "debconf_answers": [{"name": "no/such-question", "owner": "no-such-package", "value": "x"}],
    "locked_packages": [{"name": "nvidia-driver-999-open", "version": "1.0-1"}],
    "arrays": [{"name": "nosucharray", "ignore": ["é"], "layout": "directory"}],
    "mounts": [{"path": "/no/such/mount", "array": "nosucharray", "fstype": "xfs"}],
    "users": [{"name": "nosuchuser", "keys": []}],
    "units": [{"name": "no-such-unit.service", "active": True}],
    "smoke_tests": [{"name": "nccl", "component": "nccl"}],
    "nccl_configs": [{"path": "/no/such/nccl.conf", "settings": [{"name": "NCCL_NET", "value": "IB", "reason": "é"}]}],
    "rails": [{"name": "rails", "count": 99}],
    "ofed_providers": [{"name": "doca"}],
    "gpudirect": [{"name": "dmabuf"}],
    "rdma_names": [{"name": "pci"}],
}

ITEM = {"kind": "files", "name": "x", "field": "exists", "message": "no x", "remedy": "apply"}
NODE = f"{_payload.UTILS}._node"
NODE_SOURCES = _payload.SOURCES / "_node"
ANSWER = probe.MARK + json.dumps({"role": [ITEM]})


def checked(state: dict) -> dict:
    """A declaration as drift sends it."""
    return _declaration.to_check(_declaration.complete(state))


@pytest.fixture(name="node")
def made_node(tmp_path, monkeypatch) -> Node:
    return Node(tmp_path / "home", monkeypatch)


class Node:
    """This computer's Python as a node's, with another home folder."""

    def __init__(self, home: pathlib.Path, monkeypatch) -> None:
        self.home = home
        text = _payload._MODULES[loader.__name__]
        changed = text.replace("pwd.getpwuid(os.geteuid()).pw_dir", repr(str(home)))
        assert changed != text
        monkeypatch.setattr(_payload, "_LOADER", _payload._part(f"{_payload._PYTHON}\nexec({changed!r})".encode()))

    def run(self, sent: bytes, folder: str = "/", **environment: str) -> subprocess.CompletedProcess:
        """A shell, and what is sent on standard input."""
        return subprocess.run(
            ["/bin/sh", "-c", _payload.COMMAND.format(python=PYTHON)], input=sent, capture_output=True, check=False, cwd=folder,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        )

    def asked(self, states: dict, clock: float | None = None, **more: str) -> subprocess.CompletedProcess:
        """The answer of a node at its first contact."""
        return self.run(_payload.with_checker(_payload.request(states, clock)), **more)

    def kept(self) -> list[pathlib.Path]:
        return [path for path in self.home.rglob("*") if path.is_file()]


def parts(sent: bytes) -> list[bytes]:
    """What standard input holds, as the node takes it apart."""
    stream, found = io.BytesIO(sent), []
    while size := stream.readline():
        found.append(zlib.decompress(stream.read(int(size))))
    return found


# What is sent


def test_a_request_names_the_checker_and_holds_the_states():
    states = {"a": checked({"packages": [{"name": "mdadm"}]})}
    _loader, asked = parts(_payload.request(states, 5.5))
    assert json.loads(asked) == {"digest": _payload.DIGEST, "probe": probe.__name__, "states": states, "clock": 5.5}


def test_the_checker_is_all_of_the_node_s_code():
    asked = _payload.request({})
    first, second, checker = parts(_payload.with_checker(asked))
    assert [first, second] == parts(asked)
    files = {path.relative_to(NODE_SOURCES).as_posix() for path in NODE_SOURCES.rglob("*.py")}
    modules = json.loads(checker)
    own = {name.removeprefix(NODE).lstrip(".") for name in modules if name.startswith(NODE)}
    assert own == {"" if file == "__init__.py" else file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in files}
    assert {name for name in modules if not name.startswith(NODE)} == {
        "ansible_collections", "ansible_collections.onecc", "ansible_collections.onecc.cluster", "ansible_collections.onecc.cluster.plugins",
        "ansible_collections.onecc.cluster.plugins.module_utils",
    }


def test_every_kind_has_a_module():
    assert {f"{NODE}.kinds.{kind}" for kind in _declaration.KINDS} <= set(_payload._MODULES)
    assert set(EVERY_KIND) == set(_declaration.KINDS)


@pytest.mark.parametrize("path", sorted(NODE_SOURCES.rglob("*.py")), ids=lambda path: path.stem)
def test_sources_are_python_3_9(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_sources_import_the_standard_library_of_3_9_alone():
    known = {
        "__future__", "collections", "collections.abc", "contextlib", "difflib", "errno", "fcntl", "fnmatch", "glob", "grp", "hashlib",
        "importlib", "importlib.machinery", "json", "marshal", "os", "pwd", "re",
        "select", "shlex", "signal", "socket", "stat", "struct", "subprocess", "sys", "time", "types", "typing", "uuid", "zlib",
    }
    for path in NODE_SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= known, path.name
            elif isinstance(node, ast.ImportFrom):
                assert node.module in known or node.module.startswith(NODE), path.name


def test_size():
    """With what the roles declare unasked for a node with two file systems, and with all kinds."""
    attached = [{"name": name, "mount_point": f"/lambda/nfs/{name}"} for name in ("data", "checkpoints")]
    variables = {"inventory_hostname": "n1", "onecc_instance": {"file_systems": attached}, "groups": {}, "hostvars": {}}
    states = {
        role: _declaration.to_check(_declaration.role_state(role, Templar(DataLoader()), DataLoader(), variables))
        for role in ("base", "nvme_raid", "filesystems", "nccl")
    }
    assert len(states["filesystems"]["mounts"]) == 2
    # A quarter of the 16 KiB that a comparison may take.
    assert len(_payload.request(states, 1e9)) + len(_payload.COMMAND) < 4 * 1024
    assert len(_payload.request({"role": checked(EVERY_KIND)}, 1e9)) < 4 * 1024


def test_contents_of_files_do_not_travel():
    sent = b"".join(parts(_payload.request({"mine": checked({"files": [{"path": "/no/such/file", "content": "s3cret"}]})})))
    assert b"/no/such/file" in sent and b"s3cret" not in sent


# Running it


@SYSTEM_PYTHON
def test_every_kind_runs_on_a_bare_python(node, tmp_path):
    # What would be imported if the current folder or the environment counted.
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the current folder')\n")
    done = node.asked({"mine": checked(EVERY_KIND)}, folder=str(tmp_path), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    found = _payload.answer(done.stdout.decode(), ["mine"])["mine"]
    # What the latter find is a matter of this computer's own RDMA stack, GPUs and swap.
    assert [kind for kind in dict.fromkeys(item["kind"] for item in found) if kind not in ("ofed_providers", "gpudirect", "rdma_names", "swaps")] == [
        "packages", "directories", "files", "blocks", "debconf_answers", "locked_packages", "kernel_modules", "sysctls", "limits", "mounts",
        "users", "nccl_configs", "units", "smoke_tests", "rails",
    ]


@SYSTEM_PYTHON
def test_two_roles_are_answered_apart(node):
    done = node.asked({"a": checked({"packages": [{"name": "no-such-package"}]}), "b": FILES, "c": {}})
    found = _payload.answer(done.stdout.decode(), ["a", "b", "c"])
    assert {role: [item["name"] for item in items] for role, items in found.items()} == {
        "a": ["no-such-package"], "b": ["/etc/no-such-file"], "c": [],
    }


@SYSTEM_PYTHON
def test_an_answer_is_ascii_in_any_locale(node):
    state = checked({"directories": [{"path": "/no/such/directory"}]})
    state["directories"][0]["path"] = "/no/ü\u2028"
    done = node.asked({"mine": state}, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert _payload.answer(done.stdout.decode(), ["mine"])["mine"][0]["name"] == "/no/ü\u2028"


@SYSTEM_PYTHON
def test_an_error_on_the_node_is_no_answer(node):
    done = node.asked({"mine": {"files": [{"path": 1}]}})
    assert done.returncode == 1 and _payload.answer(done.stdout.decode(), []) is None


# Keeping it


@SYSTEM_PYTHON
def test_a_node_asks_once_for_the_checker(node):
    asked = _payload.request({"a": FILES})
    first = node.run(asked)
    assert (first.returncode, first.stderr) == (0, b"") and _payload.wanted(first.stdout.decode())
    assert _payload.answer(first.stdout.decode(), []) is None and node.kept() == []
    second = node.run(_payload.with_checker(asked))
    assert [path.name for path in node.kept()] == [f"checker.{cache_tag()}"]
    third = node.run(asked)
    assert second.stdout == third.stdout and not _payload.wanted(third.stdout.decode())
    assert [item["name"] for item in _payload.answer(third.stdout.decode(), ["a"])["a"]] == ["/etc/no-such-file"]


def cache_tag() -> str:
    """What PYTHON calls its compiled code."""
    return subprocess.run([PYTHON, "-c", "import sys; print(sys.implementation.cache_tag)"], capture_output=True, text=True, check=True).stdout.strip()


@SYSTEM_PYTHON
def test_what_is_kept_is_its_owner_s_alone(node):
    node.asked({})
    (path,) = node.kept()
    assert [stat.filemode(place.stat().st_mode) for place in (path.parents[1], path.parent, path)] == ["drwx------", "drwx------", "-rw-------"]


def not_loadable(path: pathlib.Path) -> None:
    """What another build of Python wrote, say: whole, and of no use."""
    path.write_bytes(loader.header(_payload.DIGEST, b"none of marshal's") + b"none of marshal's")


@SYSTEM_PYTHON
@pytest.mark.parametrize("harm", [
    lambda path: path.write_bytes(path.read_bytes()[:-1000]),  # cut off
    lambda path: path.write_bytes(path.read_bytes()[:64]),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"0" * 64 + path.read_bytes()[64:]),  # of another version
    lambda path: path.chmod(0o620),  # anybody in the group may have written it
    lambda path: path.chmod(0o602),
    lambda path: os.chown(path, 12345, -1) if os.geteuid() == 0 else path.unlink(),  # another user did
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: (path.unlink(), os.mkfifo(path)),
    not_loadable,
])
def test_what_is_not_as_it_was_kept_is_asked_for_again(node, harm):
    node.asked({"a": FILES})
    (path,) = node.kept()
    harm(path)
    assert _payload.wanted(node.run(_payload.request({"a": FILES})).stdout.decode())
    done = node.asked({"a": FILES})
    assert (done.returncode, done.stderr) == (0, b"") and _payload.answer(done.stdout.decode(), ["a"])["a"]


REST = bytes(range(256)) * 64
WHOLE = loader.header(_payload.DIGEST, REST) + REST


@pytest.fixture
def kept_file(tmp_path):
    path = tmp_path / "checker"
    path.write_bytes(WHOLE)
    path.chmod(0o600)
    assert loader.kept(str(path), _payload.DIGEST) == REST
    return path


@pytest.mark.parametrize("harm", [
    lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    lambda path: (path.rename(path.with_name("kept")), path.symlink_to("kept")),
    lambda path: (path.unlink(), os.mkfifo(path)),
    lambda path: os.truncate(path, 1 << 40),
    lambda path: path.write_bytes(WHOLE + b"x"),
    lambda path: path.write_bytes(WHOLE[:4096] + bytes(4096) + WHOLE[8192:]),  # a page that was not written
])
def test_what_is_not_whole_or_no_file_is_not_loaded(kept_file, harm):
    harm(kept_file)
    assert loader.kept(str(kept_file), _payload.DIGEST) is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_noticed(kept_file, place, other):
    kept_file.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ other]) + WHOLE[place + 1:])
    assert loader.kept(str(kept_file), _payload.DIGEST) is None


@SYSTEM_PYTHON
def test_an_error_while_comparing_is_said_and_nothing_is_sent_anew(node):
    """Only loading what was kept may fail for what was kept."""
    node.asked({})
    done = node.run(_payload.request({"mine": {"files": [{"path": 1}]}}))
    assert done.returncode == 1 and b"Error" in done.stderr and not _payload.wanted(done.stdout.decode())


@SYSTEM_PYTHON
def test_what_does_not_load_as_it_is_sent_is_said(node, monkeypatch):
    monkeypatch.setattr(_payload, "_CHECKER", json.dumps({**_payload._MODULES, probe.__name__: "raise ValueError('broken')"}).encode())
    done = node.asked({})
    assert done.returncode == 1 and b"broken" in done.stderr and node.kept() == []


@SYSTEM_PYTHON
def test_what_a_cut_comparison_left_goes(node):
    node.asked({})
    (path,) = node.kept()
    path.with_name(".onecc-0123456789abcdef.tmp").write_text("cut")
    path.unlink()
    node.asked({})
    assert node.kept() == [path]


@SYSTEM_PYTHON
def test_where_nothing_can_be_kept_it_is_asked_for_each_time(node):
    node.home.parent.joinpath("home").write_text("no folder")
    for _time in range(2):
        assert _payload.wanted(node.run(_payload.request({"a": FILES})).stdout.decode())
        done = node.asked({"a": FILES})
        assert (done.returncode, done.stderr) == (0, b"") and _payload.answer(done.stdout.decode(), ["a"])["a"]


@SYSTEM_PYTHON
def test_comparisons_at_once_keep_it_whole(node):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [done.stdout for done in pool.map(lambda _number: node.asked({"a": FILES}), range(8))]
    assert len(set(answers)) == 1 and _payload.answer(answers[0].decode(), ["a"])
    assert len(node.kept()) == 1 and not _payload.wanted(node.run(_payload.request({"a": FILES})).stdout.decode())


def test_a_write_that_fails_leaves_what_was_kept(tmp_path, monkeypatch):
    path = tmp_path / "checker"
    path.write_bytes(b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(durable.os, "fsync", fail)
    monkeypatch.setattr(probe.os, "umask", lambda _mask: 0)  # it is this process's own here
    probe.keep(str(path), b"new" * 100_000)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_it_is_kept_in_the_home_of_who_runs_it(monkeypatch):
    """Not where $HOME says: sudo may leave it another user's, who could then have root write anywhere."""
    monkeypatch.setenv("HOME", "/home/somebody-else")
    folder = pwd.getpwuid(os.geteuid()).pw_dir
    assert loader.place() == f"{folder}/.ansible/onecc.cluster/checker.{sys.implementation.cache_tag}"


def test_a_user_without_an_entry_keeps_nothing(monkeypatch):
    monkeypatch.setattr(loader.os, "geteuid", lambda: 4_000_000_000)
    assert loader.place().startswith("/nonexistent/")


# The preflight


def test_the_command_is_known_on_the_node():
    """Else two comparisons would wait for each other."""
    assert preflight.COMPARISON in _payload.COMMAND


@SYSTEM_PYTHON
def test_it_answers_beside_the_comparison(node):
    done = node.asked({"a": FILES}, 1000.0)
    assert (done.returncode, done.stderr) == (0, b"")
    stdout = done.stdout.decode()
    clock = [item for item in _payload.problems(stdout) if item["field"] == "clock"]
    assert clock and clock[0]["is"] > 1e9
    assert [item["name"] for item in _payload.answer(stdout, ["a"])["a"]] == ["/etc/no-such-file"]
    assert _payload.problems(node.asked({"a": FILES}).stdout.decode()) is None


@SYSTEM_PYTHON
@pytest.mark.parametrize("clock", [None, 1000.0])
def test_an_older_python_says_so(node, monkeypatch, clock):
    old = f"sys.version_info = (3, 8, 10)\n{_payload._PYTHON}\nsys.exit('It went on.')"
    monkeypatch.setattr(_payload, "_LOADER", _payload._part(old.encode()))
    done = node.asked({"a": FILES}, clock)
    assert done.returncode == 1 and not done.stderr
    (problem,) = _payload.problems(done.stdout.decode())
    assert (problem["field"], problem["is"], problem["should"]) == ("python", "3.8", "3.9")
    assert "3.8; needed is 3.9 or later" in problem["message"] and _payload.answer(done.stdout.decode(), []) is None


def test_what_looks_at_the_version_is_read_by_any_python_3():
    ast.parse(_payload._PYTHON, feature_version=(3, 4))
    assert parts(_payload.request({}))[0].decode().startswith(_payload._PYTHON)


@pytest.mark.parametrize("stdout", ["", ANSWER, probe.PREFLIGHT_MARK + "[{"])
def test_no_answer_of_a_preflight(stdout):
    assert _payload.problems(stdout) is None


# Reading the answer


@pytest.mark.parametrize("stdout", [
    ANSWER + "\n",
    f"Last login: today\n{ANSWER}\nlogout\n",
    f"no line end{ANSWER}",
    f"{ANSWER}noise in the same line",
    f"\r\n{ANSWER}\r\n",
    f"{{}}\n{ANSWER}\n{probe.MARK}{{}}\n",
])
def test_noise_around_an_answer(stdout):
    assert _payload.answer(stdout, ["role"]) == {"role": [ITEM]}


@pytest.mark.parametrize("stdout", ["", "sudo: a password is required\n", ANSWER[:-3], probe.MARK, "{}"])
def test_no_answer(stdout):
    assert _payload.answer(stdout, []) is None
