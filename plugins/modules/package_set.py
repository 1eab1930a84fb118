#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_set
short_description: Brings a set of packages to its declared versions in one transaction of apt
version_added: 0.1.0
description:
  - Installs, upgrades or downgrades the packages of a set all at once, or none of them, and holds them, so that neither
    C(unattended-upgrade) nor an C(apt full-upgrade) changes them.
  - The transaction is simulated first. It is refused where it would remove or downgrade a package that the set does not name, or change one
    that is held. Not among these are packages of a declared family (see O(packages[].family)) that get another version, and those that
    another branch replaces, as C(nvidia-utils-580-server) does C(nvidia-utils-570-server).
  - Packages that belong together, such as the driver, its libraries and the fabric manager, have to be of one version; otherwise nothing is
    changed.
  - Waits for another apt or dpkg, repairs a dpkg that was interrupted, fetches newer lists of packages only where the set cannot be installed from
    those that the node has, and looks that there is enough space.
  - Where apt fails, the message names the cause in a line.
  - Never upgrades anything that the set does not need, installs no recommended packages, keeps changed configuration files, restarts no
    services through needrestart, and never reboots.
options:
  packages:
    description:
      - The set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the package; C(name:architecture) for one of a foreign architecture.
        type: str
        required: true
      version:
        description:
          - Its exact version. V(newest), of locked packages only, is the newest one in the lists of packages. Without it, any installed version
            will do, and where none is installed the newest one is.
        type: str
      hold:
        description: Whether it is held.
        type: bool
        default: true
      family:
        description:
          - All packages of one family have to be of the same upstream version. Without it, a package of NVIDIA's driver, its container toolkit or
            NCCL is recognised by its name. V(none) takes it out of its family.
        type: str
      running:
        description:
          - Says that this package is what has to run. V(driver) compares with C(/proc/driver/nvidia/version), V(kernel) with the running kernel.
            Where it is not, a reboot is needed.
        type: str
        choices: [none, driver, kernel]
        default: none
  debconf:
    description:
      - Answers to questions that packages ask when they are installed, such as the one whether a licence is accepted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the question.
        type: str
        required: true
      owner:
        description: Package that asks it.
        type: str
        required: true
      type:
        description: Type of the question.
        type: str
        choices: [boolean, select, multiselect, string, note, text]
        default: select
      value:
        description: The answer.
        type: str
        required: true
  remove:
    description:
      - Packages that the same transaction removes. Their changed configuration files stay.
    type: list
    elements: str
    default: []
  locked:
    description:
      - Whether the packages are locked to one another and to their versions. V(false) only installs them, with all the rest that is said
        above. Their holds stay as they are, no families are looked at, and nothing has to run.
    type: bool
    default: true
  wait:
    description:
      - How many seconds to wait for another apt or dpkg.
    type: int
    default: 300
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Simulates the transaction with the lists of packages that the node has, and fetches none.
    support: full
  diff_mode:
    description: Shows each package with its old and new version.
    support: full
"""

EXAMPLES = r"""
- name: Keep the driver and what has to match it
  onecc.cluster.package_set:
    packages:
      - name: nvidia-driver-580-server-open
        version: 580.105.08-0lambda0.22.04.1
      - name: nvidia-fabricmanager-580
        version: 580.105.08-1

- name: Install packages and hold none
  onecc.cluster.package_set:
    packages:
      - name: mdadm
      - name: xfsprogs
    locked: false

- name: Install the newest Lambda Stack, having accepted the licence of cuDNN
  onecc.cluster.package_set:
    packages:
      - name: lambda-stack-cuda
        version: newest
    debconf:
      - name: cudnn/license_preseed
        owner: cudnn
        value: ACCEPT
"""

RETURN = r"""
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
changes:
  description: What the transaction did, or would do, a line for each package, also those that others need.
  returned: always
  type: list
  elements: str
  sample: ["libnccl2: 2.26.2-1+cuda12.8 -> 2.27.7-1+cuda12.9"]
reboot_reasons:
  description: Why the node needs a reboot; empty where what is installed runs.
  returned: always
  type: list
  elements: str
  sample: ["reboot needed: driver 570.148.08 runs, 580.105.08 is installed (nvidia-driver-580-server-open)"]
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import apt, dpkg, durable, package_sets
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
# apt gives up on a server that is silent for 30 s. But with two sources on different ports of one host, one of which refuses
# connections, apt 2.6.1 waits for itself for ever. Lists can be given up at any moment; a transaction cannot, and has no limit.
UPDATE_SECONDS = 600
TIMED_OUT = 124  # timeout(1)
# apt's messages of a download that newer lists may mend.
OUTDATED = re.compile(r"Failed to fetch \S+  (404|410|Hash Sum mismatch|File has unexpected size)")


class PackageSet:
    """The steps of a transaction. Each looks before it acts, so a run that was cut is taken up by the next one."""

    def __init__(self, module: AnsibleModule, machine: Machine) -> None:
        self.module = module
        self.machine = machine
        self.packages: list[dict] = module.params["packages"]
        self.names = [package["name"] for package in self.packages]
        self.remove: list[str] = module.params["remove"]
        self.not_updated = ""
        self.updated = False

    def command(self, *argv: str, data: str | None = None) -> tuple[int, str]:
        """Runs a program; its exit status and all that it said."""
        rc, stdout, stderr = self.module.run_command(list(argv), data=data, environ_update=ENVIRONMENT)
        return rc, f"{stdout}\n{stderr}"

    def transact(self, chosen: list[str], option: str) -> tuple[int, str]:
        """The transaction, or with an option what it would be."""
        return self.command("apt-get", *INSTALL, option, "install", "--", *chosen)

    def fail(self, message: str) -> None:
        self.module.fail_json(msg=f"package set: {message}")

    def wait(self) -> None:
        """Waits for other users of apt and dpkg, and says whom it waited for."""
        began = time.monotonic()
        waited_for = None
        while holder := apt.lock_holder(self.machine):
            who = apt.described(self.machine, *holder)
            seconds = int(time.monotonic() - began)
            if seconds >= self.module.params["wait"]:
                self.fail(f"{who}, and has not let go of it for {seconds} s. Nothing was changed. Wait for it to end, and run again")
            waited_for = waited_for or who
            time.sleep(POLL_SECONDS)
        if waited_for:
            self.module.warn(f"Waited {int(time.monotonic() - began)} s, because {waited_for}")

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
                if new and (name in others or not self.module.params["locked"]) and dpkg.held(known.get(name, {}))
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
        accepts = any(package_sets.LICENCE.items() <= answer.items() for answer in self.module.params["debconf"])
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
    return [item["message"] for item in differences if item["field"] == "reboot"]


def foreseen(package_set: PackageSet) -> list[str]:
    """What a transaction would change, as far as the node's lists tell. On a bare node the sources may not even be declared yet."""
    plan, _chosen, wrong = package_set.simulate()
    if plan:
        package_set.refuse(plan)
        package_set.ask_licence(plan)
        return plan.lines()
    package_set.module.warn(f"With the lists of packages that the node has now, this cannot be simulated: {wrong}")
    known = dpkg.packages(package_set.machine, package_set.names)
    return [
        f"{package['name']}: {known.get(package['name'], {}).get('Version') or 'none'} -> {package['version'] or package_sets.NEWEST}"
        for package in package_set.packages
    ]


def converge(module: AnsibleModule) -> dict:
    """Mends what differs, and returns the module's result."""
    machine = Machine()
    differences = differences_of(machine, module.params)
    package_set = PackageSet(module, machine)
    changes: list[str] = []
    to_mend = [item for item in differences if item["field"] != "reboot"]
    to_install = [item for item in to_mend if item["field"] in ("installed", "version", "family", "interrupted", "present")]
    left = differences
    if to_mend and module.check_mode:
        changes = foreseen(package_set) if to_install else []
    elif to_mend:
        package_set.wait()
        package_set.repair()
        if module.params["debconf"]:
            package_set.answer(module.params["debconf"])
        if to_install:
            plan, chosen = package_set.prepare()
            package_set.install(chosen)
            changes = plan.lines()
        if module.params["locked"]:
            package_set.hold()
        left = differences_of(machine, module.params)
        if still := [item["message"] for item in left if item["field"] != "reboot"]:
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "dict", "required": True, "options": package_sets.LOCKED_PACKAGE},
            "debconf": {"type": "list", "elements": "dict", "default": [], "options": package_sets.ANSWER},
            "remove": {"type": "list", "elements": "str", "default": []},
            "locked": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    complete(module.params)
    if wrong := invalid(module.params):
        module.fail_json(msg=f"package set: {wrong}. Nothing was changed")
    with durable.turn(module, "package_set"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
