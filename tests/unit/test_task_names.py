# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run prints is read by somebody who is on call: each task is a verb and its object, in one short line."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

ROOT = _declaration.ROLES.parent
FILES = sorted([*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")])
MOST = 60
VERBS = {
    "Check", "Compare", "Converge", "Create", "Detect", "Drain", "End", "Fail", "Gather", "Note", "Plan", "Read", "Reboot", "Record", "Refuse", "Remove",
    "Report", "Resume", "Run", "Show", "Stop", "Verify", "Write",
}


def names(value: Any) -> Iterator[str]:
    """The names of plays, blocks and tasks."""
    if isinstance(value, list):
        for item in value:
            yield from names(item)
    elif isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for key in ("tasks", "block", "rescue", "always", "pre_tasks", "post_tasks"):
            yield from names(value.get(key))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_of_tasks(path: pathlib.Path):
    found = list(names(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert found and [name for name in found if len(name) > MOST or name.split()[0] not in VERBS] == []
