# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user may set of each role stands in two files: they say the same."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

ROLES = sorted(path.parents[1] for path in _declaration.ROLES.glob("*/meta/argument_specs.yml"))


def load(path: pathlib.Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def options(role: pathlib.Path) -> dict:
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


def test_there_are_roles():
    assert "nvme_raid" in [role.name for role in ROLES]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_those_of_the_specification(role):
    defaults = load(role / "defaults" / "main.yml")
    specified = {name: option.get("default") for name, option in options(role).items() if not option.get("required")}
    assert defaults == specified


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_variables_bear_the_name_of_the_role(role):
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_is_described_and_typed(role):
    assert [name for name, option in options(role).items() if not (option.get("description") and option.get("type"))] == []


@pytest.mark.parametrize("role", [role for role in ROLES if (role / "state.yml").exists()], ids=lambda role: role.name)
def test_every_variable_is_used(role):
    text = "".join(
        path.read_text(encoding="utf-8") for path in role.rglob("*")
        if path.is_file() and path.parent.name not in ("defaults", "meta") and path.name != "README.md"
    )
    assert [name for name in options(role) if name not in text] == []
