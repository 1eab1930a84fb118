# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible_collections.onecc.cluster.plugins.action import drift as action
from ansible_collections.onecc.cluster.plugins.plugin_utils import _payload
from ansible_collections.onecc.cluster.tests.unit.playbook import LOCAL, Playbook, drift, keep, kept

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="/usr/bin/python3 is not here")

MISSING = {"packages": [{"name": "no-such-package"}], "files": [{"path": "/no/such/file", "content": "x"}]}
LAYOUT = {"nvme_raid_layout": "directory", "nvme_raid_path": "/no/such/mount"}


def test_a_comparison(tmp_path):
    """One run of many cases: the start of ansible-playbook is what costs time."""
    made = tmp_path / "made-by-a-template"
    hostile = f"{{{{ lookup('ansible.builtin.pipe', 'touch {made}') }}}}"
    (tmp_path / "noisy").write_text("#!/bin/sh\nprintf 'no line end'\necho warning >&2\nexec /usr/bin/python3 \"$@\"\n")
    (tmp_path / "noisy").chmod(0o755)
    tasks = [
        drift("inline", state=MISSING),
        drift("empty", state={}),
        drift("required", state=MISSING, required=True),
        drift("role", roles=["onecc.cluster.nvme_raid"]),
        drift("default"),
        {**drift("noisy", state=MISSING), "vars": {"ansible_python_interpreter": str(tmp_path / "noisy")}},
        {**drift("pythonless", state=MISSING), "vars": {"ansible_python_interpreter": "/no/such/python"}},
        {**drift("automatic", state=MISSING), "vars": {"ansible_python_interpreter": "auto_silent"}},
        {"ansible.builtin.set_fact": {"said": "{{ lookup('ansible.builtin.file', 'said') }}"}},
        drift("hostile", state={"files": [{"path": "/no/such/file", "content": "{{ said }}"}]}),
        drift("hostile_name", state={"packages": [{"name": "{{ said }}"}]}),
        drift("both", state={}, roles=[]),
        drift("option", stat={}),
        drift("kind", state={"package": []}),
        drift("unknown", roles=["no_such_role"]),
        drift("path", roles=["../nvme_raid"]),
        {**drift("variable", roles=["nvme_raid"]), "vars": {"nvme_raid_layout": "raid5"}},
        {**drift("undefined", roles=["nvme_raid"]), "vars": {"nvme_raid_path": "{{ no_such_variable }}"}},
    ]
    (tmp_path / "said").write_text(hostile)
    names = [task["register"] for task in tasks if "register" in task]
    playbook = Playbook(tmp_path, {"node": LOCAL}, tasks + keep(*names, folder=tmp_path), vars=LAYOUT)
    done = playbook.run()
    assert done.returncode == 0, done.stdout + done.stderr
    result = {name: kept(tmp_path, name) for name in names}

    inline = result["inline"]
    assert (inline["changed"], inline["failed"], inline["schema"]) == (False, False, 1)
    assert [(item["role"], item["kind"], item["name"], item["field"]) for item in inline["drift"]] == [
        ("state", "packages", "no-such-package", "installed"), ("state", "files", "/no/such/file", "exists"),
    ]
    assert inline["roles"] == inline["compared"] == ["state"]
    assert inline["apply"]["state"]["packages"] == [{"name": "no-such-package", "version": None}]
    assert inline["apply"]["state"]["files"][0]["content"] == "x"
    assert inline["msg"].splitlines()[0] == "2 resources differ from the declared state:"
    assert (result["empty"]["drift"], result["empty"]["roles"], result["empty"]["apply"]) == ([], [], {})

    assert result["required"]["failed"] and "apply" not in result["required"]
    assert result["required"]["drift"] == inline["drift"]
    assert result["role"]["compared"] == ["nvme_raid"]
    assert result["default"]["compared"] == ["nvme_raid", "filesystems"]
    assert ("mounts", "/no/such/mount") in {(item["kind"], item["name"]) for item in result["role"]["drift"]}
    assert result["noisy"]["drift"] == result["automatic"]["drift"] == inline["drift"]

    assert result["hostile"]["apply"]["state"]["files"][0]["content"] == hostile
    assert not made.exists()

    for name, words in {
        "pythonless": ["The check did not run on the node (exit status 127)", "/no/such/python"],
        "hostile_name": [hostile, "a Debian package name"],
        "both": ["roles or state, not both"],
        "option": ["stat", "state", "required"],
        "kind": ["kind package.", "packages, kernel_modules"],
        "unknown": ["'no_such_role'", "nvme_raid"],
        "path": ["'../nvme_raid'", "nvme_raid"],
        "variable": ["nvme_raid_layout", "auto, array, drive, directory", "raid5"],
        "undefined": ["no_such_variable"],
    }.items():
        assert result[name]["failed"] and "drift" not in result[name]
        assert all(word in result[name]["msg"] for word in words), result[name]["msg"]


@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_required_fails_the_node(tmp_path, mode):
    playbook = Playbook(tmp_path, {"node": LOCAL}, [drift(state=MISSING, required=True)])
    done = playbook.run("--diff", *mode)
    assert done.returncode == 2
    assert "package no-such-package is not installed" in done.stdout
    assert "- state: file /no/such/file does not exist" in done.stdout
    assert playbook.hosts()["node"]["status"] == "drift"


def test_a_state_that_the_node_is_in(tmp_path):
    playbook = Playbook(tmp_path, {"node": LOCAL}, [drift(state={"directories": [{"path": "/"}]}, required=True)])
    done = playbook.run()
    assert done.returncode == 0
    assert playbook.hosts()["node"] == {"status": "in_state", "drift": [], "mended": [], "message": ""}


# The parts


FOUND = {
    "a": [],
    "b": [
        {"kind": "packages", "name": "x", "field": "installed", "is": False, "should": True, "message": "package x"},
        {"kind": "arrays", "name": "s", "field": "drives", "is": 1, "should": 2, "message": "array s"},
        {"kind": "arrays", "name": "s", "field": "level", "is": 1, "should": 0, "message": "array s", "refused": True},
    ],
}
STATES = {
    "a": {"packages": [{"name": "y"}]},
    "b": {
        "packages": [{"name": "x"}, {"name": "y"}],
        "arrays": [{"name": "s"}],
        "mounts": [{"path": "/s", "array": {"name": "s"}}, {"path": "/t", "array": None}],
    },
}


def test_a_summary_of_what_differs():
    result = action.summary(STATES, FOUND, required=False, with_diff=True)
    assert result["compared"] == ["a", "b"] and result["roles"] == ["b"] and "failed" not in result
    assert result["msg"].startswith("2 resources differ from the declared state:\nb: package x\n")
    assert result["apply"] == {
        "b": {"packages": [{"name": "x"}], "arrays": [{"name": "s"}], "mounts": [{"path": "/s", "array": {"name": "s"}}]},
    }
    assert result["diff"][0]["prepared"].splitlines() == ["- b: package x", "- b: array s", "- b: array s"]
    assert result["drift"][2] == {"role": "b", **FOUND["b"][2]}


def test_a_summary_of_one_resource():
    result = action.summary(STATES, {"b": FOUND["b"][:1]}, required=True, with_diff=False)
    assert result["msg"].startswith("1 resource differs from the declared state:")
    assert result["failed"] is True and "apply" not in result and "diff" not in result


def test_a_summary_of_nothing():
    result = action.summary(STATES, {"a": [], "b": []}, required=True, with_diff=True)
    assert result["failed"] is False and "diff" not in result
    assert result["msg"] == "In the declared state."


def module(connection: SimpleNamespace, answer: dict) -> tuple[action.ActionModule, list]:
    """The action without a task: what `ask` needs, and the commands that it gave."""
    asked = []
    made = action.ActionModule.__new__(action.ActionModule)
    made._connection = connection
    made._templar = SimpleNamespace(template=lambda value: value)
    made._low_level_execute_command = lambda command, in_data: asked.append((command, in_data)) or answer
    return made, asked


def test_one_round_trip_for_all_roles():
    made, asked = module(SimpleNamespace(has_pipelining=True), {"rc": 0, "stdout": _payload.MARK + '{"a": [], "b": []}\n', "stderr": ""})
    assert made.ask({"a": {}, "b": {}}, {"ansible_python_interpreter": "/opt/python"}) == {"a": [], "b": []}
    (command, program), = asked
    assert command.startswith("/opt/python -I -S -c ")
    assert program == _payload.program({"a": {}, "b": {}})


def test_a_connection_that_has_no_standard_input():
    made, asked = module(SimpleNamespace(has_pipelining=False, transport="winrm"), {})
    with pytest.raises(AnsibleError, match="winrm cannot do"):
        made.ask({}, {})
    assert asked == []


@pytest.mark.parametrize(("answer", "words"), [
    ({"rc": 1, "stdout": "", "stderr": "sudo: a password is required\n"}, "exit status 1). It said: sudo: a password is required"),
    ({"rc": 127, "stdout": "not found\n", "stderr": ""}, "It said: not found"),
    ({"rc": 0, "stdout": "", "stderr": ""}, "It said: nothing"),
])
def test_a_node_that_gives_no_answer(answer, words):
    made, _asked = module(SimpleNamespace(has_pipelining=True), answer)
    with pytest.raises(AnsibleError) as error:
        made.ask({"a": {}}, {})
    assert words in str(error.value)
