# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Limits of resources: for logins (pam_limits) and for services (systemd), now and at every boot, by all files that set any."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import conf_files, pam, sysctl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}}
# Those that pam_limits(8) and systemd(1) know by the same name.
NAMES = ("core", "data", "fsize", "memlock", "nofile", "nproc", "stack")
PATTERNS = {
    "name": ("|".join(NAMES), f"one of {', '.join(NAMES)}"),
    "value": (r"unlimited|0|[1-9][0-9]{0,14}", "a number without a zero before it, or unlimited"),
}

# The managers whose defaults services get, and what their services are called.
MANAGERS = {"services": "systemd/system.conf", "users' services": "systemd/user.conf"}
# parse_size() of systemd (src/basic/parse-util.c): to the base 1024.
SUFFIXES = {suffix: 1024**power for power, suffix in enumerate(("B", "K", "M", "G", "T", "P", "E"))}


def complete(resources: list[dict], state: dict[str, list[dict]]) -> None:
    """The files that a limit is made of, and what systemd says of it. For logins as limits.conf(5) has it: * is not root."""
    sysctls = {item["name"].replace("/", "."): item["value"] for item in state.get("sysctls", [])}
    for limit in resources:
        name, value = limit["name"], limit["value"]
        limit["nr_open"] = sysctls.get("fs.nr_open")  # it is set before the limits are
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


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    found = [item for limit in resources for item in _untakable(machine, limit)]
    yield from found
    refused = {item["name"] for item in found}
    takable = [limit for limit in resources if limit["name"] not in refused]
    for limit in takable:
        for file in limit["files"]:
            if machine.text(file["path"]) != file["content"]:
                message = f"limit {limit['name']}: {file['path']} is not as declared, for {file['for']}"
                yield difference(limit["name"], file["for"], False, True, message)
    yield from _logins(machine, takable)
    for limit in takable:
        yield from _services(machine, limit)
    yield from _now(machine, takable)


def _untakable(machine: Machine, limit: dict) -> Iterator[dict]:
    """proc(5), fs.nr_open: no process may have more files, and setrlimit(2) refuses to allow it more."""
    if limit["name"] != "nofile":
        return
    now = limit.get("nr_open") or machine.attribute("/proc/sys/fs/nr_open")
    last = sysctl_files.at_boot(sysctl_files.declared(machine, {}), "fs.nr_open")
    allowed = {"now": now, f"at the next boot, by {last.place}": last.value} if last and not limit.get("nr_open") else {"now": now}
    for when, value in allowed.items():
        if value and value.isdecimal() and (limit["manager"] == "infinity" or int(limit["manager"]) > int(value)):
            yield difference(
                "nofile", "value", value, limit["manager"],
                f"limit nofile: declared is {limit['manager']}, and the kernel allows {value} ({when}: fs.nr_open). Declare at most "
                "that, or a higher fs.nr_open among the sysctls", remedy="manual",
            )
            return


def _logins(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    """What pam_limits makes of all its files, for everybody who may log in."""
    ours = {file["path"]: file["content"] for limit in resources for file in limit["files"] if file["for"] == "logins"}
    if not ours:
        return
    only = None
    if machine.exists(f"{pam.SERVICES}/sshd"):
        used = [module for module in pam.modules(machine, "sshd", "session") if module and module[0].endswith("pam_limits.so")]
        only = next((word[5:] for module in used[-1:] for word in module if word.startswith("conf=")), None)
        reason = f"{pam.SERVICES}/sshd has no pam_limits.so" if not used else f"pam_limits.so in {pam.SERVICES}/sshd reads {only} alone"
        if not used or only:
            for limit in resources:
                yield difference(
                    limit["name"], "pam", only, None, f"limit {limit['name']}: logins by SSH do not get it, for {reason}. Have it "
                    "there as the package openssh-server has it: session required pam_limits.so", remedy="manual",
                )
            return
    lines = pam.limit_lines(machine, ours)
    persons = [pam.Person(), *pam.people(machine), *pam.strangers(machine, lines)]
    for limit in resources:
        yield from _overridden(limit, lines, persons, ours)


def _overridden(limit: dict, lines: list[pam.Line], persons: list[pam.Person], ours: dict[str, str]) -> Iterator[dict]:
    """One difference for each line that gives somebody another limit."""
    name = limit["name"]
    should = float("inf") if limit["manager"] == "infinity" else int(limit["manager"])
    culprits: dict[pam.Line, list[str]] = {}
    for person in persons:
        for value, line in pam.limits(lines, person, name).values():
            if line.path not in ours and (value != should or not line.item):
                who = person.name or ", ".join(f"@{group}" for group in sorted(person.groups)) or "everybody else"
                culprits.setdefault(line, []).append(who)
    for line, who in culprits.items():
        says = f"sets {line.type} {name} {line.value}" if line.item else "exempts from all limits"
        yield difference(
            name, "overridden", line.value or None, limit["manager"],
            f"limit {name}: {line.place} {says}, at each new login of {', '.join(dict.fromkeys(who))}. Take that line away, or "
            "declare what it says", remedy="manual",
        )


def size(value: str) -> float | None:
    """A limit of systemd's as a number; None where systemd passes over it."""
    if value == "infinity":
        return float("inf")
    number, factor = (value[:-1].strip(), SUFFIXES[value[-1]]) if value[-1:] in SUFFIXES else (value, 1)
    return int(number) * factor if number.isdecimal() else None


def _services(machine: Machine, limit: dict) -> Iterator[dict]:
    """The last word that the files of each manager have, at its next start. An empty value takes back what was said before."""
    key, should = f"DefaultLimit{limit['name'].upper()}", size(limit["manager"])
    ours = {file["path"]: file["content"] for file in limit["files"] if file["for"] in MANAGERS}
    for who, name in MANAGERS.items():
        last = None
        for item in conf_files.assignments(machine, name, "Manager", ours):
            values = [size(part) for part in (item.value or "").split(":")]
            if item.key == key and (not item.value or None not in values and len(values) < 3):
                last, is_ = item, values
        if last and last.path not in ours and any(value != should for value in is_):
            yield difference(
                limit["name"], "overridden", last.value, limit["manager"],
                f"limit {limit['name']}: {last.place} sets {last.key}={last.value} for {who}, declared is {limit['manager']}. Take "
                "that line away, or declare what it says", remedy="manual",
            )


def _now(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    """What the manager gives services that start now, the soft limit and the hard one."""
    if not resources:
        return
    keys = {limit["name"]: [f"DefaultLimit{limit['name'].upper()}{end}" for end in ("", "Soft")] for limit in resources}
    answer = machine.run("systemctl", "show", f"--property={','.join(sum(keys.values(), []))}").stdout
    shown = dict(line.partition("=")[::2] for line in answer.splitlines())
    for limit in resources:
        hard, soft = (shown.get(key) for key in keys[limit["name"]])
        is_ = hard if hard != limit["manager"] or soft is None else soft
        if is_ != limit["manager"]:
            yield difference(
                limit["name"], "running", is_, limit["manager"],
                f"limit {limit['name']}: services that start now get {is_ or 'nothing'}, declared is {limit['manager']}",
            )
