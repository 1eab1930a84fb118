# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the API's answers (Lambda Cloud API 1.10.0, schemas), as compact rules and a checker for them.

A rule is a type, a compiled pattern, a set of allowed values, a one-item list (an array of it), an `Obj`, a `Map`, or a
tuple of alternatives. An `Obj` says which fields there are; a keyword that ends in `_opt` may be missing.
"""

from __future__ import annotations

import re
from typing import Any

HEX = re.compile(r"[0-9a-f]{32}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
IPV4 = re.compile(r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}")


class Obj:
    """An object with these fields and no others."""

    def __init__(self, **rules: Any) -> None:
        self.rules = {name.removesuffix("_opt"): rule for name, rule in rules.items()}
        self.required = {name for name in rules if not name.endswith("_opt")}


class Map:
    """An object of any names, with values of one kind."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule


REGION = Obj(name=str, description=str)
INSTANCE_TYPE = Obj(
    name=str,
    description=str,
    gpu_description=str,
    price_cents_per_hour=int,
    specs=Obj(vcpus=int, memory_gib=int, storage_gib=int, gpus=int),
)
INSTANCE_TYPES = Map(Obj(instance_type=INSTANCE_TYPE, regions_with_capacity_available=[REGION]))
ACTION = (
    Obj(available={True}),
    Obj(
        available={False},
        reason_code={"vm-has-not-launched", "vm-is-too-old", "vm-is-terminating", "vm-action-in-progress"},
        reason_description=str,
    ),
)
INSTANCE = Obj(
    id=HEX,
    name_opt=re.compile(r"(?s).{0,64}"),
    ip_opt=IPV4,
    private_ip_opt=IPV4,
    status={"booting", "active", "unhealthy", "terminated", "terminating", "preempted"},
    ssh_key_names=[str],
    file_system_names=[str],
    file_system_mounts_opt=[Obj(mount_point=str, file_system_id=HEX)],
    region=REGION,
    instance_type=INSTANCE_TYPE,
    hostname_opt=re.compile(r"[a-z0-9][0-9a-z-]{0,62}"),
    jupyter_token_opt=HEX,
    jupyter_url_opt=re.compile(r"https://jupyter-[0-9a-f]{32}\.lambdaspaces\.com/\?token=[0-9a-f]{32}"),
    actions=Obj(migrate=ACTION, rebuild=ACTION, restart=ACTION, cold_reboot=ACTION, terminate=ACTION),
    tags_opt=[Obj(key=str, value=str)],
    firewall_rulesets_opt=[Obj(id=HEX)],
)
IMAGE = Obj(
    id=UUID,
    created_time=TIME,
    updated_time=TIME,
    name=str,
    description=str,
    family=str,
    version=str,
    architecture={"x86_64", "arm64"},
    region=REGION,
)
SSH_KEY = Obj(id=HEX, name=re.compile(r"(?s).{1,64}"), public_key=re.compile(r".{1,4096}"))
GENERATED_SSH_KEY = Obj(**SSH_KEY.rules, private_key=str)
FILE_SYSTEM = Obj(
    id=HEX,
    name=str,
    mount_point=re.compile(r"/.+"),
    created=TIME,
    created_by=Obj(id=str, email=str, status={"active", "deactivated"}),
    is_in_use=bool,
    region=REGION,
    bytes_used_opt=int,
)
ERROR = Obj(error=Obj(code=re.compile(r"[a-z-]+(/[a-z-]+)+"), message=re.compile(r"(?s).+"), suggestion_opt=str))

STATUSES = {
    "global/invalid-api-key": {401},
    "global/invalid-parameters": {400, 413},
    "global/duplicate": {400},
    "global/quota-exceeded": {400},
    "global/object-does-not-exist": {404},
    "global/not-found": {404},
    "global/conflict": {409},
    "instance-operations/launch/insufficient-capacity": {400},
    "instance-operations/launch/file-system-in-wrong-region": {400},
    "filesystems/filesystem-in-use": {400},
    # What the API does not document, but the lab needs.
    "global/method-not-allowed": {405},
    "global/too-many-requests": {429},
    "global/internal-error": {500},
    "provider/internal-unavailable": {503},
}
"""The HTTP statuses that an error code comes with."""

ANSWERS = {
    ("GET", "/instances"): [INSTANCE],
    ("GET", "/instances/{id}"): INSTANCE,
    ("POST", "/instances/{id}"): INSTANCE,
    ("POST", "/instance-operations/launch"): Obj(instance_ids=[HEX]),
    ("POST", "/instance-operations/restart"): Obj(restarted_instances=[INSTANCE]),
    ("POST", "/instance-operations/terminate"): Obj(terminated_instances=[INSTANCE]),
    ("GET", "/instance-types"): INSTANCE_TYPES,
    ("GET", "/images"): [IMAGE],
    ("GET", "/regions"): [REGION],
    ("GET", "/ssh-keys"): [SSH_KEY],
    ("POST", "/ssh-keys"): (SSH_KEY, GENERATED_SSH_KEY),
    ("DELETE", "/ssh-keys/{id}"): Obj(),
    ("GET", "/file-systems"): [FILE_SYSTEM],
    ("POST", "/filesystems"): FILE_SYSTEM,
    ("DELETE", "/filesystems/{id}"): Obj(deleted_ids=[HEX]),
}
"""What `data` is in the answer to a request that succeeded."""


def problems(value: Any, rule: Any, where: str = "data") -> list[str]:
    """What is wrong with a value, each with where it is; empty where nothing is."""
    if isinstance(rule, tuple):
        found = [problems(value, alternative, where) for alternative in rule]
        return [] if [] in found else min(found, key=len)
    if isinstance(rule, list):
        if not isinstance(value, list):
            return [f"{where}: no array"]
        return [p for index, item in enumerate(value) for p in problems(item, rule[0], f"{where}[{index}]")]
    if isinstance(rule, Map):
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        return [p for name, item in value.items() for p in problems(item, rule.rule, f"{where}.{name}")]
    if isinstance(rule, Obj):
        return _object_problems(value, rule, where)
    return [] if _fits(value, rule) else [f"{where}: {value!r} does not fit {rule}"]


def _object_problems(value: Any, rule: Obj, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: no object"]
    found = [f"{where}: {name} is missing" for name in sorted(rule.required - value.keys())]
    found += [f"{where}: {name} is unknown" for name in sorted(value.keys() - rule.rules.keys())]
    for name in sorted(value.keys() & rule.rules.keys()):
        found += problems(value[name], rule.rules[name], f"{where}.{name}")
    return found


def _fits(value: Any, rule: Any) -> bool:
    if isinstance(rule, set):
        return value in rule
    if isinstance(rule, re.Pattern):
        return isinstance(value, str) and rule.fullmatch(value) is not None
    # True is an int to Python, but not to JSON.
    return isinstance(value, rule) and not (rule is int and isinstance(value, bool))
