# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What the linter of NCCL's configuration knows of a node, and how it says what it finds."""

from __future__ import annotations

from collections import namedtuple

# In the order of their weight: an error is a setting that does not do what it says, or that stops or slows every job.
SEVERITIES = ("warning", "error")

# All rules: about the file, the variable, the value, the node's devices, the topology.
RULES = (
    "byte-order-mark", "carriage-return", "comment", "duplicate", "export", "inline-comment", "line-too-long", "no-equals",
    "no-name", "not-ascii", "nul-byte", "quotes", "several-settings", "shell-syntax", "whitespace",
    "not-readable", "writable-by-others", "shadowed",
    "conf-file", "foreign-variable", "newer-variable", "retired-variable", "unknown-variable",
    "debug-variable", "rdma-off", "fixed-gid-index", "roce-on-infiniband",
    "bad-value", "empty-value",
    "bad-list", "device-down", "ethernet-device", "no-such-device", "no-such-interface", "nothing-taken", "prefix-match",
    "too-many-devices", "unsuitable-interface",
    "topology-address", "topology-file",
)


# A port of an RDMA device; `link_layer` as /sys has it.
Device = namedtuple("Device", "name port link_layer active")

# What is known of the node; None is not known. `version` is NCCL's (major, minor), `interfaces` are names, `pci` is a set of PCI
# addresses in full. `topologies` are the contents of the files that the linted one names, None for one that is not there. `mode` is
# the linted file's.
Node = namedtuple("Node", "version devices interfaces pci topologies mode", defaults=(None,) * 6)

# A variable that is set elsewhere; `for_whom` says in which processes, None for all.
Assignment = namedtuple("Assignment", "file line name value for_whom", defaults=(None,))


def finding(line: int, rule: str, severity: str, message: str, fix: str) -> dict:
    """One finding: what is wrong in line `line` (0 is the file as a whole) and what to do, each in a line."""
    return {"line": line, "rule": rule, "severity": severity, "message": message, "fix": fix}


def text(item: dict) -> str:
    """A finding with its file as one line for a person."""
    place = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
    return f"{place}: {item['severity']}: {item['message']}; {item['fix']} [{item['rule']}]"


def show(value: str) -> str:
    """A value as a message shows it: in one line of ASCII, and not too long."""
    shown = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in shown)
    return shown if len(shown) <= 80 else f"{shown[:60]}... ({len(value)} characters)"
