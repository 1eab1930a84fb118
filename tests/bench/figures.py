# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures, targets, and how both are shown: pure functions over what was measured."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

# A ratio taken on a busy computer may be off by this factor before it counts as a regression.
SLACK = 1.5


@dataclass(frozen=True)
class Figure:
    """A line of build/bench.jsonl. `spread` is the highest less the lowest of the rounds, of which `value` is the median."""

    bench: str
    hosts: int
    metric: str
    value: float | int | str
    unit: str
    spread: float | int | None = None

    def line(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Target:
    """What a figure is to be. `exact` ones are counts, and have no slack."""

    bench: str
    metric: str
    most: float | None = None
    least: float | None = None
    aim: float | None = None
    exact: bool = False

    @property
    def words(self) -> str:
        bound = f"{self.most:g} at most" if self.most is not None else f"{self.least:g} at least"
        return "exactly 1" if self.most == self.least == 1 else bound

    def verdict(self, value: float) -> str:
        if self._holds(value, self.most, self.least):
            return "aim met" if self.aim is not None and self._holds(value, *self._as_bounds(self.aim)) else "met"
        most, least = (bound and bound * factor for bound, factor in ((self.most, SLACK), (self.least, 1 / SLACK)))
        return "missed" if not self.exact and self._holds(value, most, least) else "FAILED"

    def _as_bounds(self, value: float) -> tuple[float | None, float | None]:
        return (value, None) if self.most is not None else (None, value)

    @staticmethod
    def _holds(value: float, most: float | None, least: float | None) -> bool:
        return (most is None or value <= most) and (least is None or value >= least)


def figure(bench: str, hosts: int, metric: str, values: Sequence[float], unit: str) -> Figure:
    """The median of some rounds, with the spread."""
    return Figure(bench, hosts, metric, round(statistics.median(values), 4), unit, round(max(values) - min(values), 4))


def net(values: Sequence[float], start_up: Sequence[float]) -> list[float]:
    """What each round cost beyond the start-up. A start-up is the median of its rounds: the noise of one is not the other's."""
    off = statistics.median(start_up)
    return [max(value - off, 0.0) for value in values]


def per_host(run: float, start_up: float, hosts: int, shared_by: int) -> float:
    """What a run over `hosts` costs each host, were its start-up shared by another number of them."""
    return (run - start_up) / hosts + start_up / shared_by


def ratio(values: Sequence[float], to: Sequence[float]) -> tuple[float, float]:
    """The ratio of two medians, and by how much it could be another with the extremes of both."""
    low, high = min(values) / max(to), max(values) / min(to)
    return statistics.median(values) / statistics.median(to), high - low


def sessions(log: str) -> Counter[str]:
    """Sessions by connection in the log of an sshd (LogLevel VERBOSE). Each host has one connection, open beforehand."""
    return Counter(re.findall(r"^Starting session: .* from \S+ port (\d+) id \d+", log, re.M))


def recap(output: str) -> dict[str, dict[str, int]]:
    """The last table of ansible-playbook: by host, how many tasks ended how."""
    rows = re.findall(r"^(\S+)\s+: (ok=\d+ .*?)\s*$", output.rpartition("PLAY RECAP")[2], re.M)
    return {host: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in rows}


def spoilt(found: Mapping[str, Mapping[str, int]], hosts: Iterable[str]) -> list[str]:
    """Hosts for which a run was not the no-op that it was to be."""
    wrong = ("changed", "failed", "unreachable", "rescued", "ignored")
    return [host for host in hosts if not found.get(host, {}).get("ok") or any(found[host].get(word) for word in wrong)]


def shown(value: float | int | str | None) -> str:
    """A number with the digits that mean something."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first one aligned to the left and the others to the right, below a heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (f"{cell:{'<' if column == 0 else '>'}{widths[column]}}" for column, cell in enumerate(row))
        return "  ".join([first, *rest]).rstrip()

    return "\n".join([line(rows[0]), "  ".join("-" * width for width in widths), *map(line, rows[1:])])
