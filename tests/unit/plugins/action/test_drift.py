# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible_collections.onecc.cluster.plugins.action import drift as action
from ansible_collections.onecc.cluster.plugins.module_utils._node import loader, probe
from ansible_collections.onecc.cluster.plugins.plugin_utils import _payload, _state_action
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
        drift("required", state=MISSING, fail_on_drift=True),
        drift("role", roles=["onecc.cluster.nvme_raid"]),
        drift("default"),
        {**drift("chosen"), "vars": {"onecc_roles": "{{ ['nvme_raid'] }}"}},
        {**drift("chosen_wrong"), "vars": {"onecc_roles": {"nvme_raid": True}}},
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
    assert (inline["changed"], inline["failed"], inline["schema"]) == (False, False, 2)
    assert "preflight" not in inline
    assert [(item["role"], item["kind"], item["name"], item["field"]) for item in inline["drift"]] == [
        ("state", "packages", "no-such-package", "installed"), ("state", "files", "/no/such/file", "exists"),
    ]
    assert inline["roles"] == inline["compared"] == ["state"]
    assert inline["msg"].splitlines()[0] == "2 resources differ from the declared state:"
    assert (result["empty"]["drift"], result["empty"]["roles"]) == ([], [])

    assert result["required"]["failed"]
    assert result["required"]["drift"] == inline["drift"]
    assert result["role"]["compared"] == ["nvme_raid"]
    assert result["default"]["compared"] == ["base", "lambda_stack", "nvme_raid", "filesystems", "nccl"]
    assert result["chosen"]["compared"] == ["nvme_raid"]
    assert result["chosen_wrong"]["failed"] and "onecc_roles" in result["chosen_wrong"]["msg"]
    assert ("mounts", "/no/such/mount") in {(item["kind"], item["name"]) for item in result["role"]["drift"]}
    assert result["noisy"]["drift"] == result["automatic"]["drift"] == inline["drift"]

    assert result["hostile"]["drift"][0]["name"] == "/no/such/file"
    assert not made.exists()

    for name, words in {
        "pythonless": ["The check did not run on the node (exit status 127)", "/no/such/python"],
        "hostile_name": [hostile, "a Debian package name"],
        "both": ["roles or state, not both"],
        "option": ["stat", "state", "fail_on_drift"],
        "kind": ["kind package.", "packages, directories"],
        "unknown": ["'no_such_role'", "nvme_raid"],
        "path": ["'../nvme_raid'", "nvme_raid"],
        "variable": ["nvme_raid_layout", "auto, array, drive, directory", "raid5"],
        "undefined": ["no_such_variable"],
    }.items():
        assert result[name]["failed"] and "drift" not in result[name]
        assert all(word in result[name]["msg"] for word in words), result[name]["msg"]


@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_required_fails_the_node(tmp_path, mode):
    playbook = Playbook(tmp_path, {"node": LOCAL}, [drift(state=MISSING, fail_on_drift=True)])
    done = playbook.run("--diff", *mode)
    assert done.returncode == 2
    assert "package no-such-package is not installed" in done.stdout
    assert "- state: file /no/such/file does not exist" in done.stdout
    assert playbook.hosts()["node"]["status"] == "drift"


def test_a_state_that_the_node_is_in(tmp_path):
    playbook = Playbook(tmp_path, {"node": LOCAL}, [drift(state={"directories": [{"path": "/"}]}, fail_on_drift=True)])
    done = playbook.run()
    assert done.returncode == 0
    assert playbook.hosts()["node"] == {"status": "in_state", "drift": [], "mended": [], "message": "", "preflight": [], "notes": []}


# The parts


FOUND = {
    "a": [],
    "b": [
        {"kind": "packages", "name": "x", "field": "installed", "is": False, "should": True, "message": "package x"},
        {"kind": "arrays", "name": "s", "field": "drives", "is": 1, "should": 2, "message": "array s"},
        {"kind": "arrays", "name": "s", "field": "level", "is": 1, "should": 0, "message": "array s", "remedy": "manual"},
    ],
}


def test_a_summary_of_what_differs():
    result = action.summary(FOUND, fail_on_drift=False, with_diff=True)
    assert result["compared"] == ["a", "b"] and result["roles"] == ["b"] and "failed" not in result
    assert result["msg"].startswith("2 resources differ from the declared state:\nb: package x\n")
    assert result["diff"][0]["prepared"].splitlines() == ["- b: package x", "- b: array s", "- b: array s"]
    assert result["drift"][2] == {"role": "b", **FOUND["b"][2]}


def test_a_summary_of_one_resource():
    result = action.summary({"b": FOUND["b"][:1]}, fail_on_drift=True, with_diff=False)
    assert result["msg"].startswith("1 resource differs from the declared state:")
    assert result["failed"] is True and "diff" not in result


def test_a_summary_of_nothing():
    result = action.summary({"a": [], "b": []}, fail_on_drift=True, with_diff=True)
    assert result["failed"] is False and "diff" not in result
    assert result["msg"] == "In the declared state."


def module(connection: SimpleNamespace, *answers: dict | AnsibleError) -> tuple[action.ActionModule, list]:
    """The action without a task: what `ask` needs, and the commands that it gave. The last answer is given again and again."""
    asked = []

    def execute(command: str, in_data: bytes) -> dict:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append((command, in_data))
        if isinstance(answer, AnsibleError):
            raise answer
        return answer

    made = action.ActionModule.__new__(action.ActionModule)
    made._connection = connection
    made._task = SimpleNamespace(action="onecc.cluster.drift")
    made._templar = SimpleNamespace(template=lambda value: value)
    made._low_level_execute_command = execute
    made._get_remote_user = lambda: "ubuntu"
    return made, asked


def test_one_round_trip_for_all_roles():
    made, asked = module(SimpleNamespace(has_pipelining=True), {"rc": 0, "stdout": probe.MARK + '{"a": [], "b": []}\n', "stderr": ""})
    assert made.ask({"a": {}, "b": {}}, {"ansible_python_interpreter": "/opt/python"}) == ({"a": [], "b": []}, [])
    (command, sent), = asked
    assert command.startswith("/opt/python -I -S -c ")
    assert sent == _payload.request({"a": {}, "b": {}})


def test_a_node_gets_the_checker_that_it_wants():
    answers = [{"rc": 0, "stdout": f"{text}\n", "stderr": ""} for text in (loader.WANTED, probe.MARK + '{"a": []}')]
    made, asked = module(SimpleNamespace(has_pipelining=True), *answers)
    assert made.ask({"a": {}}, {}) == ({"a": []}, [])
    request = _payload.request({"a": {}})
    assert [sent for _command, sent in asked] == [request, _payload.with_checker(request)]


def test_a_node_that_wants_it_for_ever_gives_no_answer():
    made, asked = module(SimpleNamespace(has_pipelining=True, become=None), {"rc": 0, "stdout": loader.WANTED, "stderr": ""})
    with pytest.raises(AnsibleError, match="did not run"):
        made.ask({"a": {}}, {})
    assert len(asked) == 2


def test_a_connection_that_has_no_standard_input():
    made, asked = module(SimpleNamespace(has_pipelining=False, transport="winrm"), {})
    with pytest.raises(AnsibleError, match="winrm cannot do"):
        made.ask({}, {})
    assert asked == []


@pytest.mark.parametrize(("answer", "words"), [
    ({"rc": 1, "stdout": "", "stderr": "Segmentation fault\n"}, "exit status 1). It said: Segmentation fault"),
    ({"rc": 127, "stdout": "not found\n", "stderr": ""}, "It said: not found"),
    ({"rc": 0, "stdout": "", "stderr": ""}, "It said: nothing"),
    # A warning of sudo's is not what went wrong.
    ({"rc": 127, "stdout": "", "stderr": "sudo: unable to resolve host x\nsh: 1: python: not found\n"}, "exit status 127"),
])
def test_a_node_that_gives_no_answer(answer, words):
    made, _asked = module(SimpleNamespace(has_pipelining=True, become=object()), answer)
    with pytest.raises(AnsibleError) as error:
        made.ask({"a": {}}, {})
    assert words in str(error.value)


# The preflight


@pytest.mark.parametrize("said", [
    "sudo: a password is required", "sudo: a terminal is required to read the password; either use the -S option",
    "ubuntu is not in the sudoers file.", "Sorry, user ubuntu is not allowed to execute '/bin/sh' as root on node.",
    "sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.", "/bin/sh: 1: sudo: not found",
    "bash: line 1: sudo: command not found", "su: Authentication failure",
])
def test_a_user_without_root_rights(said):
    made, _asked = module(SimpleNamespace(has_pipelining=True, become=object()), {"rc": 1, "stdout": "", "stderr": f"a lecture\n{said}\n"})
    found, (problem,) = made.ask({"a": {}}, {})
    assert found is None
    assert (problem["field"], problem["is"], problem["should"]) == ("rights", "ubuntu", "root")
    assert f"({said})" in problem["message"] and "Managed Slurm" in problem["message"] and "the user ubuntu" in problem["message"]


def test_a_connection_that_notices_it():
    """As ssh's does where sudo asks for a password that nobody gave."""
    made, _asked = module(SimpleNamespace(has_pipelining=True, become=object()), AnsibleError("Missing sudo password"))
    assert made.ask({"a": {}}, {})[1][0]["field"] == "rights"
    for error in ("Incorrect sudo password", "Failed to connect to the host via ssh: Connection refused"):
        made, _asked = module(SimpleNamespace(has_pipelining=True, become=object()), AnsibleError(error))
        with pytest.raises(AnsibleError, match=error):
            made.ask({"a": {}}, {})


def test_without_become_nobody_asked_for_root():
    made, _asked = module(SimpleNamespace(has_pipelining=True, become=None), {"rc": 1, "stdout": "", "stderr": "sudo: not found"})
    with pytest.raises(AnsibleError, match="did not run"):
        made.ask({"a": {}}, {})


def test_one_round_trip_with_the_preflight(monkeypatch):
    monkeypatch.setattr(_state_action.time, "time", lambda: 1234.5)
    stdout = f'{probe.PREFLIGHT_MARK}[{{"field": "clock", "message": "late"}}]\n{probe.MARK}{{"a": []}}\n'
    made, asked = module(SimpleNamespace(has_pipelining=True), {"rc": 0, "stdout": stdout, "stderr": ""})
    assert made.ask({"a": {}}, {}, preflight=True) == ({"a": []}, [{"field": "clock", "message": "late"}])
    (_command, sent), = asked
    assert sent == _payload.request({"a": {}}, 1234.5)


def test_an_older_python_is_a_problem_without_a_comparison():
    stdout = f'{probe.PREFLIGHT_MARK}[{{"field": "python", "message": "old"}}]\n'
    made, _asked = module(SimpleNamespace(has_pipelining=True), {"rc": 1, "stdout": stdout, "stderr": ""})
    assert made.ask({"a": {}}, {}, preflight=True) == (None, [{"field": "python", "message": "old"}])


PROBLEMS = [{"field": "clock", "message": "the clock"}, {"field": "system", "message": "the system"}]


def test_problems_fail_a_node_that_differs():
    result = action.preflight(action.summary(FOUND, fail_on_drift=False, with_diff=False), PROBLEMS)
    assert result["failed"] is True and result["preflight"] == PROBLEMS and result["drift"] and result["roles"] == ["b"]
    assert result["msg"].splitlines()[:4] == [
        "The node was left as it is, because of 2 problems:", "- the clock.", "- the system.", "2 resources differ from the declared state:",
    ]


def test_problems_fail_a_node_that_was_not_compared():
    result = action.preflight({}, PROBLEMS[:1])
    assert result == {
        "changed": False, "schema": 2, "failed": True, "preflight": PROBLEMS[:1],
        "msg": "The node was left as it is, because of a problem:\n- the clock.",
    }


@pytest.mark.parametrize("problems", [[], PROBLEMS])
def test_problems_do_not_fail_a_node_in_state(problems):
    result = action.preflight(action.summary({"a": [], "b": []}, fail_on_drift=False, with_diff=False), problems)
    assert "failed" not in result and result["preflight"] == problems and result["msg"] == "In the declared state."


def test_no_problems_change_nothing():
    before = action.summary(FOUND, fail_on_drift=False, with_diff=True)
    assert action.preflight(before, []) == {**before, "preflight": []}


NO_SUDO = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


@pytest.mark.parametrize("preflight", [True, False])
def test_a_comparison_of_a_node_without_root_rights(tmp_path, preflight):
    """It says so without a preflight too."""
    (tmp_path / "sudo").write_text(NO_SUDO)
    (tmp_path / "sudo").chmod(0o755)
    task = {**drift(state=MISSING, preflight=preflight), "become": True, "become_user": "nobody", "become_exe": str(tmp_path / "sudo")}
    playbook = Playbook(tmp_path, {"node": LOCAL}, [task, {"ansible.builtin.file": {"path": str(tmp_path / "changed"), "state": "touch"}}])
    done = playbook.run()
    assert done.returncode == 2 and not (tmp_path / "changed").exists()
    entry = playbook.hosts()["node"]
    assert entry["status"] == "failed" and [item["field"] for item in entry["preflight"]] == ["rights"]
    assert done.stdout.partition("DECLARED STATE")[2].count("has no root rights") == 1
