# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module on real files below a folder of the test; what the kernel and systemd are told is written down."""

from __future__ import annotations

import grp
import os
import pwd

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import config_files

MINE = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


class Failed(Exception):
    """The module ended with an error."""


class Module:
    """What of AnsibleModule the code under test uses. `ran` are the commands, with what was on the disk at their time."""

    def __init__(self, resources: dict, check_mode: bool = False) -> None:
        self.params = {"resources": resources}
        self.check_mode = check_mode
        self.ran: list[list[str]] = []

    def run_command(self, argv):
        self.ran.append(argv)
        return 0, "", ""

    def fail_json(self, msg, **_rest):
        raise Failed(msg)


def run(resources: dict, **module) -> tuple[dict, Module]:
    """What was written, of which diffs there are; and the commands."""
    made = Module(resources, **module)
    config_files.refuse(made, resources, resources.get("directories", []))
    diff = config_files.change(made, resources)
    return {"written": [item["after_header"] for item in diff], "diff": diff}, made


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Files that are root's belong to whoever runs the test."""
    monkeypatch.setattr(config_files, "PLAIN", {**MINE, "mode": "0644"})
    return tmp_path


def file(path, content="new\n", **fields):
    return {"path": str(path), "content": content, "sha256": "0f", "unit": None, **MINE, "mode": "0640", **fields}


def test_a_directory_and_a_file_in_it(root):
    resources = {"directories": [{"path": str(root / "a"), **MINE, "mode": "0750"}], "files": [file(root / "a" / "f")]}
    result, module = run(resources)
    assert result["written"] == [str(root / "a"), str(root / "a" / "f")]
    assert (root / "a" / "f").read_text() == "new\n"
    assert [oct(path.stat().st_mode & 0o7777) for path in (root / "a", root / "a" / "f")] == ["0o750", "0o640"]
    assert module.ran == []
    again, _module = run(resources)
    assert again["written"] == []


def test_the_mode_alone(root):
    (root / "f").write_text("new\n")
    (root / "f").chmod(0o600)
    result, _module = run({"files": [file(root / "f")]})
    assert result["written"] == [str(root / "f")]
    assert (root / "f").stat().st_mode & 0o7777 == 0o640


def test_check_mode_writes_nothing(root):
    resources = {"directories": [{"path": str(root / "a"), **MINE, "mode": "0750"}], "files": [file(root / "f", unit="b.service")]}
    result, module = run(resources, check_mode=True)
    assert len(result["diff"]) == 2
    assert list(root.iterdir()) == [] and module.ran == []


def test_a_block_leaves_the_rest_alone(root):
    (root / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "hosts").chmod(0o604)
    run({"blocks": [{"path": str(root / "hosts"), "content": "10.0.0.1 a\n"}]})
    text = "127.0.0.1 localhost\n# BEGIN onecc.cluster\n10.0.0.1 a\n# END onecc.cluster\n"
    assert (root / "hosts").read_text() == text
    assert (root / "hosts").stat().st_mode & 0o7777 == 0o604


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_in_the_way_is_refused_before_anything_is_written(root, kind):
    (root / "f").symlink_to("elsewhere") if kind == "link" else (root / "f").mkdir()
    with pytest.raises(Failed, match=f"{root}/f is not a regular file"):
        run({"files": [file(root / "first"), file(root / "f")]})
    assert not (root / "first").exists()


def test_everybody_reads_what_was_written(root):
    limit = {"name": "nofile", "files": [{"for": "logins", "path": str(root / "l"), "content": "l\n"}]}
    resources = {
        "kernel_modules": [{"name": "rdma_rxe", "file": str(root / "m"), "content": "rdma_rxe\n"}],
        "sysctls": [{"name": "vm.x", "value": "1", "file": str(root / "s"), "content": "vm.x = 1\n"}],
        "limits": [limit],
        "files": [file(root / "b1", unit="b.service", stamp=str(root / "stamps" / "b1")), file(root / "b2", unit="b.service", stamp=str(root / "b2s"))],
    }
    _result, module = run(resources)
    assert module.ran == [
        ["modprobe", "--", "rdma_rxe"],
        ["sysctl", "--quiet", "--load", str(root / "s")],
        ["systemctl", "daemon-reexec"],
        ["systemctl", "try-reload-or-restart", "--", "b.service"],
    ]
    assert (root / "m").read_text() == "rdma_rxe\n" and (root / "l").read_text() == "l\n"
    assert (root / "stamps" / "b1").read_text() == "0f"


def test_a_unit_that_did_not_read_is_asked_again(root, monkeypatch):
    resources = {"files": [file(root / "b", unit="b.service", stamp=str(root / "stamp"))]}
    monkeypatch.setattr(Module, "run_command", lambda self, argv: (1, "", "bad line"))
    with pytest.raises(Failed, match="try-reload-or-restart -- b.service failed: bad line"):
        run(resources)
    assert (root / "b").exists() and not (root / "stamp").exists()


def test_an_owner_that_nobody_knows(root):
    with pytest.raises(Failed, match="owner is 'no-such-user'"):
        run({"files": [file(root / "f", owner="no-such-user")]})


def test_a_module_that_a_unit_loads_at_boot_is_loaded_now_and_gets_no_file(root):
    early = {"name": "ib_umad", "unit": None, "file": str(root / "ib_umad.conf"), "content": "ib_umad\n"}
    result, module = run({"kernel_modules": [early, {"name": "nvidia_peermem", "unit": "onecc-nvidia-peermem.service"}]})
    assert result["written"] == [str(root / "ib_umad.conf")]
    assert [argv[-1] for argv in module.ran] == ["ib_umad", "nvidia_peermem"]


# What is in the way is said before anything is done


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_done(root):
    (root / "dir").mkdir()
    (root / "fifo").symlink_to("/dev/zero")
    resources = {
        "directories": [{"path": str(root / "made"), **MINE, "mode": "0755"}, {"path": str(root / "fifo"), **MINE, "mode": "0755"}],
        "files": [file(root / "good"), file(root / "dir"), file(root / "f", owner="no-such-user"), file(root / "good2" / "x")],
        "blocks": [{"path": str(root / "b"), "content": "a\n# END onecc.cluster \nb\n"}],
    }
    for check_mode in (True, False):
        with pytest.raises(Failed) as failed:
            run(resources, check_mode=check_mode)
        lines = str(failed.value).split("\n")
        assert lines[0] == "Nothing was changed." and len(lines) == 5
        for words in (f"{root}/fifo is not a directory", f"{root}/dir is not a regular file", "'no-such-user'", "marks the block itself"):
            assert any(words in line for line in lines), words
        assert sorted(path.name for path in root.iterdir()) == ["dir", "fifo"]


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")


@ROOT
@pytest.mark.parametrize("kind", ["directories", "files", "blocks", "sysctls", "limits", "kernel_modules"])
def test_nothing_is_written_in_a_user_s_folder(root, kind):
    (root / "home").mkdir()
    os.chown(root / "home", 54321, 54321)
    path = str(root / "home" / "x")
    resource = {"path": path, "file": path, "name": "x", "content": "x\n", **MINE, "mode": "0644"}
    resources = {"limits": [{"name": "x", "files": [{"path": path, "content": "x"}]}]} if kind == "limits" else {kind: [resource]}
    with pytest.raises(Failed, match=f"the folder {root}/home belongs to user 54321"):
        run(resources)
    assert os.listdir(root / "home") == []


@ROOT
def test_a_user_s_folder_that_is_declared_is_given_back_first(root):
    folder, path = root / "conf.d", root / "conf.d" / "x.conf"
    folder.mkdir()
    os.symlink("/etc/passwd", path)
    os.chown(folder, 54321, 54321)
    resources = {"directories": [{"path": str(folder), **MINE, "mode": "0755"}], "sysctls": [{"name": "x", "file": str(path), "content": "x\n"}]}
    with pytest.raises(Failed, match="x.conf is not a regular file"):
        run(resources)
    assert folder.stat().st_uid == 54321
    path.unlink()
    run(resources)
    assert path.read_text() == "x\n" and folder.stat().st_uid == 0


@ROOT
def test_a_file_with_a_block_keeps_its_owner(root):
    (root / "hosts").write_text("a\n")
    os.chown(root / "hosts", 54321, 54322)
    run({"blocks": [{"path": str(root / "hosts"), "content": "b\n"}]})
    inode = (root / "hosts").stat()
    assert (inode.st_uid, inode.st_gid) == (54321, 54322) and "b\n" in (root / "hosts").read_text()


def test_the_system_s_own_directories_keep_their_access(root):
    before = os.stat("/usr").st_mode
    with pytest.raises(Failed, match="/usr is the system's own directory"):
        run({"directories": [{"path": "/usr", **MINE, "mode": "1777"}]})
    assert os.stat("/usr").st_mode == before


@pytest.mark.parametrize(("before", "declared", "shown"), [
    (None, "0644", True), (0o644, "0644", True), (None, "0600", False), (0o600, "0644", False), (0o644, "0640", False), (0o640, None, False),
    (0o644, None, True),
])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_diff_shows_what_everybody_may_read(root, before, declared, shown, check_mode):
    if before is not None:
        (root / "f").write_text("0ld")
        (root / "f").chmod(before)
    block = {"path": str(root / "f"), "content": "s3cret\n"}
    resources = {"files": [file(root / "f", "s3cret\n", mode=declared)]} if declared else {"blocks": [block]}
    result, _module = run(resources, check_mode=check_mode)
    assert ("s3cret" in str(result)) == shown and ("0ld" in str(result)) == (shown and before is not None)
    assert result["written"] == [str(root / "f")] and result["diff"][0]["before"] != result["diff"][0]["after"] or before
