#!/usr/bin/env python
# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run costs that finds every host in its declared state, and what an inventory costs: in CPU time, and as ratios.

The contenders take turns, so that what else the computer does falls on all of them, and only ratios of one run are judged.
Environment: BENCH_HOSTS (16), BENCH_ROUNDS (5), BENCH_STOCK_ROUNDS (2), and BENCH_ONLY: noop or inventory.

The playbook is site.yml itself, in a copy of the collection with one role more (tests/bench/role), because what the roles
of the collection declare is root's, and no loopback host of an ordinary user is in that state. Exit status 1: a count is not what it has to be, or a
ratio misses its target by more than the factor 1.5. See docs/performance.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cpu
import inventories
import yaml
from figures import Figure, Target, figure, net, per_host, ratio, recap, shown, spoilt, table
from hosts import CHECKOUT, HERE, Hosts, Unfit

# PyYAML's own is ten times slower, and not everywhere is the other one built.
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
NOTHING, STOCK_PLAYBOOK = HERE / "nothing.yml", HERE / "stock.yml"
COLLECTION = Path("ansible_collections", "onecc", "cluster")
OUTPUT = CHECKOUT / "build" / "bench.jsonl"
HOSTS = int(os.environ.get("BENCH_HOSTS", "16"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
STOCK_ROUNDS = int(os.environ.get("BENCH_STOCK_ROUNDS", "2"))
ONLY = os.environ.get("BENCH_ONLY", "")
# The targets are those of a cluster of 64 compute and 3 head nodes. With fewer hosts the start-up of Ansible, half a second
# however many there are, would hide what a host costs.
CLUSTER = 67
# Sessions of bare ssh that a round makes to each host: one takes so little that many have to be taken together.
BARE_SESSIONS = 8
PARALLEL = "16"
# Of the sizes of an inventory, how many rounds fit into some minutes: static YAML takes 5 ms a host.
SIZES = {67: 3, 1000: 3, 10000: 1}
# The command, and what it reads: the loader of the checks and the state.
MOST_BYTES = 16 * 1024

BARE, START, OURS, STOCK = "bare ssh", "start-up", "onecc.cluster", "stock tasks"
TARGETS = [
    Target("no-op", "controller: onecc.cluster / bare ssh", most=12, aim=3.5),
    Target("no-op", "controller: stock tasks / onecc.cluster", least=10, aim=40),
    Target("no-op", "node: stock tasks / onecc.cluster", least=40, aim=100),
    Target("counts", "SSH sessions a host: onecc.cluster", most=1, least=1, exact=True),
    Target("counts", "bytes sent a host: onecc.cluster", most=MOST_BYTES, exact=True),
    Target("inventory", "lambda_cloud / static YAML", most=0.25, aim=0.12),
]


def progress(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """As a user of this checkout has it, without what this user has set for other projects."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LAMBDA_", "ONECC_", "BENCH_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # it makes Python compile all of Ansible at each start
    own = {
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return {**kept, **own, **more}


def copy_collection(folder: Path) -> None:
    """Makes a copy of the collection with the bench's role in it, where Ansible finds it. Not links, which Python would follow."""
    copy = folder / COLLECTION
    for part in ("meta", "playbooks", "plugins", "roles"):
        shutil.copytree(CHECKOUT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "role", copy / "roles" / "bench")
    declaration = copy / "plugins" / "plugin_utils" / "_declaration.py"
    text, count = re.subn(r"(?m)^DEFAULT_ROLES = .*$", 'DEFAULT_ROLES = ("bench",)', declaration.read_text())
    if count != 1:
        raise Unfit("The bench cannot make its role the one that site.yml keeps in state.")
    declaration.write_text(text)
    shutil.copy(CHECKOUT / "galaxy.yml", copy)


class Noop:
    """The contenders of a no-op, over one set of hosts."""

    def __init__(self, hosts: Hosts, meter: cpu.Groups | cpu.Processes) -> None:
        self.hosts, self.meter = hosts, meter
        self.cost: dict[str, dict[str, list[float]]] = {}
        self.site = hosts.folder / COLLECTION / "playbooks" / "site.yml"
        (hosts.folder / "addresses").write_text("\n".join([*hosts.addresses.values()] * BARE_SESSIONS) + "\n")

    def measured(self, contender: str, run: Callable[[], int]) -> None:
        """Adds the CPU time of both sides. `run` says between how many its cost is to be divided."""
        before = {side: self.meter.seconds(side) for side in cpu.SIDES}
        divisor = run()
        for side in cpu.SIDES:
            spent = (self.meter.seconds(side) - before[side]) / divisor
            self.cost.setdefault(contender, {}).setdefault(side, []).append(spent)

    def bare(self) -> int:
        """`ssh host true` over the connections that are open, and nothing else: what one round trip costs."""
        command = ["xargs", "-a", str(self.hosts.folder / "addresses"), "-P", PARALLEL, "-I", "{}"]
        command += ["ssh", "-F", str(self.hosts.ssh_config), "-S", f"{self.hosts.sockets}/{{}}", "{}", "true"]
        subprocess.run(self.meter.wrapped("controller", command), check=True, stdin=subprocess.DEVNULL)
        return BARE_SESSIONS

    def playbook(self, playbook: Path, *limit: str, **variables: str) -> int:
        command = ["ansible-playbook", "-i", str(self.hosts.inventory), str(playbook)]
        command += ["--limit", ",".join(limit)] if limit else []
        done = subprocess.run(
            self.meter.wrapped("controller", command), env=environment(self.hosts.folder, **variables), cwd=CHECKOUT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        wrong = spoilt(recap(done.stdout), limit or self.hosts.names) if playbook != NOTHING else []
        if done.returncode or wrong:
            raise Unfit(f"{playbook.name} was no no-op on {', '.join(wrong)}:\n{done.stdout[-4000:]}")
        return 1

    def counted(self, playbook: Path, limit: list[str]) -> tuple[list[int], list[int]]:
        """By host, the sessions and the bytes of a run."""
        sent = self.hosts.folder / "sent"
        sent.write_text("")
        sizes = self.hosts.log_sizes()
        variables = {"ANSIBLE_SSH_EXECUTABLE": str(HERE / "counting-ssh"), "ONECC_BENCH_SENT": str(sent)}
        self.playbook(playbook, *limit, **variables)
        by_host = dict.fromkeys((self.hosts.addresses[host] for host in limit), 0)
        for line in sent.read_text().splitlines():
            address, count = line.split()
            by_host[address] += int(count)
        # A connection whose log says nothing had no session.
        sessions = [*self.hosts.sessions_since(sizes).values()]
        return sessions + [0] * (len(limit) - len(sessions)), list(by_host.values())


def noop(meter: cpu.Groups | cpu.Processes, folder: Path) -> list[Figure]:
    progress(f"starting {HOSTS} hosts on loopback; CPU time by {meter.source}")
    hosts = Hosts(HOSTS, folder, meter)
    try:
        runs = Noop(hosts, meter)
        progress("a first run, after which the checks are on the hosts")
        runs.playbook(runs.site)
        progress("counting sessions and bytes, which also warms up every cache")
        ours = runs.counted(runs.site, hosts.names)
        stock = runs.counted(STOCK_PLAYBOOK, hosts.names[:2])
        runs.playbook(NOTHING)
        for number in range(1, ROUNDS + 1):
            with_stock = number <= STOCK_ROUNDS
            progress(f"round {number} of {ROUNDS}: {BARE}, {START}, {OURS}" + (f", {STOCK} (takes a while)" if with_stock else ""))
            runs.measured(BARE, runs.bare)
            runs.measured(START, lambda: runs.playbook(NOTHING))
            runs.measured(OURS, lambda: runs.playbook(runs.site))
            if with_stock:
                runs.measured(STOCK, lambda: runs.playbook(STOCK_PLAYBOOK))
    finally:
        hosts.close()
    return [*noop_figures(runs.cost), *count_figures(ours, stock)]


def noop_figures(cost: dict[str, dict[str, list[float]]]) -> list[Figure]:
    """Milliseconds of CPU a host, and the ratios that have targets."""
    start = statistics.median(cost[START]["controller"])
    found = [figure("no-op", HOSTS, "controller: start-up, whole run", [1000 * value for value in cost[START]["controller"]], "ms CPU")]
    alike: dict[tuple[str, str], list[float]] = {}
    for side in cpu.SIDES:
        for contender in (BARE, OURS, STOCK):
            if contender not in cost:
                continue
            runs = [1000 * run / HOSTS for run in cost[contender][side]]
            found.append(figure("no-op", HOSTS, f"{side}: {contender}", runs, "ms CPU/host"))
            alike[side, contender] = runs
            if side == "controller" and contender != BARE and HOSTS != CLUSTER:
                runs = [1000 * per_host(run, start, HOSTS, CLUSTER) for run in cost[contender][side]]
                found.append(figure("no-op", HOSTS, f"{side}: {contender}, start-up shared by {CLUSTER}", runs, "ms CPU/host"))
                alike[side, contender] = runs
    pairs = [("controller", OURS, BARE), ("node", OURS, BARE), ("controller", STOCK, OURS), ("node", STOCK, OURS)]
    for side, one, other in pairs:
        if (side, one) in alike:
            value, spread = ratio(alike[side, one], alike[side, other])
            found.append(Figure("no-op", HOSTS, f"{side}: {one} / {other}", round(value, 3), "ratio", round(spread, 3)))
    return found


def count_figures(ours: tuple[list[int], list[int]], stock: tuple[list[int], list[int]]) -> list[Figure]:
    """Of the hosts the one with the most. One that had no session at all shows as a spread."""
    found = []
    for name, counts in ((OURS, ours), (STOCK, stock)):
        for metric, unit, values in zip(("SSH sessions", "bytes sent"), ("sessions", "bytes"), counts):
            found.append(Figure("counts", len(values), f"{metric} a host: {name}", max(values), unit, max(values) - min(values)))
    return found


def inventory(folder: Path) -> list[Figure]:
    """What an inventory adds to a run that does nothing, beside the same data as static YAML."""
    (folder / "empty.yml").write_text("all: {}\n")
    plugin = folder / "1cc.lambda_cloud.yml"
    plugin.write_text("plugin: onecc.cluster.lambda_cloud\n")

    def spent(command: list[str], url: str, output: int = subprocess.DEVNULL) -> tuple[float, bytes]:
        """CPU time of a program that leaves nothing behind, to the microsecond."""
        variables = environment(folder, LAMBDA_API_URL=url, LAMBDA_API_KEY=inventories.KEY)
        # Of an inventory without hosts it warns.
        process = subprocess.Popen(
            command, env=variables, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
        answer = process.stdout.read() if process.stdout else b""
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Unfit(f"{' '.join(command)} ended with {process.returncode}.")
        return usage.ru_utime + usage.ru_stime, answer

    def play(source: Path, url: str) -> float:
        return spent(["ansible-playbook", "-i", str(source), str(NOTHING)], url)[0]

    found = []
    empty: list[float] = []
    for size, rounds in SIZES.items():
        with inventories.served(size) as url:
            static = folder / f"static-{size}.yml"
            listing = ["ansible-inventory", "--list", "--export", "-i"]
            _spent, text = spent([*listing, str(plugin)], url, subprocess.PIPE)
            static.write_text(yaml.dump(inventories.static(json.loads(text)), Dumper=Dumper))
            if size == min(SIZES):
                both = [spent([*listing, str(source), "--yaml"], url, subprocess.PIPE)[1] for source in (plugin, static)]
                if both[0] != both[1]:
                    raise Unfit("The static inventory does not hold the data of the other one.")
            dynamic_runs, static_runs = [], []
            for number in range(1, rounds + 1):
                progress(f"inventory of {size:,}, round {number} of {rounds}")
                empty.append(play(folder / "empty.yml", url))
                dynamic_runs.append(play(plugin, url))
                static_runs.append(play(static, url))
        ours, theirs = net(dynamic_runs, empty), net(static_runs, empty)
        found.append(figure("inventory", size, "lambda_cloud", ours, "s CPU"))
        found.append(figure("inventory", size, "static YAML", theirs, "s CPU"))
        value, spread = ratio(ours, theirs)
        found.append(Figure("inventory", size, "lambda_cloud / static YAML", round(value, 4), "ratio", round(spread, 4)))
    return found


def target_of(item: Figure) -> Target | None:
    """The target of a figure. Of inventories it is set for 1,000 hosts: with fewer, the noise is as great as the figure."""
    if item.bench == "inventory" and item.hosts != 1000:
        return None
    return next((target for target in TARGETS if (target.bench, target.metric) == (item.bench, item.metric)), None)


def report(found: list[Figure], source: str) -> tuple[str, bool]:
    """The table for people, and whether all is well enough."""
    rows = [["", "hosts", "value", "+/-", "unit", "target", "aim", ""]]
    well = True
    for item in found:
        target = target_of(item)
        end = ["", "", ""]
        if target:
            verdict = target.verdict(float(item.value))
            if target.exact and target.most == target.least and item.spread:
                verdict = "FAILED"  # not the same for every host
            well = well and verdict != "FAILED"
            end = [target.words, shown(target.aim), verdict]
        rows.append([f"{item.bench}  {item.metric}", shown(item.hosts), shown(item.value), shown(item.spread), item.unit, *end])
    notes = [
        f"CPU time of no-ops by {source}; of inventories by wait4(2), without that of starting with an empty inventory.",
        "Values are medians over the rounds, +/- is the highest less the lowest; of counts, the host with most.",
        "Ratios of the controller share its start-up between 67 hosts." if HOSTS != CLUSTER else "",
    ]
    return "\n".join([table(rows), "", *filter(None, notes)]), well


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="onecc-bench-"))  # a short path: it holds sockets
    meter = cpu.meter()
    found = [Figure("run", HOSTS, "CPU time of no-ops", meter.source, "")]
    try:
        copy_collection(folder)
        if ONLY in ("", "noop"):
            found += noop(meter, folder)
        if ONLY in ("", "inventory"):
            found += inventory(folder)
    except Unfit as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    finally:
        meter.close()
        shutil.rmtree(folder)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text("".join(item.line() + "\n" for item in found), encoding="utf-8")
    text, well = report(found[1:], meter.source)
    print(f"\n{text}\nThe same as JSON lines: {OUTPUT.relative_to(CHECKOUT)}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
