# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook on this machine, which change nothing outside the folder of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

COLLECTION = _declaration.ROLES.parent
LOCAL = "ansible_connection=local ansible_python_interpreter=/usr/bin/python3"
# Port 1 of this machine: nobody listens there.
UNREACHABLE = (
    "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_args='-F none -o ControlMaster=no' "
    "ansible_ssh_retries=0"
)


class Playbook:
    """A folder with an inventory, a playbook, and what a run of it left there."""

    def __init__(self, folder: Path, hosts: dict[str, str], tasks: list[dict[str, Any]], **play: Any) -> None:
        self.folder = folder
        self.report = folder / "report.json"
        link = folder / "ansible_collections" / "onecc" / "cluster"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(COLLECTION)
        (folder / "ansible.cfg").write_text("[defaults]\n")
        (folder / "hosts").write_text("".join(f"{host} {variables}\n" for host, variables in hosts.items()))
        # JSON is YAML.
        (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, **play, "tasks": tasks}]))

    def run(self, *arguments: str, playbook: str = "play.yml") -> subprocess.CompletedProcess[str]:
        """Runs the playbook, or another one of the folder or of a collection."""
        done = subprocess.run(
            [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts", playbook, *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={
                **os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_HOME": str(self.folder / "home"), "HOME": str(self.folder),
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder), "ANSIBLE_CALLBACKS_ENABLED": "onecc.cluster.report",
                "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "ONECC_REPORT": str(self.report), "LC_ALL": "C.UTF-8",
            },
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def hosts(self) -> dict[str, dict[str, Any]]:
        """The report's entries of the nodes."""
        return json.loads(self.report.read_text())["hosts"]


def drift(name: str | None = None, **arguments: Any) -> dict[str, Any]:
    """A task that compares, and registers its result where it has a name."""
    task = {"onecc.cluster.drift": arguments}
    return {**task, "register": name, "ignore_errors": True} if name else task


def keep(*names: str, folder: Path) -> list[dict[str, Any]]:
    """Tasks that write registered results into files."""
    return [
        {"ansible.builtin.copy": {"content": f"{{{{ {name} | to_json }}}}", "dest": f"{folder}/{name}.json", "mode": "0600"}}
        for name in names
    ]


def kept(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())
