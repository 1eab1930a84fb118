# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""A role's declaration: read from the role, rendered with a host's variables, checked, and completed."""

from __future__ import annotations

import hashlib
import pathlib
import re
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.template import Templar, trust_as_template
from ansible_collections.onecc.cluster.plugins.module_utils._node import mount_units, specs, storage

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"

# The roles that site.yml keeps in state where `onecc_roles` names none, in the order of applying.
DEFAULT_ROLES = ("nvme_raid", "filesystems")

_ACCESS = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}

# Kinds of resources in the order of applying, and what a resource of each may say.
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "packages": {"name": {"type": "str", "required": True}, "version": {"type": "str"}},
    "kernel_modules": {"name": {"type": "str", "required": True}},
    "sysctls": {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}},
    "directories": {"path": {"type": "str", "required": True}, **_ACCESS, "mode": {"type": "str", "default": "0755"}},
    "files": {
        "path": {"type": "str", "required": True},
        "content": {"type": "str"},
        "template": {"type": "str"},
        **_ACCESS,
        "mode": {"type": "str", "default": "0644"},
    },
    "arrays": specs.ARRAY,
    "mounts": {**specs.MOUNT, "array": {"type": "str"}},
    "units": {
        "name": {"type": "str", "required": True},
        "enabled": {"type": "bool"},
        "active": {"type": "bool"},
    },
}

# Whole values of fields that end up in paths, unit names or command lines on a node.
_PATTERNS = {
    ("packages", "name"): (r"[a-z0-9][a-z0-9+.-]+", "a Debian package name"),
    ("packages", "version"): (r"[A-Za-z0-9.+~:-]+", "a Debian version"),
    ("kernel_modules", "name"): (r"[A-Za-z0-9_-]+", "a kernel module's name"),
    ("sysctls", "name"): (r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:-]+)+", "a sysctl's name, such as vm.swappiness"),
    ("sysctls", "value"): (r"[^\n]+", "one line"),
    ("units", "name"): (r"[A-Za-z0-9:_.\\@-]+\.[a-z]+", "a unit's full name, such as fstrim.timer"),
}


class DeclarationError(AnsibleError):
    """A variable or a declaration is wrong. The message names it, its value, and what is allowed."""


def role_folder(role: str) -> pathlib.Path:
    """The folder of a role of this collection that has a declaration."""
    name = role.removeprefix("onecc.cluster.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not (ROLES / name / "state.yml").is_file():
        known = sorted(path.parent.name for path in ROLES.glob("*/state.yml"))
        raise DeclarationError(f"There is no role {role!r} with a declaration in onecc.cluster. There are: {', '.join(known)}.")
    return ROLES / name


def load(loader: Any, path: pathlib.Path) -> Any:
    """A YAML file of the collection, whose strings may be templates."""
    return loader.load_from_file(str(path), trusted_as_template=True)


def role_state(role: str, templar: Templar, loader: Any, variables: dict[str, Any]) -> dict[str, list[dict]]:
    """The declared state of a role for the host whose variables are given."""
    folder = role_folder(role)
    variables = {**(load(loader, folder / "defaults" / "main.yml") or {}), **variables}
    spec = load(loader, folder / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    own = templar.copy_with_new_env(available_variables=variables)
    given = {name: own.template(variables[name]) for name in spec if name in variables}
    validated = validate(spec, {name: value for name, value in given.items() if value is not None}, f"role {folder.name}")
    own = templar.copy_with_new_env(available_variables={**variables, **validated})
    return complete(own.template(load(loader, folder / "state.yml")), own, folder)


def validate(spec: dict, values: dict, where: str) -> dict:
    """The values with their types and defaults, or an error that says everything that is wrong."""
    if altered := [message for name, value in values.items() for message in _altered(name, value, spec.get(name, {}))]:
        raise DeclarationError(f"{where}: {'; '.join(altered)}.")
    result = ArgumentSpecValidator(spec).validate(values, validate_role_argument_spec=True)
    if result.error_messages:
        raise DeclarationError(f"{where}: {'; '.join(result.error_messages)}")
    return result.validated_parameters


def _altered(name: str, value: Any, spec: dict[str, Any]) -> list[str]:
    """Says what YAML read as something else than it looks like, which the conversion to a text would then keep.

    0755 without quotes is the number 493, version 1.10 is 1.1, a serial number 0012 is 10, and `on` is True.
    """
    if spec.get("type") == "list" and spec.get("elements") == "str" and isinstance(value, list):
        return [f"{name} has {item!r}, which is not a text; put it in quotes" for item in value if not isinstance(item, str)]
    number = isinstance(value, int) and not isinstance(value, bool) and not name.endswith("mode")
    if spec.get("type") == "str" and not isinstance(value, str) and not number:
        return [f"{name} is {value!r}, which is not a text; put it in quotes"]
    if spec.get("type") == "int" and isinstance(value, bool):
        return [f"{name} is {value!r}; allowed is a number"]
    return []


def complete(state: Any, templar: Templar, folder: pathlib.Path | None = None) -> dict[str, list[dict]]:
    """A rendered declaration with its defaults, in the order of applying, and with what the node must be told."""
    if not isinstance(state, dict):
        raise DeclarationError(f"A declared state is a mapping of kinds to lists of resources, not {state!r}.")
    if unknown := sorted(map(str, set(state) - set(KINDS))):
        raise DeclarationError(f"There are no resources of kind {', '.join(unknown)}. There are: {', '.join(KINDS)}.")
    checked = {kind: _resources(kind, state[kind]) for kind in KINDS if state.get(kind)}
    for file in checked.get("files", []):
        _content(file, templar, folder)
    for mount in checked.get("mounts", []):
        _source(mount, checked.get("arrays", []))
    for module in checked.get("kernel_modules", []):
        module["file"] = f"/etc/modules-load.d/onecc-{module['name']}.conf"
        module["content"] = f"{module['name']}\n"
    for sysctl in checked.get("sysctls", []):
        # 90: after the distribution's own, before an administrator's 99.
        sysctl["file"] = f"/etc/sysctl.d/90-onecc-{sysctl['name'].replace('/', '.')}.conf"
        sysctl["content"] = f"{sysctl['name']} = {sysctl['value']}\n"
    return checked


def _resources(kind: str, resources: Any) -> list[dict]:
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        raise DeclarationError(f"{kind} is a list of mappings, not {resources!r}.")
    found = []
    for item in resources:
        name = item.get("name") or item.get("path") or "without a name"
        # A null says the same as an absent field: a declaration can pass a variable on that is not set.
        given = {key: value for key, value in item.items() if value is not None}
        resource = validate(KINDS[kind], given, f"{kind}, {name}")
        _check_patterns(kind, resource, name)
        found.append(resource)
    names = [item.get("name") or item.get("path") for item in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DeclarationError(f"{kind} declares {', '.join(twice)} more than once.")
    return found


def _check_patterns(kind: str, resource: dict, name: str) -> None:
    for field, value in resource.items():
        pattern, allowed = _PATTERNS.get((kind, field)) or {"path": specs.PATH, "mode": specs.MODE}.get(field) or ("", "")
        if pattern and value is not None and not re.fullmatch(pattern, value):
            raise DeclarationError(f"{kind}, {name}: {field} is {value!r}; allowed is {allowed}.")
    invalid = {"arrays": storage.invalid, "mounts": mount_units.invalid}.get(kind)
    if invalid and (wrong := invalid(resource)):
        raise DeclarationError(f"{kind}, {name}: {wrong}.")


def _content(file: dict, templar: Templar, folder: pathlib.Path | None) -> None:
    """Renders a file's template, and says by which hash the node recognises the content."""
    if (file["content"] is None) == (file["template"] is None):
        raise DeclarationError(f"files, {file['path']}: it needs either content or template.")
    if file["template"] is not None:
        if folder is None:
            raise DeclarationError(f"files, {file['path']}: only a role has templates; give its content.")
        text = (folder / "templates" / file["template"]).read_text(encoding="utf-8")
        file["content"] = str(templar.template(trust_as_template(text)))
    file["sha256"] = hashlib.sha256(file["content"].encode()).hexdigest()


def _source(mount: dict, arrays: list[dict]) -> None:
    """Puts the declaration of the array into the mount that rests on it, for the node to resolve."""
    if (mount["array"] is None) == (mount["source"] is None):
        raise DeclarationError(f"mounts, {mount['path']}: it needs either array or source.")
    if mount["array"] is not None:
        found = [array for array in arrays if array["name"] == mount["array"]]
        if not found:
            raise DeclarationError(f"mounts, {mount['path']}: there is no array {mount['array']!r} in this declaration.")
        mount["array"] = found[0]


def to_check(state: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """What the node needs to compare: all but the contents of files, which it recognises by their hashes."""
    return {
        kind: [{key: value for key, value in item.items() if kind != "files" or key not in ("content", "template")} for item in items]
        for kind, items in state.items()
    }


def to_apply(state: dict[str, list[dict]], differences: list[dict]) -> dict[str, list[dict]]:
    """The resources that differ, and the mounts that rest on an array that differs, by kind in the order of applying."""
    differing = {(item["kind"], item["name"]) for item in differences}

    def wanted(kind: str, item: dict) -> bool:
        rests_on = item.get("array") if kind == "mounts" else None
        return (kind, item.get("name") or item.get("path")) in differing or bool(
            rests_on and ("arrays", rests_on["name"]) in differing
        )

    chosen = {kind: [item for item in items if wanted(kind, item)] for kind, items in state.items()}
    return {kind: items for kind, items in chosen.items() if items}
