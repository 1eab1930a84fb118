# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import json
import lzma
import os
import subprocess
import zlib

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.module_utils._node import preflight
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _payload

PYTHON = "/usr/bin/python3"
SYSTEM_PYTHON = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"{PYTHON} is not here")
FILES = {"files": [{"path": "/etc/no-such-file", "sha256": "0", "owner": "root", "group": "root", "mode": "0644"}]}
# A resource of every kind, none of which is on this machine.
EVERY_KIND = {
    "packages": [{"name": "no-such-package"}],
    "kernel_modules": [{"name": "no_such_module"}],
    "sysctls": [{"name": "vm.no_such_parameter", "value": "1"}],
    "limits": [{"name": "core", "value": "77"}],
    "directories": [{"path": "/no/such/directory"}],
    "files": [{"path": "/no/such/file", "content": "é {{ x }} $(id) \\ ' \" \n"}],
    "blocks": [{"path": "/no/such/file", "content": "x"}],
    "debconf_answers": [{"name": "no/such-question", "owner": "no-such-package", "value": "x"}],
    "locked_packages": [{"name": "nvidia-driver-999-open", "version": "1.0-1"}],
    "arrays": [{"name": "nosucharray", "ignore": ["é"], "layout": "directory"}],
    "mounts": [{"path": "/no/such/mount", "array": "nosucharray", "fstype": "xfs"}],
    "users": [{"name": "nosuchuser", "keys": []}],
    "units": [{"name": "no-such-unit.service", "active": True}],
    "nccl_configs": [{"path": "/no/such/nccl.conf", "settings": [{"name": "NCCL_NET", "value": "IB", "reason": "é"}]}],
    "rails": [{"name": "rails", "count": 99}],
    "ofed_providers": [{"name": "doca"}],
    "gpudirect": [{"name": "dmabuf"}],
    "rdma_names": [{"name": "pci"}],
}

ANSWER = _payload.MARK + json.dumps({"role": [{"name": "x"}]})


def checked(state: dict) -> dict:
    """A declaration as drift sends it."""
    return _declaration.to_check(_declaration.complete(state))


def run(program: bytes, folder: str = "/", **environment: str) -> subprocess.CompletedProcess:
    """As a node runs it: a shell, and the program on standard input."""
    return subprocess.run(
        ["/bin/sh", "-c", _payload.COMMAND.format(python=PYTHON)], input=program, capture_output=True, check=False, cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
    )


def text(program: bytes) -> bytes:
    """The code and the data."""
    stream = lzma.LZMADecompressor()
    return stream.decompress(program) + zlib.decompress(stream.unused_data)


def names(*kinds: str) -> list[str]:
    return [name.removeprefix(_payload.PACKAGE + ".") for name, _source in _payload.modules(f"kinds.{kind}" for kind in kinds)]


# The modules that travel


def test_only_the_kinds_that_are_used_travel():
    assert [name for name in names("packages") if name.startswith("kinds.")] == ["kinds.packages"]
    assert "storage" not in names("packages") and "block" not in names("files", "directories")
    assert "storage" in names("arrays") and "mount_units" in names("mounts")


def test_a_module_comes_after_those_that_it_imports():
    order = names(*_declaration.KINDS)
    assert len(order) == len(set(order)) and "difference" in order
    for name in order:
        for needed in _payload._imports(_payload._SMALL.get(name, "")):
            assert order.index(needed) < order.index(name)


def parsed_imports(source: str) -> list[str]:
    """As Python itself reads them."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{_payload.PACKAGE}."):
            module = node.module[len(_payload.PACKAGE) + 1:]
            found += [module] if module else [alias.name for alias in node.names]
    return found


@pytest.mark.parametrize("sources", [_payload._SOURCES, _payload._SMALL], ids=["written", "sent"])
def test_every_import_is_found(sources):
    """Also one that is written in another way than the others."""
    for name, source in sources.items():
        assert sorted(_payload._imports(source)) == sorted(parsed_imports(source)), name


def test_what_only_modules_import_is_not_made_small():
    assert "nccl_lint" in _payload._SOURCES and "nccl_lint" not in _payload._SMALL and "rails" in _payload._SMALL


def test_every_import_is_at_the_top():
    """One within a function would not be found."""
    for path in _payload.SOURCES.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert all(node in tree.body for node in imports), path.name
        assert not any(alias.name.startswith("ansible") for node in imports if isinstance(node, ast.Import) for alias in node.names)


def test_every_kind_has_a_module():
    for kind in _declaration.KINDS:
        assert f"kinds.{kind}" in names(kind)


@pytest.mark.parametrize("path", sorted(_payload.SOURCES.rglob("*.py")), ids=lambda path: path.stem)
def test_sources_are_python_3_9(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("module", _payload._SMALL)
def test_what_is_sent_is_python_3_9(module):
    ast.parse(_payload._SMALL[module], feature_version=(3, 9))


def test_sources_import_the_standard_library_of_3_9_alone():
    known = {
        "__future__", "collections", "collections.abc", "contextlib", "difflib", "errno", "fcntl", "fnmatch", "grp", "hashlib",
        "importlib", "json", "os", "pwd", "re",
        "select", "shlex", "signal", "socket", "stat", "struct", "subprocess", "time", "typing", "uuid",
    }
    for path in _payload.SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= known, path.name
            elif isinstance(node, ast.ImportFrom):
                assert node.module in known or node.module.startswith(_payload.PACKAGE), path.name


def test_size():
    """With what the first roles declare unasked for a node with two file systems, and with all kinds."""
    assert set(EVERY_KIND) == set(_declaration.KINDS)
    attached = [{"name": name, "mount_point": f"/lambda/nfs/{name}"} for name in ("data", "checkpoints")]
    variables = {"inventory_hostname": "n1", "onecc_instance": {"file_systems": attached}, "groups": {}, "hostvars": {}}
    states = {
        role: _declaration.to_check(_declaration.role_state(role, Templar(DataLoader()), DataLoader(), variables))
        for role in ("base", "nvme_raid", "filesystems")
    }
    assert len(states["filesystems"]["mounts"]) == 2
    # A shell and sudo around the command take the rest.
    assert len(_payload.program(states, 1e9)) + len(_payload.COMMAND) < 16 * 1024 - 200
    # What NCCL is to be told is worked out on the node, and that takes code.
    assert len(_payload.program({"role": checked(EVERY_KIND)}, 1e9)) < 24 * 1024
    assert len(_payload.program({"role": checked({"packages": [{"name": "mdadm"}]})})) < 3 * 1024


# Running it


@SYSTEM_PYTHON
def test_every_kind_runs_on_a_bare_python(tmp_path):
    # What would be imported if the current folder or the environment counted.
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the current folder')\n")
    done = run(_payload.program({"mine": checked(EVERY_KIND)}), str(tmp_path), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    found = _payload.answer(done.stdout.decode())["mine"]
    # What the latter find is a matter of this computer's own RDMA stack and GPUs.
    assert [kind for kind in dict.fromkeys(item["kind"] for item in found) if kind not in ("ofed_providers", "gpudirect", "rdma_names")] == [
        "packages", "kernel_modules", "sysctls", "limits", "directories", "files", "blocks", "debconf_answers", "locked_packages", "mounts",
        "users", "nccl_configs", "units", "rails",
    ]


@SYSTEM_PYTHON
def test_two_roles_are_answered_apart():
    done = run(_payload.program({"a": checked({"packages": [{"name": "no-such-package"}]}), "b": FILES, "c": {}}))
    found = _payload.answer(done.stdout.decode())
    assert {role: [item["name"] for item in items] for role, items in found.items()} == {
        "a": ["no-such-package"], "b": ["/etc/no-such-file"], "c": [],
    }


@SYSTEM_PYTHON
def test_an_answer_is_ascii_in_any_locale():
    state = checked({"directories": [{"path": "/no/such/directory"}]})
    state["directories"][0]["path"] = "/no/ü\u2028"
    done = run(_payload.program({"mine": state}), LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert _payload.answer(done.stdout.decode())["mine"][0]["name"] == "/no/ü\u2028"


@SYSTEM_PYTHON
def test_contents_of_files_do_not_travel():
    program = _payload.program({"mine": checked({"files": [{"path": "/no/such/file", "content": "s3cret"}]})})
    assert b"/no/such/file" in text(program) and b"s3cret" not in text(program)


@SYSTEM_PYTHON
def test_an_error_on_the_node_is_no_answer():
    done = run(_payload.program({"mine": {"files": [{"path": 1}]}}))
    assert done.returncode == 1 and _payload.answer(done.stdout.decode()) is None


# The preflight


def test_it_travels_only_where_it_is_asked_for():
    assert "preflight" not in dict(_payload.modules(["kinds.files"]))[f"{_payload.PACKAGE}.checker"]
    assert f"{_payload.PACKAGE}.preflight" not in dict(_payload.modules(["kinds.files"]))
    assert b"sys.version_info" not in text(_payload.program({"a": FILES}))
    assert b"sys.version_info" in text(_payload.program({"a": FILES}, 1.0))


def test_the_command_is_known_on_the_node():
    """Else two comparisons would wait for each other."""
    assert preflight.COMPARISON in _payload.COMMAND


@SYSTEM_PYTHON
def test_it_answers_beside_the_comparison():
    done = run(_payload.program({"a": FILES}, 1000.0))
    assert (done.returncode, done.stderr) == (0, b"")
    stdout = done.stdout.decode()
    clock = [item for item in _payload.problems(stdout) if item["field"] == "clock"]
    assert clock and clock[0]["is"] > 1e9
    assert [item["name"] for item in _payload.answer(stdout)["a"]] == ["/etc/no-such-file"]


@SYSTEM_PYTHON
def test_an_older_python_says_so(monkeypatch):
    monkeypatch.setattr(_payload, "_PYTHON", "sys.version_info = (3, 8, 10)\n" + _payload._PYTHON)
    monkeypatch.setattr(_payload, "code", _payload.code.__wrapped__)  # else the one that was made before
    done = run(_payload.program({"a": FILES}, 1000.0))
    assert done.returncode == 1
    (problem,) = _payload.problems(done.stdout.decode())
    assert (problem["field"], problem["is"], problem["should"]) == ("python", "3.8", "3.9")
    assert "3.8; needed is 3.9 or later" in problem["message"] and _payload.answer(done.stdout.decode()) is None


@pytest.mark.parametrize("stdout", ["", ANSWER, _payload.PREFLIGHT_MARK + "[{"])
def test_no_answer_of_a_preflight(stdout):
    assert _payload.problems(stdout) is None


# Reading the answer


@pytest.mark.parametrize("stdout", [
    ANSWER + "\n",
    f"Last login: today\n{ANSWER}\nlogout\n",
    f"no line end{ANSWER}",
    f"{ANSWER}noise in the same line",
    f"\r\n{ANSWER}\r\n",
    f"{{}}\n{ANSWER}\n{_payload.MARK}{{}}\n",
])
def test_noise_around_an_answer(stdout):
    assert _payload.answer(stdout) == {"role": [{"name": "x"}]}


@pytest.mark.parametrize("stdout", ["", "sudo: a password is required\n", ANSWER[:-3], _payload.MARK, "{}"])
def test_no_answer(stdout):
    assert _payload.answer(stdout) is None
