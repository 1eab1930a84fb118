# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Finds what is wrong with a configuration file of NCCL: what NCCL reads otherwise than it was meant, and what does not suit
the node. Nothing here reads a machine: the file is bytes, and the node a `Node`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_devices, nccl_syntax, nccl_values, nccl_variables
from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import Assignment, Node, finding, show
from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_variables import TRIMS
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf
from ansible_collections.onecc.cluster.plugins.module_utils._node.nccl_conf import Line

# How alike two names are, from 0 to 1, for one to be taken for a slip of the other: one wrong letter in seven.
ALIKE = 0.85


def lint(file: str, data: bytes, node: Node, before: list[Assignment] | None = None) -> list[dict]:
    """All findings of a file, in the order of its lines. `before` is set before NCCL reads the file, and so wins."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        found = [finding(1, "byte-order-mark", "error", "the file is UTF-16, of which NCCL reads nothing", "save it as ASCII")]
    else:
        lines = nccl_conf.parse(data)
        found = [*_file(data, node), *_lines(lines, node), *_duplicates(lines), *_shadowed(lines, before or [])]
    return [{"file": file, **item} for item in sorted(found, key=lambda item: item["line"])]


def _file(data: bytes, node: Node) -> Iterator[dict]:
    if data.startswith(b"\xef\xbb\xbf"):
        message = "the file begins with a byte order mark, which is part of its first line"
        yield finding(1, "byte-order-mark", "error", message, "save it as ASCII, or as UTF-8 without BOM")
    if b"\r" in data and b"\n" not in data:
        message = "lines end with carriage returns alone, so to NCCL the file is one line"
        yield finding(1, "carriage-return", "error", message, "tr '\\r' '\\n'")
    for number, raw in enumerate(data.split(b"\n"), 1):
        if raw.startswith(b"#") and len(raw) > nccl_conf.PIECE:
            message = f"from NCCL {TRIMS[0]}.{TRIMS[1]} on a line ends after {nccl_conf.PIECE} bytes, and what follows is no comment any more"
            yield finding(number, "line-too-long", "error", message, "begin another line with #")
    if node.mode is not None and not node.mode & 0o004:
        message = f"the file's mode is {node.mode:04o}, so jobs of other users do without it, in silence"
        yield finding(0, "not-readable", "error", message, "set it to 0644")
    if node.mode is not None and node.mode & 0o022:
        message = f"the file's mode is {node.mode:04o}: who may write it chooses what everybody's jobs load (NCCL_NET_PLUGIN)"
        yield finding(0, "writable-by-others", "error", message, "set it to 0644")


def _lines(lines: list[Line], node: Node) -> Iterator[dict]:
    """What is wrong with each line, and then with what was meant by it."""
    read = [nccl_syntax.meant(line, node.version) for line in lines]
    chosen = next((value for name, value, _found in read if name == "NCCL_IB_HCA" and value), None)
    for line, (name, value, found) in zip(lines, read):
        yield from found
        if name:
            yield from _variable(line.number, name, node)
        if name and value is not None:
            yield from _setting(line.number, name, value, node, chosen)


def _duplicates(lines: list[Line]) -> Iterator[dict]:
    first = nccl_conf.settings(lines)
    for line in lines:
        if line.name and first[line.name] is not line:
            counts = first[line.name]
            differs = counts.value != line.value
            message = f"{show(line.name)} is set in line {counts.number} already, and the first line counts"
            yield finding(
                line.number, "duplicate", "error" if differs else "warning",
                message + (f": {show(counts.value)}, not {show(line.value)}" if differs else ""), "keep one of them",
            )


def _shadowed(lines: list[Line], before: list[Assignment]) -> Iterator[dict]:
    for line in nccl_conf.settings(lines).values():
        for item in before:
            if item.name == line.name and item.value != line.value:
                whom = f" in {item.for_whom}" if item.for_whom else ""
                yield finding(
                    line.number, "shadowed", "warning",
                    f"{item.file} line {item.line} comes before this file{whom}, and sets {show(item.name)} to {show(item.value)}",
                    "set it in one place alone",
                )


# Which variable


def _variable(number: int, name: str, node: Node) -> Iterator[dict]:
    """A variable that the node's NCCL does not read."""
    short = _short(name)
    known = nccl_variables.VARIABLES.get(short)
    gone = nccl_variables.GONE.get(short)
    installed = "; installed is {}.{}".format(*node.version) if node.version else ""
    if gone and (node.version or nccl_variables.OLDEST) >= gone:
        successor = nccl_variables.SUCCESSORS.get(short)
        message = f"NCCL has done without {name} since {gone[0]}.{gone[1]}{installed}"
        yield finding(number, "retired-variable", "warning", message, f"use NCCL_{successor}" if successor else "remove the line")
    elif short in nccl_variables.RENAMED:
        message = f"{name} is the name up to NCCL 2.4, which still works"
        yield finding(number, "retired-variable", "warning", message, f"use NCCL_{nccl_variables.RENAMED[short]}")
    elif known and node.version and node.version < known.since:
        message = f"{name} came with NCCL {known.since[0]}.{known.since[1]}{installed}, which passes it over"
        yield finding(number, "newer-variable", "warning", message, "remove the line, or install a newer NCCL")
    elif short in nccl_variables.PYTORCH:
        message = f"{name} is PyTorch's, which looks for it before NCCL reads this file"
        yield finding(number, "foreign-variable", "warning", message, f"set TORCH_{name} in the environment of the jobs")
    elif short == "CONF_FILE":
        message = f"NCCL looks for {name} before it reads a file, so it has no effect in one"
        yield finding(number, "conf-file", "error", message, "set it in the environment of the jobs")
    elif not known and not gone and not short.startswith(nccl_variables.PLUGINS) and not name.startswith(nccl_variables.PLUGIN_LIBRARIES):
        yield _unknown(number, name, node)


def _short(name: str) -> str:
    return name[len("NCCL_"):] if name.startswith("NCCL_") else ""


def _unknown(number: int, name: str, node: Node) -> dict:
    """A name that nobody knows, with the nearest one that NCCL does."""
    names = {f"NCCL_{short}" for short, item in nccl_variables.VARIABLES.items() if not item.gone}
    upper = name.upper()
    likely = [known for known in (upper, f"NCCL_{upper}") if known in names]
    near = likely or difflib.get_close_matches(upper, sorted(names), 1, ALIKE)
    if near:
        return finding(number, "unknown-variable", "error", f"NCCL has no variable {show(name)}", f"did you mean {near[0]}?")
    if name.startswith(nccl_variables.SHARED_LIBRARIES):
        message = f"{show(name)} is not NCCL's: its plugins read it, and not what a job loads before NCCL, such as MPI"
        return finding(number, "foreign-variable", "warning", message, "set it in the environment of the jobs, if it is not for a plugin alone")
    if not name.startswith("NCCL_"):
        message = f"{show(name)} is not NCCL's, which sets it only when it starts: too late for most that read it"
        return finding(number, "foreign-variable", "warning", message, "set it in the environment of the jobs")
    newest = nccl_variables.NEWEST
    if node.version is not None and node.version > newest:
        message = f"{show(name)} is none of the variables up to NCCL {newest[0]}.{newest[1]}, the last that are known here"
        return finding(number, "unknown-variable", "warning", message, "see whether the installed NCCL knows it")
    return finding(number, "unknown-variable", "error", f"NCCL has no variable {show(name)}, and passes it over", "remove the line")


# What is set


def _setting(number: int, name: str, value: str, node: Node, chosen: str | None) -> Iterator[dict]:
    """What is wrong with a value. `chosen` is what the file sets NCCL_IB_HCA to."""
    short = _short(name)
    variable = nccl_variables.VARIABLES.get(short)
    if variable and not value.strip():
        found = nccl_variables.EMPTY.get(short, ("warning", "that is its default"))
        if found is not None:
            message = f"{name} is set to nothing: {found[1]}, and no file that NCCL reads later can set it"
            yield finding(number, "empty-value", found[0], message, "give it a value, or remove the line")
            return
    yield from _debugging(number, name, short, value, node)
    if variable:
        yield from _value(number, name, value, variable, node)
    if short in nccl_variables.ROCE and not (variable and nccl_values.is_default(value, variable)):
        yield from _roce(number, name, short, node, chosen)
    elif short == "IB_HCA":
        yield from nccl_devices.hcas(number, value, node)
    elif short == "SOCKET_IFNAME":
        yield from nccl_devices.interfaces(number, value, node)
    elif short == "TOPO_FILE":
        yield from nccl_devices.topology(number, value, node)


def _debugging(number: int, name: str, short: str, value: str, node: Node) -> Iterator[dict]:
    on = nccl_values.number_read(value)[0] != 0
    if (short == "IB_DISABLE" and on or short == "NET" and value.lower() == "socket") and node.devices != []:
        message = f"{name}={show(value)} takes the RDMA devices from every job"
        yield finding(number, "rdma-off", "error", message, "remove the line, or set it in the environment of one test")
    elif short in nccl_variables.DEBUGGING:
        if not nccl_values.is_default(value, nccl_variables.VARIABLES[short]) and value.upper() not in nccl_variables.QUIET.get(short, ()):
            message = f"{name} is for debugging, and this file sets it for all jobs of all users"
            yield finding(number, "debug-variable", "warning", message, "set it in the environment of one test")


def _value(number: int, name: str, value: str, variable: nccl_variables.Variable, node: Node) -> Iterator[dict]:
    """A value that NCCL reads as another one, or not at all."""
    if found := nccl_values.wrong(value, variable, node.version):
        message, fix, severity = found
        yield finding(number, "bad-value", severity, f"{name}={show(value)}: {message}", fix)


def _roce(number: int, name: str, short: str, node: Node, chosen: str | None) -> Iterator[dict]:
    """RoCE's settings on InfiniBand, or by hand where NCCL finds them."""
    used = [item for item in node.devices or [] if chosen is None or nccl_conf.takes(chosen, item.name, item.port)]
    layers = {item.link_layer for item in used if item.active} or {item.link_layer for item in used}
    if layers == {nccl_devices.INFINIBAND}:
        yield finding(number, "roce-on-infiniband", "warning", f"{name} is for RoCE, and the node has InfiniBand", "remove the line")
    elif layers and short == "IB_GID_INDEX" and (node.version or (0, 0)) >= (2, 21):
        message = "since 2.21 NCCL finds the GID itself; a fixed index is wrong once an address is added or goes"
        yield finding(number, "fixed-gid-index", "warning", message, "remove the line")
