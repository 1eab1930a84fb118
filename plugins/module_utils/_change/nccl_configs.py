# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""NCCL configurations: writes what is declared, beside what the platform wrote."""

from __future__ import annotations

import os

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_declared, nccl_findings, nccl_lint, nccl_node
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, gpudirect, nccl_conf, nccl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import nccl_configs as kinds_nccl
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import inode_of
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds.blocks import spans
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

ARGUMENTS = {
    **kinds_nccl.CONFIG,
    "path": {"type": "path", "default": nccl_conf.PATH},
    "fail_on": {"type": "str", "choices": ["never", *nccl_findings.SEVERITIES], "default": "never"},
    "nccl_version": {"type": "str"},
}


def files(machine: Machine, declared: dict, wanted: nccl_files.Wanted) -> dict[str, tuple[str, str]]:
    """The files that are to be written, by path: their text before and after."""
    before = machine.text(declared["path"], "surrogateescape") or ""
    found = {declared["path"]: (before, nccl_files.placed(before, nccl_conf.render(wanted.settings)))}
    for path, content in wanted.files.items():
        text = declared["topology"] if path == nccl_files.TOPOLOGY else content
        found[path] = machine.text(path, "surrogateescape") or "", text
    return {path: (before, after) for path, (before, after) in found.items() if after or before}


def write(machine: Machine, changes: dict[str, tuple[str, str]]) -> None:
    """Writes what differs, the file that NCCL reads last, and lets everybody read it."""
    for path in reversed(changes):
        before, after = changes[path]
        if before != after or nccl_files.mode(machine, path) & 0o777 != nccl_files.MODE:
            found = inode_of(machine, path)  # what is there stays its owner's
            access = durable.Access(found.st_uid, found.st_gid, nccl_files.MODE) if found else durable.Access(mode=nccl_files.MODE)
            durable.put(machine.path(path), after, access)


def obstacle(machine: Machine, changes: dict[str, tuple[str, str]]) -> str | None:
    """What is in the way, and would be lost."""
    for path in changes:
        real = machine.path(path)
        if os.path.lexists(real) and (os.path.islink(real) or not os.path.isfile(real)):
            return f"{path} is no regular file. Nothing is done to it: move it away, or declare another path."
    return None


def converge(hand: Hand, machine: Machine, declared: dict, version: tuple[int, int] | None) -> tuple[dict, str | None]:
    """Writes what is declared. Returns what it adds to the module's result, and the text of the file that there is now."""
    wanted = nccl_files.wanted(machine, declared)
    differences = list(nccl_files.compare(machine, declared, wanted)) if wanted else []
    result = {"changed": False, "differences": differences, "kept": [], "diff": []}
    if wanted is None:
        return result, None
    result["kept"] = [{"name": line.name, "value": line.value, "line": line.number} for line in wanted.kept]
    text = nccl_conf.render(wanted.settings)
    node = known(machine, declared, nccl_conf.parse(text.encode("utf-8", "surrogateescape")), version)
    if objections := nccl_declared.objections(declared, text, node._replace(mode=None)):
        hand.fail_json(msg=f"{declared['path']}: nothing was written, because of the declared settings: " + "; ".join(objections), **result)
    changes = files(machine, declared, wanted)
    if wrong := obstacle(machine, changes):
        hand.fail_json(msg=wrong, **result)
    result["changed"] = any(item["remedy"] != "manual" for item in differences)
    result["diff"] = [
        {"before_header": path, "after_header": path, "before": before, "after": after}
        for path, (before, after) in changes.items() if before != after
    ]
    if result["changed"] and not hand.check_mode:
        write(machine, changes)
    return result, changes[declared["path"]][1] if declared["path"] in changes else None


def known(machine: Machine, declared: dict, lines: list[nccl_conf.Line], version: tuple[int, int] | None) -> nccl_findings.Node:
    """The node as the linter sees it, with the declared topology file as if it were written already."""
    node = nccl_node.node(machine, declared["path"], lines, version)
    if declared["topology"] is None or nccl_files.TOPOLOGY not in node.topologies:
        return node
    return node._replace(topologies={**node.topologies, nccl_files.TOPOLOGY: declared["topology"].encode()})


def looked_at(machine: Machine, declared: dict, text: str | None, version: tuple[int, int] | None) -> dict:
    """What is found in the file, and what is set."""
    path = declared["path"]
    data = nccl_node.content(machine, path) if text is None else text.encode("utf-8", "surrogateescape")
    lines = nccl_conf.parse(data or b"")
    node, before = known(machine, declared, lines, version), nccl_node.before(machine, path)
    inside = {number for begin, end in spans((data or b"").decode("utf-8", "surrogateescape").split("\n")) for number in range(begin + 1, end + 2)}
    settings = [{**item._asdict(), "managed": False} for item in before]
    settings += [
        {"file": path, "line": line.number, "name": name, "value": line.value, "for_whom": None, "managed": line.number in inside}
        for name, line in nccl_conf.settings(lines).items()
    ]
    found = nccl_lint.lint(path, data or b"", node, before)
    return {
        "exists": data is not None,
        "findings": [item for item in found if item["rule"] not in declared["allow"]],
        "settings": settings,
        "nccl_version": "{}.{}".format(*node.version) if node.version else None,
        "gpudirect": gpudirect.ways(machine),
    }


def run(hand: Hand) -> dict:
    """Does what is asked, and returns the module's result."""
    machine, declared = Machine(), kinds_nccl.completed(hand.params)
    given = hand.params["nccl_version"]
    version = tuple(int(part) for part in given.split(".")[:2]) if given else None
    result: dict = {"changed": False, "differences": [], "kept": [], "diff": []}
    text = None
    if declared["settings"] or any(declared[field] is not None for field in ("rails", "address", "topology", "profile")):
        # Whoever only looks need not be root.
        with durable.turn(hand, "nccl_config"):
            result, text = converge(hand, machine, declared, version)
    elif not machine.exists(declared["path"]) and declared["path"] != nccl_conf.PATH:
        hand.fail_json(msg=f"path is {declared['path']!r}, and there is no such file")
    elif not machine.exists(declared["path"]):
        hand.warn(f"There is no {declared['path']}, which NCCL does without. Nothing was looked at.")
    elif nccl_node.content(machine, declared["path"]) is None:
        hand.fail_json(msg=f"{declared['path']} cannot be read. Become root, or see whether it is a file")
    result.update(looked_at(machine, declared, text, version))
    if refused := [item["message"] for item in result["differences"] if item["remedy"] == "manual"]:
        hand.fail_json(msg="\n".join(refused), **result)
    limit = hand.params["fail_on"]
    serious = nccl_findings.SEVERITIES[nccl_findings.SEVERITIES.index(limit):] if limit != "never" else ()
    if failing := [nccl_findings.text(item) for item in result["findings"] if item["severity"] in serious]:
        hand.fail_json(msg="\n".join(failing), **result)
    return result


def invalid(declared: dict) -> str | None:
    """What is wrong with a declaration whatever node it is for: what the linter says of its settings, too."""
    return nccl_declared.invalid(declared)


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Writes what differs."""
    return [change for item in resources for change in converge(hand.holding(item), Machine(), item, None)[0]["diff"]]
