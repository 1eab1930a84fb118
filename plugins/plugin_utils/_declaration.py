# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""A role's declaration: read from the role, rendered with a host's variables, checked, and completed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
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
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_declared
from ansible_collections.onecc.cluster.plugins.module_utils._node import (
    accounts,
    mount_units,
    ofed,
    package_sets,
    pci,
    presence,
    rdma_names,
    specs,
    storage,
)
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import ORDER, blocks, smoke_tests
from jinja2 import nodes

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"

# The roles that site.yml keeps in state where `onecc_roles` names none, in the order of applying. The role ofed is for those who
# name it, before lambda_stack.
DEFAULT_ROLES = ("base", "lambda_stack", "nvme_raid", "filesystems", "nccl")

_ACCESS = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
# What a node must have for a resource to be declared there. The node itself knows; without it, on every node. (YAML reads `on` as true.)
_WHERE = {"where": {"type": "str", "choices": list(presence.CONDITIONS)}}

# What a resource of each kind may say.
_FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "packages": {
        "name": {"type": "str", "required": True},
        "version": {"type": "str"},
        # What its installation may remove; a transaction that would remove anything else is refused.
        "replaces": {"type": "list", "elements": "str", "default": []},
        **_WHERE,
    },
    # The unit that loads it at boot, where order matters; without it, systemd-modules-load does.
    "kernel_modules": {"name": {"type": "str", "required": True}, "unit": {"type": "str"}, **_WHERE},
    "sysctls": {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}},
    "limits": {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}},
    "directories": {"path": {"type": "str", "required": True}, **_ACCESS, "mode": {"type": "str", "default": "0755"}, **_WHERE},
    "files": {
        "path": {"type": "str", "required": True},
        "content": {"type": "str"},
        "template": {"type": "str"},
        **_ACCESS,
        "mode": {"type": "str", "default": "0644"},
        # The unit that reads the file, and has to do so again when it changes.
        "unit": {"type": "str"},
        **_WHERE,
    },
    "blocks": {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}},
    # After the files: keys and sources of packages are such. A provider changes in the transaction that installs its packages.
    "ofed_providers": {
        "name": {"type": "str", "required": True, "choices": [ofed.DETECT, *ofed.PROVIDERS]},
        "replace": {"type": "list", "elements": "str", "choices": list(ofed.PROVIDERS), "default": []},
    },
    "debconf_answers": package_sets.ANSWER,
    "locked_packages": package_sets.LOCKED_PACKAGE,
    "arrays": specs.ARRAY,
    "mounts": {**specs.MOUNT, "array": {"type": "str"}},
    "users": specs.USER,
    "nccl_configs": {**nccl_declared.CONFIG, "rails": {"type": "str"}},
    "units": {
        "name": {"type": "str", "required": True},
        "enabled": {"type": "bool"},
        "active": {"type": "bool"},
        **_WHERE,
    },
    "smoke_tests": smoke_tests.FIELDS,
    # Only compared: what differs there takes a reboot, or other hardware or drivers.
    "gpudirect": {"name": {"type": "str", "required": True, "choices": ["auto", "dmabuf", "peermem"]}, **_WHERE},
    "rdma_names": {"name": {"type": "str", "required": True, "choices": list(rdma_names.PATTERNS)}},
    # Only compared: nothing in roles/apply mends a cable. The rate is Gb/s, the width PCIe lanes.
    "rails": {"name": {"type": "str", "required": True}, **specs.RAILS, "rate": {"type": "float"}, "width": {"type": "int", "choices": list(pci.WIDTHS)}},
}

# The same in the order in which they are changed.
KINDS = {kind: _FIELDS[kind] for kind in ORDER}

# Kinds of which none at all is a declaration too: nobody but the declared users has access.
_MEANT_WHEN_EMPTY = ("users",)

# Those that pam_limits(8) and systemd(1) know by the same name.
_LIMITS = ("core", "data", "fsize", "memlock", "nofile", "nproc", "stack")
_UNIT = (r"[A-Za-z0-9:_.\\@-]+\.[a-z]+", "a unit's full name, such as fstrim.timer")

# Whole values of fields that end up in paths, unit names or command lines on a node.
_PATTERNS = {
    ("packages", "name"): (r"[a-z0-9][a-z0-9+.-]+", "a Debian package name"),
    ("packages", "version"): package_sets.VERSION,
    ("debconf_answers", "name"): package_sets.QUESTION,
    ("debconf_answers", "owner"): package_sets.NAME,
    ("debconf_answers", "value"): package_sets.LINE,
    ("locked_packages", "name"): package_sets.NAME,
    ("locked_packages", "version"): package_sets.VERSION,
    ("kernel_modules", "name"): (r"[A-Za-z0-9_-]+", "a kernel module's name"),
    ("kernel_modules", "unit"): _UNIT,
    ("sysctls", "name"): (r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:-]+)+", "a sysctl's name, such as vm.swappiness"),
    ("sysctls", "value"): (r"[^\n]+", "one line"),
    ("limits", "name"): ("|".join(_LIMITS), f"one of {', '.join(_LIMITS)}"),
    ("limits", "value"): (r"unlimited|[0-9]{1,15}", "a number, or unlimited"),
    ("files", "unit"): _UNIT,
    ("units", "name"): _UNIT,
    ("rails", "name"): (r"[A-Za-z0-9_-]+", "a word of letters, digits, _ and -"),
}


_REFERENCE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


class DeclarationError(AnsibleError):
    """A variable or a declaration is wrong. The message names it, its value, and what is allowed."""


def role_folder(role: str) -> pathlib.Path:
    """The folder of a role of this collection that has a declaration."""
    name = role.removeprefix("onecc.cluster.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not (ROLES / name / "state.yml").is_file():
        known = sorted(path.parent.name for path in ROLES.glob("*/state.yml"))
        raise DeclarationError(f"There is no role {role!r} with a declaration in onecc.cluster. There are: {', '.join(known)}.")
    return ROLES / name


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
    for path in (state, state.parent / "defaults" / "main.yml", state.parent / "meta" / "argument_specs.yml")
    if path.is_file()
)


def see_no_facts(names: Iterable[str], variables: Mapping[str, Any], where: str) -> None:
    """Refuses settings that a node's facts would make: what a node says sets nothing for it, let alone for others.

    Facts that are set by a task (`set_fact`) are not among them.
    """
    facts = variables.get("ansible_facts") or {}
    if C.INJECT_FACTS_AS_VARS and (found := sorted(name for name in names if name in facts)):
        raise DeclarationError(
            f"{where}: {', '.join(found)} is a fact that the node gave of itself, and would be taken for your setting. Keep facts apart: "
            "inject_facts_as_vars = False in the section [defaults] of ansible.cfg, or ANSIBLE_INJECT_FACT_VARS=False"
        )


def role_state(role: str, templar: Templar, loader: Any, variables: dict[str, Any]) -> dict[str, list[dict]]:
    """The declared state of a role for the host whose variables are given."""
    folder = role_folder(role)
    variables = {**(load(loader, folder / "defaults" / "main.yml") or {}), **variables}
    spec = load(loader, folder / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    see_no_facts(spec, variables, f"role {folder.name}")
    own = templar.copy_with_new_env(available_variables=variables)
    given = {name: own.template(variables[name]) for name in spec if name in variables}
    validated = validate(spec, {name: value for name, value in given.items() if value is not None}, f"role {folder.name}")
    own = templar.copy_with_new_env(available_variables={**variables, **validated})
    known = {**validated, "inventory_hostname": variables.get("inventory_hostname")}
    try:
        return complete(own.template(_filled(load(loader, folder / "state.yml"), known)), folder, known)
    except jinja2.TemplateError as error:
        raise DeclarationError(f"role {folder.name}, state.yml: {error}") from error


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
    checked = {kind: resources for kind, resources in given.items() if resources or kind in _MEANT_WHEN_EMPTY}
    for file in checked.get("files", []):
        _content(file, folder, variables or {})
    for directory in checked.get("directories", []):
        _below(directory, [item["path"] for kind in ("files", "blocks", "directories") for item in checked.get(kind, [])])
    for mount in checked.get("mounts", []):
        _source(mount, checked.get("arrays", []))
    for limit in checked.get("limits", []):
        _limit(limit, {item["name"].replace("/", "."): item["value"] for item in checked.get("sysctls", [])}.get("fs.nr_open"))
    for block in checked.get("blocks", []):
        block["content"] = block["content"].rstrip("\n") + "\n"
        if wrong := blocks.invalid(block["content"]):
            raise DeclarationError(f"blocks, {block['path']}: {wrong}.")
        block["sha256"] = hashlib.sha256(block["content"].encode()).hexdigest()
    for config in checked.get("nccl_configs", []):
        _rails(config, checked.get("rails", []))
        config.update(nccl_declared.complete(config))
    if locked := checked.get("locked_packages"):
        package_sets.complete(locked)
        if wrong := package_sets.mismatches(locked, package_sets.declared_versions(locked)):
            raise DeclarationError(f"locked_packages: {'; '.join(wrong)}.")
    smoke_tests.complete(checked.get("smoke_tests", []), checked)
    if not checked.get("smoke_tests", True):
        del checked["smoke_tests"]
    for module in (item for item in checked.get("kernel_modules", []) if not item["unit"]):
        module["file"] = f"/etc/modules-load.d/onecc-{module['name']}.conf"
        module["content"] = f"{module['name']}\n"
    for sysctl in checked.get("sysctls", []):
        # 90: after the distribution's own, before an administrator's 99.
        sysctl["file"] = f"/etc/sysctl.d/90-onecc-{sysctl['name'].replace('/', '.')}.conf"
        sysctl["content"] = f"{sysctl['name']} = {sysctl['value']}\n"
        # One of them may bring the parameter, which is not there before.
        sysctl["modules"] = [item["name"] for item in checked.get("kernel_modules", [])]
    return checked


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
        resource = validate(KINDS[kind], given, f"{kind}, {name}")
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
    for field, value in resource.items():
        pattern, allowed = _PATTERNS.get((kind, field)) or {"path": specs.PATH, "mode": specs.MODE}.get(field) or ("", "")
        if pattern and value is not None and not re.fullmatch(pattern, value):
            raise DeclarationError(f"{kind}, {name}: {field} is {value!r}; allowed is {allowed}.")
    invalid = {
        "arrays": storage.invalid, "mounts": mount_units.invalid, "users": accounts.invalid, "rails": specs.invalid_rails,
        "nccl_configs": nccl_declared.invalid,
    }.get(kind)
    if invalid and (wrong := invalid(resource)):
        raise DeclarationError(f"{kind}, {name}: {wrong}.")


def _limit(limit: dict, nr_open: str | None) -> None:
    """The files that a limit is made of, and what systemd says of it. For logins as limits.conf(5) has it: * is not root.

    `nr_open` is the declared fs.nr_open, which is set before the limits are.
    """
    name, value = limit["name"], limit["value"]
    limit["nr_open"] = nr_open
    # limits.conf(5) counts these in KiB, systemd.exec(5) in bytes.
    bytes_ = int(value) * 1024 if value != "unlimited" and name in ("core", "data", "fsize", "memlock", "stack") else value
    limit["manager"] = "infinity" if value == "unlimited" else str(bytes_)
    logins = "".join(f"{who} {kind} {name} {value}\n" for who in ("*", "root") for kind in ("soft", "hard"))
    manager = f"[Manager]\nDefaultLimit{name.upper()}={limit['manager']}\n"
    limit["files"] = [
        {"for": "logins", "path": f"/etc/security/limits.d/90-onecc-{name}.conf", "content": logins},
        {"for": "services", "path": f"/etc/systemd/system.conf.d/90-onecc-{name}.conf", "content": manager},
        {"for": "users' services", "path": f"/etc/systemd/user.conf.d/90-onecc-{name}.conf", "content": manager},
    ]


def _content(file: dict, folder: pathlib.Path | None, variables: Mapping[str, Any]) -> None:
    """Renders a file's template, and says by which hash the node recognises the content."""
    if (file["content"] is None) == (file["template"] is None):
        raise DeclarationError(f"files, {file['path']}: it needs either content or template.")
    if file["template"] is not None:
        if folder is None:
            raise DeclarationError(f"files, {file['path']}: only a role has templates; give its content.")
        try:
            file["content"] = _template(folder / "templates" / file["template"]).render(variables)
        except jinja2.TemplateError as error:
            raise DeclarationError(f"role {folder.name}, template {file['template']}: {error}") from error
    file["sha256"] = hashlib.sha256(file["content"].encode()).hexdigest()
    if file["unit"]:
        # Below /run, which a boot empties; not in /run/onecc, where only root may look.
        file["stamp"] = "/run/onecc-read/" + file["path"].strip("/").replace("/", "-")


def _below(directory: dict, paths: list[str]) -> None:
    """Refuses what is declared in a directory that others than root write in: the node would not go through it (durable.walk)."""
    mode = int(directory["mode"], 8)
    others = mode & 0o002 or mode & 0o020 and directory["group"] not in ("root", "0")
    if directory["owner"] in ("root", "0") and (not others or mode & 0o1000):
        return
    if inside := [path for path in paths if path.startswith(directory["path"].rstrip("/") + "/")]:
        raise DeclarationError(
            f"directories, {directory['path']}: owner {directory['owner']}, group {directory['group']} and mode {directory['mode']} let others "
            f"than root put links there, and root is to write {inside[0]}. Declare it in a directory that is root's alone."
        )


def _source(mount: dict, arrays: list[dict]) -> None:
    """Puts the declaration of the array into the mount that rests on it, for the node to resolve."""
    if (mount["array"] is None) == (mount["source"] is None):
        raise DeclarationError(f"mounts, {mount['path']}: it needs either array or source.")
    if mount["array"] is not None:
        found = [array for array in arrays if array["name"] == mount["array"]]
        if not found:
            raise DeclarationError(f"mounts, {mount['path']}: there is no array {mount['array']!r} in this declaration.")
        mount["array"] = found[0]


def _rails(config: dict, rails: list[dict]) -> None:
    """Puts what a rail is into the NCCL configuration that is made from the rails, for the node to find them."""
    if config["rails"] is not None:
        found = [item for item in rails if item["name"] == config["rails"]]
        if not found:
            raise DeclarationError(f"nccl_configs, {config['path']}: there are no rails {config['rails']!r} in this declaration.")
        config["rails"] = {field: found[0][field] for field in specs.RAILS}


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
