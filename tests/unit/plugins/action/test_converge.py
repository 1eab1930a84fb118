# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib

import pytest
from ansible_collections.onecc.cluster.plugins.action import converge as action
from ansible_collections.onecc.cluster.plugins.plugin_utils import _answers, _payload
from ansible_collections.onecc.cluster.tests.unit.playbook import LOCAL, Playbook, keep, kept

pytestmark = pytest.mark.skipif(not pathlib.Path("/usr/bin/python3").exists() or os.geteuid() != 0, reason="only root changes what is root's")

SECRET = "s3cret-word"


def state(folder: pathlib.Path) -> dict:
    return {
        "files": [
            {"path": f"{folder}/conf.d/a.conf", "content": "public-word\n"},
            {"path": f"{folder}/conf.d/b.conf", "content": f"{SECRET}\n", "mode": "0600"},
        ],
        "directories": [{"path": f"{folder}/conf.d", "mode": "0750"}],
        "blocks": [{"path": f"{folder}/hosts", "content": "10.0.0.1 a"}],
    }


def names(result: dict, key: str) -> list[str]:
    return [pathlib.Path(item["name"]).name for item in result[key]]


def test_a_change(tmp_path):
    """Foreseen, made, and not made again; one run of many tasks."""
    wanted = state(tmp_path / "node")
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "way").write_text("a file")
    in_the_way = {"files": [{"path": f"{tmp_path}/node/c.conf", "content": "x"}, {"path": f"{tmp_path}/node/way/d.conf", "content": "x"}]}
    tasks = [
        {"onecc.cluster.converge": {"state": wanted}, "register": "foreseen", "check_mode": True, "diff": True},
        {"ansible.builtin.find": {"paths": f"{tmp_path}/node"}, "register": "untouched"},
        {"onecc.cluster.converge": {"state": wanted}, "register": "made", "diff": True},
        {"onecc.cluster.converge": {"state": wanted}, "register": "again", "diff": True},
        {"onecc.cluster.converge": {"state": in_the_way}, "register": "refused", "ignore_errors": True},
        {"onecc.cluster.converge": {"state": wanted, "roles": []}, "register": "both", "ignore_errors": True},
    ]
    registered = [task["register"] for task in tasks]
    playbook = Playbook(tmp_path, {"node": LOCAL}, tasks + keep(*registered, folder=tmp_path))
    done = playbook.run("-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    result = {name: kept(tmp_path, name) for name in registered}

    foreseen = result["foreseen"]
    assert foreseen["changed"] and foreseen["drift"] == [] and names(foreseen, "done") == ["conf.d", "a.conf", "b.conf", "hosts"]
    assert [item["path"] for item in result["untouched"]["files"]] == [f"{tmp_path}/node/way"]
    assert "public-word" in str(foreseen["diff"])
    made = result["made"]
    assert made["changed"] and names(made, "before") == names(made, "done") == ["conf.d", "a.conf", "b.conf", "hosts"]
    assert (tmp_path / "node/conf.d/b.conf").read_text() == f"{SECRET}\n" and (tmp_path / "node/conf.d").stat().st_mode & 0o777 == 0o750
    assert "10.0.0.1 a" in (tmp_path / "node/hosts").read_text()
    again = result["again"]
    assert (again["changed"], again["before"], again["done"], again["drift"], "diff" in again) == (False, [], [], [], False)
    assert SECRET not in done.stdout.replace(str(wanted), "") and SECRET not in str(result["made"]) + str(foreseen)

    # What no run can do is named, and keeps nothing else from being done.
    refused = result["refused"]
    assert refused["failed"] and names(refused, "done") == ["c.conf"] and names(refused, "drift") == ["d.conf"]
    assert refused["msg"].startswith("Still differs:\n- state: ") and "node/way is no folder" in refused["msg"]
    assert result["both"]["failed"] and "roles or state, not both" in result["both"]["msg"]


def role(folder: pathlib.Path, path: pathlib.Path) -> None:
    """A role with one file, whose text is a variable."""
    for name, text in {
        "state.yml": f'files: [{{path: {path}, content: "{{{{ {folder.name}_text }}}}"}}]', "defaults/main.yml": f"{folder.name}_text: unset",
        "meta/argument_specs.yml": f"argument_specs: {{main: {{options: {{{folder.name}_text: {{type: str, default: unset}}}}}}}}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")


def test_roles_of_another_collection_and_of_the_user_s_own(tmp_path):
    """Named in onecc_roles, and converged by site.yml, whose play is in no folder of the user's: by ANSIBLE_ROLES_PATH."""
    role(tmp_path / "ansible_collections/their/gpus/roles/theirs", tmp_path / "theirs")
    role(tmp_path / "roles/mine", tmp_path / "mine")
    settings = {"onecc_roles": ["their.gpus.theirs", "mine"], "mine_text": "set", "ansible_become": False}
    (tmp_path / "hosts.yml").write_text(json.dumps({"onecc": {"hosts": {"node": dict(word.split("=") for word in LOCAL.split())}}}))
    playbook = Playbook(tmp_path, {}, [])
    (tmp_path / "ansible.cfg").write_text("[defaults]\nroles_path = roles\n")
    done = playbook.run("-i", "hosts.yml", "-e", json.dumps(settings), playbook="onecc.cluster.site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ((tmp_path / "theirs").read_text(), (tmp_path / "mine").read_text()) == ("unset", "set")
    assert [item["role"] for item in playbook.hosts()["node"]["mended"]] == ["their.gpus.theirs", "mine"]


# The parts

ITEM = {"kind": "files", "name": "/a", "field": "exists", "is": False, "should": True, "message": "file /a does not exist", "remedy": "apply"}
OUTCOME = {"before": {"base": [ITEM]}, "done": {"base": [ITEM]}, "diff": [], "warnings": [], "failed": ""}


def test_what_failed_comes_first_and_then_what_is_left():
    left = {**ITEM, "name": "/b", "message": "file /b does not exist"}
    result = action.summary({**OUTCOME, "failed": "base: no space"}, {"base": [left]}, fail_on_drift=True, with_diff=False)
    assert result["failed"] and result["changed"]
    assert result["msg"].split("\n") == [
        "base: no space", "Done before that:", "- base: file /a does not exist", "Still differs:",
        "- base: file /b does not exist (the next run applies it)",
    ]


@pytest.mark.parametrize(("fail_on_drift", "failed"), [(True, True), (False, False)])
def test_what_takes_a_reboot_fails_those_who_want_no_drift(fail_on_drift, failed):
    left = {**ITEM, "remedy": "reboot", "message": "driver 570 runs"}
    result = action.summary(OUTCOME, {"base": [left]}, fail_on_drift=fail_on_drift, with_diff=False)
    assert result["failed"] is failed and "driver 570 runs (a reboot takes it away)" in result["msg"]


@pytest.mark.parametrize("answer", [
    None, [], {**OUTCOME, "failed": 1}, {**OUTCOME, "before": {"other": []}, "done": {"other": []}}, {**OUTCOME, "done": {}},
    {**OUTCOME, "diff": ["x"]}, {key: value for key, value in OUTCOME.items() if key != "diff"}, {**OUTCOME, "before": {"base": [1]}},
])
def test_what_is_no_outcome(answer):
    with pytest.raises(_answers.NotAnAnswer):
        _answers.outcome(answer, ["base"])


def test_an_outcome_acts_on_no_terminal():
    taken = _answers.outcome({**OUTCOME, "failed": "a\x1b[2J\nb", "diff": [{"before": "\x1b]0;x\x07\n", "more": 1}], "warnings": ["\x1b"]}, ["base"])
    assert "\x1b" not in str(taken) and "\\x1b" not in repr(taken) and taken["failed"].count("\n") == 1


def test_an_outcome_is_not_endless():
    taken = _answers.outcome({**OUTCOME, "failed": "E\n" * 10**6, "diff": [{"after": "x" * 10**7}], "warnings": ["w"] * 10**5}, ["base"])
    assert len(taken["failed"]) <= _answers.TEXT + 1 and len(taken["diff"][0]["after"]) <= _answers.SHOWN + 1
    assert len(taken["warnings"]) == _answers.WARNINGS


def test_a_change_takes_its_code_along():
    sent = _payload.change_request({"base": {}}, check_mode=True)
    assert len(sent) < 160_000
