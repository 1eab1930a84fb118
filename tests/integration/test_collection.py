# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as others get it: built, installed in an empty place, and used from there, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NAME = "onecc.cluster"

PLUGINS = [
    (folder.name.removesuffix("s"), plugin.stem)
    for folder in (CHECKOUT / "plugins" / kind for kind in ("modules", "inventory", "callback", "filter", "lookup"))
    for plugin in sorted(folder.glob("[!_]*.py"))
]
ROLES = sorted(folder.parents[1].name for folder in CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
PLAYBOOKS = sorted(playbook.stem for playbook in CHECKOUT.glob("playbooks/*.yml"))


class Place:
    """A folder with the collection in it and nothing else of ours, and commands that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What this run of the tests has set for itself is not what a user has.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ONECC_", "LAMBDA_"))}
        self.environment = kept | {
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def run(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command} ended with status {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(tmp_path_factory.mktemp("build"))
    copy = Path(place.run(str(CHECKOUT / "tests" / "tools" / "collection-tree"), str(place.folder)).strip())
    place.run("ansible-galaxy", "collection", "build", "--output-path", str(place.folder), cwd=copy)
    return next(place.folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("install"))
    place.run("ansible-galaxy", "collection", "install", "--offline", "-p", str(place.folder / "collections"), str(tarball))
    return place


def test_the_tarball_holds_what_git_knows_and_nothing_that_tools_left(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = [Path(member.name) for member in archive.getmembers()]
    hidden = [str(name) for name in names if name.parts[0].startswith(".")]
    left = [str(name) for name in names if {"__pycache__", "collections", "build"} & set(name.parts)]
    assert not hidden and not left
    assert {Path("LICENSE"), Path("galaxy.yml")} & set(names) == {Path("LICENSE")}


def test_the_installed_files_are_those_of_the_tarball(installed: Place) -> None:
    assert "Successfully verified" in installed.run("ansible-galaxy", "collection", "verify", "--offline", NAME)


@pytest.mark.parametrize(("kind", "plugin"), PLUGINS)
def test_each_plugin_has_documentation(installed: Place, kind: str, plugin: str) -> None:
    name = f"{NAME}.{plugin}"
    assert json.loads(installed.run("ansible-doc", "--json", "--type", kind, name))[name]["doc"]["short_description"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_documentation(installed: Place, role: str) -> None:
    name = f"{NAME}.{role}"
    assert json.loads(installed.run("ansible-doc", "--json", "--type", "role", name))[name]["entry_points"]["main"]["options"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_each_playbook_runs_by_its_full_name(installed: Place, playbook: str) -> None:
    assert "TASK" in installed.run("ansible-playbook", "-i", "localhost,", f"{NAME}.{playbook}", "--list-tasks").upper()
