# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Slurm's way to write down hosts (hostlists) and how they are connected (topology.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import natural

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})", re.ASCII)


def hostlist(names: Iterable[str]) -> str:
    """`node-[1-3,7],x`: numbers at the end of names are compressed, with as many zeros in front as they have."""
    prefixes: dict[tuple[str, int], list[int]] = {}
    plain = []
    for name in sorted(set(names), key=natural):
        found = _NUMBERED.fullmatch(name)
        if not found:
            plain.append(name)
            continue
        # 007 needs its width said, 7 does not: [007-009] and [7-9] are different hosts.
        width = len(found[2]) if found[2].startswith("0") else 0
        prefixes.setdefault((found[1], width), []).append(int(found[2]))
    _join_padded(prefixes)
    lists = [_range(prefix, width, sorted(numbers)) for (prefix, width), numbers in prefixes.items() if numbers]
    return ",".join(sorted([*plain, *lists], key=natural))


def _join_padded(prefixes: dict[tuple[str, int], list[int]]) -> None:
    """010 follows 009, so numbers that are as wide as padded ones of their prefix belong to these."""
    for prefix, width in list(prefixes):
        if width > 1 and (others := prefixes.get((prefix, 0))):
            prefixes[prefix, width] += [number for number in others if len(str(number)) == width]
            prefixes[prefix, 0] = [number for number in others if len(str(number)) != width]


def _range(prefix: str, width: int, numbers: Sequence[int]) -> str:
    runs = [
        [number for _place, number in run] for _key, run in groupby(enumerate(numbers), lambda item: item[1] - item[0])
    ]
    if len(numbers) == 1:
        return f"{prefix}{numbers[0]:0{width}d}"
    return f"{prefix}[{','.join('-'.join(f'{number:0{width}d}' for number in sorted({run[0], run[-1]})) for run in runs)}]"


def topology_conf(pods: Mapping[str, Sequence[str]], unseen: Sequence[str] = ()) -> str:
    """topology.conf for topology/tree, from the nodes by pod; `unseen` are nodes of which nobody knows where they are.

    Slurm's tree has each node below one switch. A node on a rail-optimized fabric is below a leaf for each rail, and it is the
    pod, whose nodes share all of them, that Slurm should keep a job together in.
    """
    lines = ["# Written from what ibnetdiscover showed. A switch here is a pod: nodes that have their leaf switches in common."]
    lines += [f"SwitchName={name} Nodes={hostlist(nodes)}" for name, nodes in pods.items()]
    if len(pods) > 1:
        lines.append(f"SwitchName=spines Switches={hostlist(pods)}")
    if unseen:
        lines.append(f"# Not in the fabric when this was written: {hostlist(unseen)}")
    return "".join(f"{line}\n" for line in lines)
