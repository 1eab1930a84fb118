# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""update.yml: on nodes that are all this computer, and on those of a lab.

On this computer a role of the tests takes the place of `base`, and writes one file a node. What it and the tasks that drain
and resume do, they add to a log, a line an event.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.onecc.cluster.tests.unit.playbook import COLLECTION, LOCAL, UNREACHABLE, Playbook
from conftest import Lab, running_lab

HEADS = ["head-1", "head-2"]
COMPUTE = ["node-1", "node-2", "node-3", "node-4"]
NODES = [*HEADS, "cpu-1", *COMPUTE]

VARIABLES = {
    "test_folder": "str", "test_version": "str", "test_hangs": "list", "test_foreign": "list",
}
LOG = "echo {word} {{{{ inventory_hostname }}}} >> {{{{ test_folder }}}}/log"


def log(word: str) -> dict[str, Any]:
    return {"ansible.builtin.raw": LOG.format(word=word)}


STATE = {"files": [{
    "path": "{{ test_folder }}/state/{{ inventory_hostname }}", "content": "{{ test_version }}\n", "owner": str(os.getuid()), "group": str(os.getgid()),
}]}
# Stands in for a node's Python. It logs a change, spoils what was written on a node that is broken, and adds to the answers of a node whose
# driver is an old one the difference that such a node has: this computer cannot have seven drivers.
PYTHON = r"""#!/bin/sh
cd {folder}
before=$(cat state/{name} 2>/dev/null)
said=$(/usr/bin/python3 "$@")
status=$?
if [ "$(cat state/{name} 2>/dev/null)" != "$before" ]; then
    echo apply {name} >> log
    if grep -qx {name} broken; then echo broken > state/{name}; fi
fi
if grep -qx {name} reboots; then
    said=$(printf '%s\n' "$said" | sed -E \
        -e 's/^(onecc.cluster (drift|converge \{{"before":) \{{"base": )\[(\]|\{{)/\1[REBOOT\3/' \
        -e 's/REBOOT\{{/REBOOT, {{/' -e 's/REBOOT/{reboot}/')
fi
printf '%s\n' "$said"
exit $status
"""
REBOOT = {
    "kind": "locked_packages", "name": "nvidia-driver-580", "field": "running", "is": "570", "should": "580",
    "message": "driver 570 runs, 580 is installed", "remedy": "reboot",
}
# As Slurm's will: they know by the reason whose drain it is.
DRAIN = [
    {"ansible.builtin.fail": {"msg": "jobs do not end"}, "when": "inventory_hostname in test_hangs"},
    {"ansible.builtin.set_fact": {"onecc_update_drained": "{{ inventory_hostname not in test_foreign }}"}},
    {**log("drain"), "when": "onecc_update_drained and onecc_update_reason == 'onecc.cluster update'"},
]
RESUME = [log("resume")]


class Cluster:
    """Seven nodes of this computer, and what happened to them."""

    def __init__(self, folder: Path, **away: str) -> None:
        self.folder = folder
        copy = folder / "ansible_collections" / "onecc" / "cluster"
        for name in ("plugins", "playbooks", "roles"):
            shutil.copytree(COLLECTION / name, copy / name)
        role = copy / "roles" / "base"
        options = {name: {"type": type_, "required": True} for name, type_ in VARIABLES.items()}
        for name, content in {
            "state.yml": STATE, "defaults/main.yml": {},
            "meta/argument_specs.yml": {"argument_specs": {"main": {"options": options}}},
        }.items():
            (role / name).write_text(json.dumps(content))  # JSON is YAML
        self.playbook = Playbook(folder, {}, [])
        (folder / "state").mkdir()
        (folder / "drain.yml").write_text(json.dumps(DRAIN))
        (folder / "resume.yml").write_text(json.dumps(RESUME))
        for name in NODES:
            python = folder / f"python-{name}"
            python.write_text(PYTHON.format(folder=folder, name=name, reboot=json.dumps(REBOOT)))
            python.chmod(0o755)
        hosts = {name: away.get(name.replace("-", "_"), f"{LOCAL} ansible_python_interpreter={folder}/python-{name}") for name in NODES}
        groups = {"onecc_head": HEADS, "onecc_compute": COMPUTE, "onecc_generic_cpu": ["cpu-1"]}
        (folder / "hosts").write_text("".join([
            *(f"{name} {variables}\n" for name, variables in hosts.items()),
            *(f"[{group}]\n" + "".join(f"{name}\n" for name in names) for group, names in groups.items()),
            "[onecc:children]\n", *(f"{group}\n" for group in groups),
        ]))
        self.hooks = {"onecc_update_drain": f"{folder}/drain.yml", "onecc_update_resume": f"{folder}/resume.yml"}

    def run(self, *arguments: str, hooks: bool = True, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Runs update.yml. Variables without a prefix are those of the test role; the log begins anew."""
        (self.folder / "log").write_text("")
        for name in ("broken", "reboots"):
            (self.folder / name).write_text("".join(f"{node}\n" for node in variables.pop(name, [])))
        settings = {name: value for name, value in variables.items() if name.startswith("onecc_")}
        test = {"hangs": [], "foreign": [], "version": "1", "folder": str(self.folder)}
        test |= {name: value for name, value in variables.items() if name not in settings}
        return self.playbook.run(
            "-e", json.dumps({
                "ansible_become": False, "onecc_roles": ["base"], "onecc_update_records": str(self.folder / "records"),
                **(self.hooks if hooks else {}), **settings, **{f"test_{name}": value for name, value in test.items()},
            }),
            *arguments, playbook="onecc.cluster.update",
        )

    def log(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()

    def applied(self) -> list[str]:
        return [line.split()[1] for line in self.log() if line.startswith("apply ")]

    def records(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "records").glob("*"))

    def notes(self) -> dict[str, list[str]]:
        return {name: entry["notes"] for name, entry in self.playbook.hosts().items()}

    def statuses(self, *names: str) -> list[str]:
        hosts = self.playbook.hosts()
        return [hosts[name]["status"] for name in names]


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


UNTOUCHED = "left untouched: the run ended before its turn"
DRAINED = "drained by this playbook, and not resumed"


def test_from_a_canary_that_fails_to_the_end(cluster):
    """Four runs, each of which takes up what the one before left."""
    others = [name for name in NODES if name != "node-1"]
    done = cluster.run(broken=["node-1"])
    assert done.returncode == 2
    assert cluster.log() == ["drain node-1", "apply node-1"]
    assert cluster.records() == ["node-1"]
    assert cluster.statuses("node-1") == ["drift"] and cluster.notes()["node-1"] == [DRAINED]
    assert {name: note for name, note in cluster.notes().items() if name in others} == {name: [UNTOUCHED] for name in others}
    assert done.stdout.partition("DECLARED STATE")[2].count(UNTOUCHED) == len(others)

    # Somebody else has drained node-4. node-3 fails, and two failures are allowed.
    done = cluster.run(broken=["node-3"], foreign=["node-4"], onecc_update_batch=2, onecc_update_max_failures=2)
    assert done.returncode == 2
    # Batches of one are as they stand in the log; the nodes of a batch come in any order.
    assert cluster.log()[:3] == ["drain node-1", "apply node-1", "resume node-1"]
    assert cluster.log()[-6:] == [f"{word} {head}" for head in HEADS for word in ("drain", "apply", "resume")]
    middle = cluster.log()[3:-6]
    assert sorted(middle[:5]) == sorted(["drain node-2", "drain node-3", "apply node-2", "apply node-3", "resume node-2"])
    assert sorted(middle[5:]) == sorted(["drain cpu-1", "apply cpu-1", "resume cpu-1", "apply node-4"])
    assert "1. node-1 (canary)" in done.stdout and "2. node-2, node-3" in done.stdout and "3. node-4, cpu-1" in done.stdout
    assert cluster.records() == ["node-3"] and cluster.notes()["node-3"] == [DRAINED]
    assert cluster.statuses("node-3", "node-4", "head-2") == ["drift", "converged", "converged"]
    assert cluster.notes()["node-4"] == []

    # The administrator has taken node-3 over.
    done = cluster.run(foreign=["node-3"])
    assert done.returncode == 0
    assert cluster.log() == ["apply node-3"] and cluster.records() == []

    done = cluster.run()
    assert done.returncode == 0
    assert cluster.log() == [] and "no hosts matched" in done.stdout
    assert set(cluster.statuses(*NODES)) == {"in_state"}
    assert re.findall(r"^(\S+) +: ok=1 +changed=0 ", done.stdout, re.MULTILINE) == sorted(NODES[1:])


def test_a_run_that_was_cut_before_it_resumed(cluster):
    """head-1 and node-1 were drained by an update that is over. Without tasks that resume, it is not over."""
    assert cluster.run(hooks=False, onecc_update_batch="100%").returncode == 0
    assert "resume head-1" not in cluster.log() and cluster.records() == []
    (cluster.folder / "records").mkdir()
    for name in ("head-1", "node-1"):
        (cluster.folder / "records" / f"{name}.json").touch()
    assert cluster.run("--check").returncode == 0
    assert cluster.notes()["node-1"] == ["would be resumed", DRAINED] and cluster.log() == []
    done = cluster.run("--limit", "node-1", hooks=False)
    assert done.returncode == 2 and "onecc_update_resume" in cluster.playbook.hosts()["node-1"]["message"]
    assert cluster.records() == ["head-1", "node-1"]
    assert cluster.run().returncode == 0
    assert sorted(cluster.log()) == ["resume head-1", "resume node-1"] and cluster.records() == []
    assert cluster.notes()["node-1"] == []


def test_failures_end_the_run_after_their_batch(cluster):
    """node-1 hangs in its drain, which is a failure too. node-2 of the same batch comes to its end."""
    done = cluster.run(hangs=["node-1"], onecc_update_batch="40%", onecc_update_canary=0)
    assert done.returncode == 2
    assert cluster.log() == ["drain node-2", "apply node-2", "resume node-2"] and cluster.records() == []
    assert cluster.statuses("node-1", "node-2", "node-3", "cpu-1", "head-1") == ["failed", "converged", "drift", "drift", "drift"]
    assert cluster.notes()["node-3"] == cluster.notes()["head-2"] == [UNTOUCHED] and cluster.notes()["node-2"] == []


def test_one_of_two_canaries_fails(cluster):
    done = cluster.run(broken=["cpu-1"], onecc_update_canary=["cpu-1", "node-3"], onecc_update_max_failures=9)
    assert done.returncode == 2
    assert sorted(cluster.applied()) == ["cpu-1", "node-3"]
    assert cluster.notes()["node-1"] == [UNTOUCHED] and cluster.statuses("node-3") == ["converged"]


def test_reboots(cluster):
    """On this computer, which is not rebooted."""
    done = cluster.run(reboots=["node-1"])
    assert done.returncode == 2
    assert cluster.log() == ["drain node-1", "apply node-1"] and cluster.statuses("node-1", "node-2") == ["drift", "drift"]
    assert cluster.notes()["node-1"] == [
        DRAINED, "needs a reboot, which onecc_update_reboot does not allow: driver 570 runs, 580 is installed",
    ]
    done = cluster.run(version="2", reboots=["node-1"], onecc_update_reboot=True)
    assert done.returncode == 2
    assert "This playbook runs on the node itself" in cluster.playbook.hosts()["node-1"]["message"]
    assert cluster.records() == ["node-1"] and cluster.applied() == ["node-1"]


def test_check_mode_drains_nothing(cluster):
    done = cluster.run("--check", "--diff", reboots=["node-1"], onecc_update_reboot=True)
    assert done.returncode == 0
    assert cluster.log() == [] and cluster.records() == [] and list((cluster.folder / "state").iterdir()) == []
    would = "would be drained, brought to state, and resumed"
    assert cluster.notes().pop("node-1") == [would, "would be rebooted: driver 570 runs, 580 is installed"]
    assert [notes[0] for notes in cluster.notes().values()] == [would] * len(NODES)
    assert "7 of 7 nodes differ" in done.stdout


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh on this machine")
def test_a_node_that_is_away(tmp_path):
    cluster = Cluster(tmp_path, node_1=UNREACHABLE)
    done = cluster.run(onecc_update_canary="node-1")
    assert done.returncode in (2, 4)
    assert cluster.log() == [] and "nothing is begun without it" in done.stdout.lower()
    done = cluster.run(onecc_update_batch="100%", hooks=False)
    assert done.returncode == 4
    assert cluster.applied()[0] == "node-2" and set(cluster.applied()) == set(NODES) - {"node-1"}
    assert cluster.statuses("node-1", "node-2") == ["unreachable", "converged"]


def test_wrong_settings_are_refused_before_a_node_is_asked(cluster):
    done = cluster.run(onecc_update_reboot="perhaps", onecc_update_max_failures=0)
    assert done.returncode == 2
    assert "onecc_update_reboot" in done.stdout and "perhaps" in done.stdout and "TASK [Detect drift" not in done.stdout
    done = cluster.run(onecc_update_canaries=2)
    assert "there is no setting onecc_update_canaries" in done.stdout and "TASK [Detect drift" not in done.stdout


# On lab nodes

CANARY, SECOND, THIRD, HEAD = "1cc-node-1", "1cc-node-2", "1cc-node-3", "1cc-head-1"
NEW = {"base_sysctls": {"vm.swappiness": "10"}}
# Something on the node takes back what the role does.
SPOILER = """
systemd-run --quiet --unit onecc-test-spoiler sh -c 'while :; do sysctl -qw vm.swappiness=11; sleep 0.3; done'
"""
# As a scheduler would, the first head keeps the list.
HOOK = [{
    "ansible.builtin.shell": "echo WORD {{ inventory_hostname }} >> /var/tmp/onecc-test-drains",
    "delegate_to": "1cc-head-1",
}]
TRACES = """
sysctl -n vm.swappiness
ls -l --time-style=full-iso /etc/sysctl.d
cat /proc/sys/kernel/random/boot_id
"""


@pytest.fixture(scope="module")
def lab_of_four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab("update", tmp_path_factory.mktemp("update"), "--heads", "1", "--compute", "3") as lab:
        first = lab.site()
        assert first.rc == 0, first.output
        yield lab


@pytest.mark.thorough
def test_three_nodes_and_their_head(lab_of_four: Lab) -> None:
    """The canary fails its verification, and the others stay as they are. Then all are drained, rebooted and resumed."""
    lab, nodes = lab_of_four, (CANARY, SECOND, THIRD, HEAD)
    for word in ("drain", "resume"):
        (lab.folder / f"{word}.yml").write_text(json.dumps(HOOK).replace("WORD", word))
    settings = {
        **NEW, "onecc_update_drain": f"{lab.folder}/drain.yml", "onecc_update_resume": f"{lab.folder}/resume.yml",
        "onecc_update_records": f"{lab.folder}/records", "onecc_update_batch": 2,
    }
    before = {node: lab.ssh(node, TRACES) for node in nodes}

    lab.ssh(CANARY, SPOILER)
    stopped = lab.run("update", "-e", json.dumps(settings))
    print(stopped.output)
    assert stopped.rc == 2, stopped.output
    assert stopped.drift(CANARY) == {("sysctls", "vm.swappiness")}
    assert stopped.hosts[CANARY]["notes"] == [DRAINED]
    for node in nodes[1:]:
        assert stopped.hosts[node]["notes"] == [UNTOUCHED] and stopped.status(node) == "drift"
        assert lab.ssh(node, TRACES) == before[node]
    table = stopped.output.partition("DECLARED STATE")[2]
    assert table.count(UNTOUCHED) == 3
    assert lab.ssh(HEAD, "cat /var/tmp/onecc-test-drains").splitlines() == [f"drain {CANARY}"]

    lab.ssh(CANARY, "systemctl stop onecc-test-spoiler")
    # Only a reboot gives devices other names.
    sources = ("-e", json.dumps({"onecc_roles": ["base", "ofed", "nvme_raid", "filesystems", "nccl"], "ofed_persistent_names": "pci"}))
    done = lab.run("update", *sources, "-e", json.dumps({**settings, "onecc_update_reboot": True}))
    print(done.output)
    assert done.rc == 0, done.output
    assert {done.status(node) for node in nodes} == {"converged"}
    assert not list((lab.folder / "records").iterdir())
    after = {node: lab.ssh(node, TRACES).splitlines() for node in nodes}
    for node in nodes:
        assert after[node][0] == "10" and after[node][-1] != before[node].splitlines()[-1], f"{node} was not rebooted"
    events = lab.ssh(HEAD, "cat /var/tmp/onecc-test-drains").splitlines()[1:]
    assert events[:2] == [f"drain {CANARY}", f"resume {CANARY}"] and events[-2:] == [f"drain {HEAD}", f"resume {HEAD}"]
    assert sorted(events[2:4]) == [f"drain {SECOND}", f"drain {THIRD}"] and sorted(events[4:6]) == [f"resume {SECOND}", f"resume {THIRD}"]

    again = lab.run("update", *sources, "-e", json.dumps(settings))
    assert again.rc == 0 and {again.status(node) for node in nodes} == {"in_state"}
    assert {node: lab.ssh(node, TRACES).splitlines()[-1] for node in nodes} == {node: lines[-1] for node, lines in after.items()}
