# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""A role's declaration: read from the role, rendered with a host's variables, checked, and completed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.module_utils._change import nccl_configs
from ansible_collections.onecc.cluster.plugins.module_utils._node import kinds
from ansible_collections.onecc.cluster.plugins.plugin_utils import _ansible
from jinja2 import nodes

COLLECTION = "onecc.cluster"
ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"

# The kinds of resources, in their order. Of what changes them, those that have something against a declared value.
KINDS = {kind: importlib.import_module(f"{kinds.__name__}.{kind}") for kind in kinds.ORDER}
_CHANGES = {"nccl_configs": nccl_configs}


_REFERENCE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


class DeclarationError(AnsibleError):
    """A variable or a declaration is wrong. The message names it, its value, and what is allowed."""


def folder_of(role: str, variables: Mapping[str, Any]) -> pathlib.Path:
    """The folder of a role that has a declaration: of this collection, of another one by its full name, or of the user's own."""
    name = role.removeprefix(f"{COLLECTION}.")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,2}", name) or name.count(".") == 1:
        raise DeclarationError(f"A role is named {role!r}; allowed is a name of letters, digits and _, or namespace.collection.role.")
    if "." in name:
        found = [folder for folder in [_ansible.collection_role(name)] if folder]
    else:
        play = variables.get("playbook_dir")
        own = [pathlib.Path(play, "roles")] if play else []
        found = [folder / name for folder in (ROLES, *own, *map(pathlib.Path, C.DEFAULT_ROLES_PATH))]
    for folder in found:
        if (folder / "state.yml").is_file():
            return folder
    known = ", ".join(sorted(path.parent.name for path in ROLES.glob("*/state.yml")))
    where = "" if "." in name else f", and none in {', '.join(str(folder.parent) for folder in found[1:]) or 'roles_path'}"
    raise DeclarationError(f"There is no role {role!r} with a declaration (state.yml). In {COLLECTION} there are: {known}{where}.")


def label(role: str) -> str:
    """What a role is called in results: its name, without that of this collection."""
    return role.removeprefix(f"{COLLECTION}.")


def _written(value: Any) -> Any:
    """What a template file of a role writes of a variable: on one line, and without the quotes that would end it where it stands."""
    text = str(value)
    if not text.isprintable() or '"' in text:
        raise DeclarationError(f"{text[:100]!r} is to be written into a file of the node; it may have no line ends, control characters or quotes")
    return value


# As ansible.builtin.template sets it.
_JINJA = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, finalize=_written)


@functools.cache
def _template(path: pathlib.Path) -> jinja2.Template:
    """A template file of a role, compiled."""
    return _JINJA.from_string(path.read_text(encoding="utf-8"))


def load(loader: Any, path: pathlib.Path) -> Any:
    """A YAML file of the collection, whose strings may be templates. Not to be altered."""
    # Not unsafe: without a deep copy, which takes longer than to read the file.
    return _LOADED[path] if path in _LOADED else loader.load_from_file(str(path), unsafe=True, trusted_as_template=True)


# Ansible imports this in its main process, before it forks a worker a host: read there, the files are read once.
_LOADED: dict[pathlib.Path, Any] = {}
_LOADED.update(
    (path, load(DataLoader(), path))
    for state in ROLES.glob("*/state.yml")
    for path in (state, state.parent / "defaults" / "main.yml", state.parent / "meta" / "argument_specs.yml", state.parent / "meta" / "onecc.yml")
    if path.is_file()
)
# The roles that site.yml keeps in state where `onecc_roles` names none, in their order. meta/onecc.yml of a role gives its place.
_PLACES = {path.parents[1].name: place for path, place in _LOADED.items() if path.name == "onecc.yml"}
ORDER = tuple(sorted(_PLACES, key=lambda role: _PLACES[role]["order"]))
DEFAULT_ROLES = tuple(role for role in ORDER if _PLACES[role]["default"])


def see_no_facts(names: Iterable[str], variables: Mapping[str, Any], where: str) -> None:
    """Refuses settings that a node's facts would make: what a node says sets nothing for it, let alone for others.

    Facts that are set by a task (`set_fact`) are not among them.
    """
    facts = variables.get("ansible_facts") or {}
    # What the inventory says of a node, and what all playbooks go by, is the collection's own too; onecc_node are facts as such.
    own = {name for name in facts if name.startswith("onecc_")} - {"onecc_node"}
    if C.INJECT_FACTS_AS_VARS and (found := sorted({name for name in names if name in facts} | own)):
        raise DeclarationError(
            f"{where}: {', '.join(found)} is a fact that the node gave of itself, and would be taken for your setting. Keep facts apart: "
            "inject_facts_as_vars = False in the section [defaults] of ansible.cfg, or ANSIBLE_INJECT_FACT_VARS=False"
        )


def role_state(role: str, templar: Templar, loader: Any, variables: dict[str, Any]) -> dict[str, list[dict]]:
    """The declared state of a role for the host whose variables are given."""
    folder = folder_of(role, variables)
    variables = {**_file(loader, folder, "defaults/main.yml"), **variables}
    spec = _file(loader, folder, "meta/argument_specs.yml").get("argument_specs", {}).get("main", {}).get("options", {})
    see_no_facts(spec, variables, f"role {folder.name}")
    own = templar.copy_with_new_env(available_variables=variables)
    given = {name: own.template(variables[name]) for name in spec if name in variables}
    validated = validate(spec, {name: value for name, value in given.items() if value is not None}, f"role {folder.name}")
    own = templar.copy_with_new_env(available_variables={**variables, **validated})
    known = {**validated, "inventory_hostname": variables.get("inventory_hostname")}
    try:
        return complete(own.template(_filled(_file(loader, folder, "state.yml"), known)), folder, known)
    except DeclarationError:
        raise
    except (jinja2.TemplateError, AnsibleError) as error:
        raise DeclarationError(f"{folder / 'state.yml'}: {getattr(error, 'message', error)}") from error


def _file(loader: Any, folder: pathlib.Path, name: str) -> Any:
    """A YAML file of a role, empty where it has none. What is wrong in one is said with the file and the line."""
    path = folder / name
    if path not in _LOADED and not path.is_file():
        return {}
    try:
        return load(loader, path) or {}
    except AnsibleError as error:
        raise DeclarationError(f"{path}: {error}") from error


# What Jinja alone evaluates as Ansible does, which has its own filters, tests and functions.
_PLAIN = (
    nodes.Name, nodes.Const, nodes.List, nodes.Dict, nodes.Pair, nodes.Getitem, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand,
)


@functools.cache
def _expression(text: str) -> tuple[Callable[..., Any], frozenset[str]] | None:
    """A template that is one plain expression, compiled, and the names in it; None for any other text."""
    output = _JINJA.parse(text).body if text.startswith("{{ ") and text.endswith(" }}") else []
    parts = output[0].nodes if len(output) == 1 and isinstance(output[0], nodes.Output) else []
    if len(parts) != 1 or not all(isinstance(node, _PLAIN) for node in (parts[0], *parts[0].find_all(nodes.Node))):
        return None
    names = frozenset(node.name for node in output[0].find_all(nodes.Name))
    return _JINJA.compile_expression(text.removeprefix("{{").removesuffix("}}"), undefined_to_none=False), names


def _filled(value: Any, variables: dict[str, Any]) -> Any:
    """The value with their results in place of templates that are plain expressions of the variables, or texts around their names.

    Most of a declaration is. Each worker would compile each of them anew, at half a millisecond or more.
    """
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    if (plain := _expression(value)) and plain[1] <= variables.keys():
        return plain[0](**variables)
    # All that is in braces, and texts alone: how Jinja writes anything else is its own affair.
    names = _REFERENCE.findall(value)
    if _REFERENCE.sub("", value).count("{") or not all(isinstance(variables.get(name), str) for name in names):
        return value
    return _REFERENCE.sub(lambda found: variables[found[1]], value) if names else value


def validate(spec: dict, values: dict, where: str) -> dict:
    """The values with their types and defaults, or an error that says everything that is wrong."""
    if altered := [message for name, value in values.items() for message in _altered(name, value, spec.get(name, {}))]:
        raise DeclarationError(f"{where}: {'; '.join(altered)}.")
    result = ArgumentSpecValidator(spec).validate(_plain(values))
    if result.error_messages:
        raise DeclarationError(f"{where}: {'; '.join(result.error_messages)}")
    return result.validated_parameters


def _plain(value: Any) -> Any:
    """The value without Ansible's tags, which the validator would copy one by one: the origin of each string, down to its line."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return f"{value}" if isinstance(value, str) else value


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


def complete(state: Any, folder: pathlib.Path | None = None, variables: Mapping[str, Any] | None = None) -> dict[str, list[dict]]:
    """A rendered declaration with its defaults, in the order of applying, and with what the node must be told.

    A role gives its folder, and the variables for its template files: its arguments, and the host's name.
    """
    if not isinstance(state, dict):
        raise DeclarationError(f"A declared state is a mapping of kinds to lists of resources, not {state!r}.")
    if unknown := sorted(map(str, set(state) - set(KINDS))):
        raise DeclarationError(f"There are no resources of kind {', '.join(unknown)}. There are: {', '.join(KINDS)}.")
    given = {kind: _resources(kind, state[kind]) for kind in KINDS if state.get(kind) is not None}
    for file in given.get("files", []):
        _render(file, folder, variables or {})
    for kind, resources in given.items():
        try:
            getattr(KINDS[kind], "complete", lambda _resources, _state: None)(resources, given)
        except ValueError as error:
            raise DeclarationError(f"{kind}, {error}.") from None
    return {kind: resources for kind, resources in given.items() if resources or hasattr(KINDS[kind], "MEANT_WHEN_EMPTY")}


def _resources(kind: str, resources: Any) -> list[dict]:
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        raise DeclarationError(f"{kind} is a list of mappings, not {resources!r}.")
    found = []
    for item in resources:
        if not _meant(kind, item):
            continue
        name = item.get("name") or item.get("path") or "without a name"
        # A null says the same as an absent field: a declaration can pass a variable on that is not set.
        given = {key: value for key, value in item.items() if value is not None and key != "when"}
        resource = validate(KINDS[kind].FIELDS, given, f"{kind}, {name}")
        _check_patterns(kind, resource, name)
        found.append(resource)
    names = [item.get("name") or item.get("path") for item in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DeclarationError(f"{kind} declares {', '.join(twice)} more than once.")
    return found


def _meant(kind: str, item: dict) -> bool:
    """Whether a resource is declared at all: where it says `when`, only if that is true."""
    when = item.get("when", True)
    if not isinstance(when, bool):
        raise DeclarationError(f"{kind}: when is {when!r}; allowed is what is true or false.")
    return when


def _check_patterns(kind: str, resource: dict, name: str) -> None:
    for field, (pattern, allowed) in getattr(KINDS[kind], "PATTERNS", {}).items():
        value = resource[field]
        if value is not None and not re.fullmatch(pattern, value):
            raise DeclarationError(f"{kind}, {name}: {field} is {value!r}; allowed is {allowed}.")
    for room in (KINDS[kind], _CHANGES.get(kind)):
        if wrong := getattr(room, "invalid", lambda _resource: None)(resource):
            raise DeclarationError(f"{kind}, {name}: {wrong}.")


def _render(file: dict, folder: pathlib.Path | None, variables: Mapping[str, Any]) -> None:
    """Renders the template of a file that has one."""
    if (file["content"] is None) == (file["template"] is None):
        raise DeclarationError(f"files, {file['path']}: it needs either content or template.")
    if file["template"] is not None:
        if folder is None:
            raise DeclarationError(f"files, {file['path']}: only a role has templates; give its content.")
        try:
            file["content"] = _template(folder / "templates" / file["template"]).render(variables)
        except (jinja2.TemplateError, OSError, UnicodeDecodeError) as error:
            raise DeclarationError(f"role {folder.name}, template {file['template']}: {error}") from error


def to_check(state: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """What the node needs to compare: all but the contents of files, blocks and topologies, which it recognises by their hashes."""
    unsent = ("content", "template", "topology")
    return {
        kind: [{key: value for key, value in item.items() if "sha256" not in item or key not in unsent} for item in items]
        for kind, items in state.items()
    }


# For no host, so that what these declarations need (filters, lookups, template files, patterns) is loaded and compiled before there
# are workers, each of which would do it anew: with the default roles 30 ms of CPU a host. What fails for want of a host's variables
# fails there, with its message.
for _role in DEFAULT_ROLES:
    with contextlib.suppress(AnsibleError):
        role_state(_role, Templar(DataLoader()), DataLoader(), {"groups": {}, "hostvars": {}})
