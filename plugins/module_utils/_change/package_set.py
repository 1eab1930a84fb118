# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Packages: brings a set of packages to its versions in one transaction of apt."""

from __future__ import annotations

import re
import time

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import apt, dpkg, package_sets
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference, mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import debconf_answers, locked_packages, packages
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

ENVIRONMENT = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none"}
# Of a transaction as a whole. What the first three allow is refused after the simulation where the set does not name it.
INSTALL = (
    "--allow-downgrades", "--allow-change-held-packages", "--ignore-hold", "--yes", "--quiet", "--no-install-recommends", "--fix-broken",
    "--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold", "--option=Dpkg::Use-Pty=0",
)
# Of what is missing, so many are named.
NAMED = 5
# Between the look at the locks and apt's own another process may have taken one.
WAITING = "--option=DPkg::Lock::Timeout=30"
POLL_SECONDS = 1.0
# For another apt or dpkg: as long as a run waits for another one (durable.WAIT_SECONDS).
WAIT_SECONDS = 300
# apt gives up on a server that is silent for 30 s. But with two sources on different ports of one host, one of which refuses
# connections, apt 2.6.1 waits for itself for ever. Lists can be given up at any moment; a transaction cannot, and has no limit.
UPDATE_SECONDS = 600
TIMED_OUT = 124  # timeout(1)
# apt's messages of a download that newer lists may mend.
OUTDATED = re.compile(r"Failed to fetch \S+  (404|410|Hash Sum mismatch|File has unexpected size)")


class PackageSet:
    """The steps of a transaction. Each looks before it acts, so a run that was cut is taken up by the next one."""

    def __init__(self, hand: Hand, machine: Machine) -> None:
        self.hand = hand
        self.machine = machine
        self.packages: list[dict] = hand.params["packages"]
        self.names = [package["name"] for package in self.packages]
        self.remove: list[str] = hand.params["remove"]
        self.not_updated = ""
        self.updated = False

    def command(self, *argv: str, data: str | None = None) -> tuple[int, str]:
        """Runs a program; its exit status and all that it said."""
        rc, stdout, stderr = self.hand.run_command(list(argv), data=data, environ_update=ENVIRONMENT)
        return rc, f"{stdout}\n{stderr}"

    def transact(self, chosen: list[str], option: str) -> tuple[int, str]:
        """The transaction, or with an option what it would be."""
        return self.command("apt-get", *INSTALL, option, "install", "--", *chosen)

    def fail(self, message: str) -> None:
        self.hand.fail_json(msg=f"package set: {message}")

    def wait(self) -> None:
        """Waits for other users of apt and dpkg, and says whom it waited for."""
        began = time.monotonic()
        waited_for = None
        while holder := apt.lock_holder(self.machine):
            who = apt.described(self.machine, *holder)
            seconds = int(time.monotonic() - began)
            if seconds >= self.hand.params["wait"]:
                self.fail(f"{who}, and has not let go of it for {seconds} s. Nothing was changed. Wait for it to end, and run again")
            waited_for = waited_for or who
            time.sleep(POLL_SECONDS)
        if waited_for:
            self.hand.warn(f"Waited {int(time.monotonic() - began)} s, because {waited_for}")

    def repair(self) -> None:
        """Has dpkg end what it was interrupted in. What it cannot, the transaction does, or says why not."""
        broken = any(dpkg.present(fields) and dpkg.state(fields) != "installed" for fields in dpkg.packages(self.machine).values())
        if broken or dpkg.journal(self.machine):
            self.command("dpkg", "--force-confdef", "--force-confold", "--configure", "--pending")

    def answer(self, answers: list[dict]) -> None:
        """Preseeds debconf."""
        lines = "".join(f"{answer['owner']} {answer['name']} {answer['type']} {answer['value']}\n" for answer in answers)
        rc, said = self.command("debconf-set-selections", data=lines)
        if rc:
            self.fail(f"debconf-set-selections failed: {apt.cause(said)}")

    def targets(self) -> tuple[dict[str, str], list[str]]:
        """The version that each package is to have, and what there is not."""
        known = dpkg.packages(self.machine, self.names)
        rc, said = self.command("apt-cache", "policy", "--", *self.names)
        if rc:
            self.fail(apt.cause(said))
        offers = apt.offers(said)
        versions, missing = {}, []
        for package in self.packages:
            name = package["name"]
            offer = offers.get(name) or apt.Offer()
            has = known.get(name, {})
            installed = has.get("Version") if dpkg.present(has) else None
            wanted = package["version"]
            if wanted == package_sets.NEWEST:
                wanted = offer.candidate
            elif not wanted:
                wanted = installed or offer.candidate
            if not wanted or wanted not in (installed, *offer.versions):
                there = f"there is {', '.join(offer.versions)}" if offer.versions else "nor any other version"
                missing.append(f"{name} {package['version'] or ''}".rstrip() + f" ({there})")
            else:
                versions[name] = wanted
        return versions, missing

    def simulate(self) -> tuple[apt.Plan | None, list[str], str]:
        """What the transaction would do, the packages with their versions, and what is wrong with it."""
        versions, missing = self.targets()
        if wrong := package_sets.mismatches(self.packages, versions):
            self.fail("; ".join(wrong) + ". Nothing was changed. Declare versions that match")
        if missing:
            more = f"; and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            return None, [], f"No source of packages of this node has {'; '.join(missing[:NAMED])}{more}"
        # apt-get(8), install: a hyphen after a name removes the package.
        chosen = [*(f"{name}={version}" for name, version in versions.items()), *(f"{name}-" for name in present(self.machine, self.remove))]
        rc, said = self.transact(chosen, "--simulate")
        return (None, [], apt.cause(said)) if rc else (apt.plan(said), chosen, "")

    def update(self) -> None:
        """Fetches newer lists of packages. One that cannot be fetched matters only if the set cannot be installed without it."""
        self.wait()
        rc, said = self.command("timeout", str(UPDATE_SECONDS), "apt-get", "--quiet", WAITING, "update")
        self.updated = True
        self.not_updated = apt.cause(said) if re.search(r"^[EW]: ", said, re.MULTILINE) else ""
        if rc == TIMED_OUT:
            self.not_updated = f"`apt-get update` has not ended in {UPDATE_SECONDS} s"

    def prepare(self) -> tuple[apt.Plan, list[str]]:
        """The transaction, from the lists that the node has if it can be."""
        newest = any(package["version"] == package_sets.NEWEST for package in self.packages)
        if newest and not self.updated:
            self.update()
        plan, chosen, wrong = self.simulate()
        if not plan and not self.updated:
            self.update()
            plan, chosen, wrong = self.simulate()
        if not plan:
            self.fail(". ".join(filter(None, (self.not_updated, wrong))) + ". Nothing was changed")
        self.refuse(plan)
        self.ask_licence(plan)
        return plan, chosen

    def refuse(self, plan: apt.Plan) -> None:
        """Stops where others would suffer than the declared packages, those of the same families, and those that are replaced."""
        known = dpkg.packages(self.machine)
        families = {package["family"] for package in self.packages} - {package_sets.NONE}
        stems = {package_sets.stem(name) for name, (_old, new) in plan.changes.items() if new} | set(map(package_sets.stem, self.names))
        removed = [
            name for name, (_old, new) in plan.changes.items()
            if new is None and name not in self.remove and package_sets.stem(name) not in stems
        ]
        others = [
            name for name, (_old, new) in plan.changes.items()
            if new and name not in self.names and package_sets.family_of(name) not in families
        ]
        found = {
            "remove": removed,
            "downgrade": [name for name in others if name in plan.downgraded],
            "change in spite of its hold": [
                name for name, (_old, new) in plan.changes.items()
                if new and (name in others or not self.hand.params["locked"]) and dpkg.held(known.get(name, {}))
            ],
        }
        if would := [f"{what} {', '.join(sorted(names))}" for what, names in found.items() if names]:
            self.fail(
                f"the transaction would {' and '.join(would)}, which the set does not name. Nothing was changed. Declare a version of each "
                "that goes with the set, or remove it yourself"
            )

    def ask_licence(self, plan: apt.Plan) -> None:
        """Stops where cuDNN would ask for its licence to be accepted, and nobody has said so."""
        new = [f"{name} {new}" for name, (old, new) in plan.changes.items()
               if new and not old and re.fullmatch(package_sets.CUDNN, name) and re.fullmatch(package_sets.LAMBDA_VERSION, new)]
        accepts = any(package_sets.LICENCE.items() <= answer.items() for answer in self.hand.params["debconf"])
        if new and not accepts and list(debconf_answers.check(self.machine, [package_sets.LICENCE])):
            self.fail(
                f"{new[0]} wants NVIDIA's licence of cuDNN to be accepted. Nothing was changed. If you accept it, say so (debconf answer "
                f"{package_sets.LICENCE['name']}; lambda_stack_accept_cudnn_license of the role lambda_stack)"
            )

    def install(self, chosen: list[str]) -> None:
        """The transaction itself. Fetches everything before it changes anything."""
        # Not --assume-no: apt asks nothing, and acts, where all that changes is named.
        _rc, said = self.transact(chosen, "--print-uris")
        if missing := apt.space_missing(self.machine, *apt.space_needed(said)):
            self.fail(f"{missing}. Nothing was changed")
        rc, said = self.transact(chosen, WAITING)
        if rc and OUTDATED.search(said) and not self.updated:
            self.update()
            _plan, chosen = self.prepare()
            rc, said = self.transact(chosen, WAITING)
        if rc:
            self.fail(apt.cause(said))

    def hold(self) -> None:
        """Holds what is to be held, and no more than that, among the packages of the set."""
        known = dpkg.packages(self.machine, self.names)
        lines = "".join(
            f"{package['name']} {'hold' if package['hold'] else 'install'}\n" for package in self.packages
            if package["name"] in known and dpkg.held(known[package["name"]]) != package["hold"]
        )
        if lines:
            rc, said = self.command("dpkg", "--set-selections", data=lines)
            if rc:
                self.fail(f"dpkg --set-selections failed: {apt.cause(said)}")


def present(machine: Machine, names: list[str]) -> list[str]:
    """Those of the packages that are there, be it in part."""
    known = dpkg.packages(machine, names)
    return [name for name in names if dpkg.present(known.get(name, {}))]


def differences_of(machine: Machine, params: dict) -> list[dict]:
    to_remove = [
        difference(name, "present", True, False, f"package {name} is installed, and is to be removed") for name in present(machine, params["remove"])
    ]
    kind = locked_packages if params["locked"] else packages
    return [*debconf_answers.check(machine, params["debconf"]), *kind.check(machine, params["packages"]), *to_remove]


def reboot_reasons(differences: list[dict]) -> list[str]:
    return [item["message"] for item in differences if item["remedy"] == "reboot"]


def foreseen(package_set: PackageSet) -> list[str]:
    """What a transaction would change, as far as the node's lists tell. On a bare node the sources may not even be declared yet."""
    plan, _chosen, wrong = package_set.simulate()
    if plan:
        package_set.refuse(plan)
        package_set.ask_licence(plan)
        return plan.lines()
    package_set.hand.warn(f"With the lists of packages that the node has now, this cannot be simulated: {wrong}")
    known = dpkg.packages(package_set.machine, package_set.names)
    return [
        f"{package['name']}: {known.get(package['name'], {}).get('Version') or 'none'} -> {package['version'] or package_sets.NEWEST}"
        for package in package_set.packages
    ]


def converge(hand: Hand) -> dict:
    """Mends what differs, and returns the module's result."""
    machine = Machine()
    differences = differences_of(machine, hand.params)
    package_set = PackageSet(hand, machine)
    changes: list[str] = []
    to_mend = [item for item in differences if item["remedy"] != "reboot"]
    to_install = [item for item in to_mend if item["field"] in ("installed", "version", "family", "interrupted", "present")]
    left = differences
    if to_mend and hand.check_mode:
        changes = foreseen(package_set) if to_install else []
    elif to_mend:
        package_set.wait()
        package_set.repair()
        if hand.params["debconf"]:
            package_set.answer(hand.params["debconf"])
        if to_install:
            plan, chosen = package_set.prepare()
            package_set.install(chosen)
            changes = plan.lines()
        if hand.params["locked"]:
            package_set.hold()
        left = differences_of(machine, hand.params)
        if still := [item["message"] for item in left if item["remedy"] != "reboot"]:
            package_set.fail(f"apt and dpkg said that all went well, and still {'; '.join(still)}")
    words = "".join(f"{line}\n" for line in changes or [item["message"] for item in to_mend])
    return {**mended(to_mend), "changes": changes, "reboot_reasons": reboot_reasons(left), "diff": {"before": words, "after": ""}}


def complete(params: dict) -> None:
    """Completes the packages. Those that are not locked belong to no family."""
    if params["locked"]:
        package_sets.complete(params["packages"])
        return
    for package in params["packages"]:
        package.update(family=package_sets.NONE, running=package_sets.NONE)


def invalid(params: dict) -> str | None:
    """What is wrong with the options beyond their types."""
    if not params["locked"] and any(package["version"] == package_sets.NEWEST for package in params["packages"]):
        return f"version is {package_sets.NEWEST!r} of packages that are not locked; allowed is an exact version, or none at all for any"
    for name in params["remove"]:
        if not re.fullmatch(package_sets.NAME[0], name):
            return f"remove: {name!r}; allowed is {package_sets.NAME[1]}"
    for kind, fields in (("packages", {"name": package_sets.NAME, "version": package_sets.VERSION}),
                         ("debconf", {"name": package_sets.QUESTION, "owner": package_sets.NAME, "value": package_sets.LINE})):
        for item in params[kind]:
            for field, (pattern, allowed) in fields.items():
                if item[field] is not None and not re.fullmatch(pattern, item[field]):
                    return f"{kind}, {item['name']}: {field} is {item[field]!r}; allowed is {allowed}"
    return "; ".join(package_sets.mismatches(params["packages"], package_sets.declared_versions(params["packages"]))) or None


def change(hand: Hand, packages: list[dict], debconf: list[dict], remove: list[str], locked: bool) -> list[dict]:
    """One transaction for the packages of a declaration. Returns a diff in words."""
    params = {"packages": [dict(item) for item in packages], "debconf": debconf, "remove": remove, "locked": locked, "wait": WAIT_SECONDS}
    complete(params)
    if wrong := invalid(params):
        hand.fail_json(msg=f"package set: {wrong}. Nothing was changed")
    return [converge(hand.holding(params))["diff"]]
