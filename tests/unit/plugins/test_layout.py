# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Code is filed by what it may do. This holds the walls."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

PLUGINS = _declaration.ROLES.parent / "plugins"
UTILS = "ansible_collections.onecc.cluster.plugins.module_utils."
# What a package of module_utils may import of its sisters: what looks knows nothing of what changes.
MAY_IMPORT = {"_node": {"_node"}, "_inspect": {"_node", "_inspect"}, "_change": {"_node", "_inspect", "_change"}}
# The one way to write on a node.
WRITES = PLUGINS / "module_utils" / "_node" / "durable.py"


def tree(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    nodes = tree(path)
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_what_may_import_what(package):
    for path in (PLUGINS / "module_utils" / package).rglob("*.py"):
        own = {name for name in imported(path) if name.startswith("ansible")}
        assert {name.removeprefix(UTILS).partition(".")[0] for name in own} <= MAY_IMPORT[package], path


def test_nothing_that_looks_opens_a_file_for_writing():
    for path in (PLUGINS / "module_utils" / "_node").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        nodes = [node for node in tree(path) if hasattr(node, "lineno") and "os.devnull" not in lines[node.lineno - 1]]
        for node in nodes if path != WRITES else ():
            if isinstance(node, ast.Attribute) and node.attr in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"):
                pytest.fail(f"{path}:{node.lineno} opens for writing")
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open":
                modes = [argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)]
                assert not modes or not set(modes[0]) & set("wax+"), f"{path}:{node.lineno} opens for writing"


def test_nothing_that_is_shipped_imports_from_the_tests():
    for path in PLUGINS.rglob("*.py"):
        assert not any(".tests" in name or name.startswith("onecc_lab") for name in imported(path)), path


def test_what_ansible_does_not_promise_is_used_in_one_place():
    for path in PLUGINS.rglob("*.py"):
        private = [name for name in imported(path) if name.startswith("ansible.") and "._" in name]
        assert not private or path.name == "_ansible.py", f"{path} imports {private}"


def test_every_change_is_that_of_a_kind_or_shared():
    shared = {"__init__", "hand", "converge", "config_files", "package_set", "ofed_change"}
    names = {path.stem for path in (PLUGINS / "module_utils" / "_change").glob("*.py")}
    assert names - shared <= set(_declaration.KINDS)
