# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import package_set
from ansible_collections.onecc.cluster.plugins.module_utils._node import apt, dpkg
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import debconf_answers
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

DRIVER = "nvidia-driver-570-server-open"
FABRIC = "nvidia-fabricmanager-570"
OLD = "570.124.06-0lambda0.22.04.1"
NEW = "570.148.08-0lambda0.22.04.1"
WRONG_KEY = "W: GPG error: http://x jammy InRelease: … the public key is not available: NO_PUBKEY AF63A82126FAC8C2\n"
GONE = "E: Failed to fetch http://x/pool/a_1.deb  404  Not Found [IP: 127.0.0.1 80]\n"


class Failed(Exception):
    """What fail_json ends a module with."""


class Node(Captured):
    """A node whose apt and dpkg are played: packages with their state, what sources offer, and what the next commands say.

    It does what the simulation said, so that what is compared afterwards is what the module had done. Also the module's half.
    """

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.check_mode = False
        self.params: dict = {}
        self.status: dict[str, tuple[str, str]] = {}
        self.offered: dict[str, list[str]] = {}
        self.after_update: dict[str, list[str]] = {}
        self.says: dict[str, list[tuple[int, str]]] = {}
        self.also = ""
        self.commands: list[str] = []
        self.argv: dict[str, list[str]] = {}
        self.warnings: list[str] = []
        self.write(debconf_answers.DATABASE, "")

    def installed(self, held: bool = True, **packages: str) -> None:
        for name, version in packages.items():
            self.status[name.replace("_", "-")] = ("hold ok installed" if held else "install ok installed", version)
        self.flush()

    def flush(self) -> None:
        self.write(dpkg.STATUS, "".join(
            f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n\n" for name, (state, version) in self.status.items()
        ))

    def converge(self, *packages: dict, debconf: tuple[dict, ...] = (), remove: tuple[str, ...] = (), wait: int = 0,
                 locked: bool = True) -> dict:
        full = [{"version": None, "hold": True, "family": None, "running": "none", **package} for package in packages]
        self.params = {
            "packages": full, "debconf": [{"type": "select", **answer} for answer in debconf], "remove": list(remove), "wait": wait, "locked": locked,
        }
        package_set.complete(self.params)
        self.commands = []
        if wrong := package_set.invalid(self.params):
            raise Failed(wrong)
        return package_set.converge(self)

    def fail_json(self, msg: str, **_fields: object) -> None:
        raise Failed(msg)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def run(self, *argv: str) -> Completed:
        assert argv[:2] == ("apt-cache", "policy")
        return Completed(0, self.policy(list(argv[3:])))

    def run_command(self, argv: list[str], data: str | None = None, environ_update: dict | None = None) -> tuple[int, str, str]:
        assert environ_update["DEBIAN_FRONTEND"] == "noninteractive" and environ_update["LC_ALL"] == "C"
        verb = next(word for word in ("policy", "--simulate", "--print-uris", "install", "update", "--set-selections", "--configure",
                                      "debconf-set-selections") if word in argv)
        self.commands.append(verb)
        self.argv[verb] = argv
        if answers := self.says.get(verb):
            rc, stdout = answers.pop(0)
            return rc, stdout, ""
        return 0, getattr(self, verb.strip("-").replace("-", "_"))(argv, data) or "", ""

    def policy(self, argv: list[str], _data: str | None = None) -> str:
        text = ""
        for name in argv[argv.index("--") + 1:] if "--" in argv else argv:
            versions = self.offered.get(name, [])
            text += f"{name}:\n  Installed: x\n  Candidate: {versions[-1] if versions else '(none)'}\n  Version table:\n"
            text += "".join(f"     {version} 500\n        500 http://x jammy/main amd64 Packages\n" for version in versions)
        return text

    def changes(self, argv: list[str]) -> dict[str, str]:
        chosen = dict(word.split("=") for word in argv[argv.index("--") + 1:] if not word.endswith("-"))
        return {name: version for name, version in chosen.items() if self.status.get(name, ("", ""))[1] != version}

    def simulate(self, argv: list[str], _data: str | None) -> str:
        has = {name: f"[{version}] " for name, (_state, version) in self.status.items()}
        gone = "".join(f"Remv {name} {has[name]}\n" for name in self.gone(argv))
        return self.also + gone + "".join(
            f"Inst {name} {has.get(name, '')}({version} x [amd64])\n" for name, version in self.changes(argv).items()
        )

    def gone(self, argv: list[str]) -> list[str]:
        return [word[:-1] for word in argv[argv.index("--") + 1:] if word.endswith("-")]

    def print_uris(self, _argv: list[str], _data: str | None) -> str:
        return "Need to get 1 kB of archives.\nAfter this operation, 1 kB of additional disk space will be used.\n"

    def install(self, argv: list[str], _data: str | None) -> None:
        for name, version in self.changes(argv).items():
            self.status[name] = ("install ok installed", version)
        for name in self.gone(argv):
            self.status[name] = ("deinstall ok config-files", self.status[name][1])
        self.flush()

    def update(self, _argv: list[str], _data: str | None) -> None:
        self.offered.update(self.after_update)

    def set_selections(self, _argv: list[str], data: str) -> None:
        for line in data.splitlines():
            name, want = line.split()
            self.status[name] = (f"{want} ok installed", self.status[name][1])
        self.flush()

    def configure(self, _argv: list[str], _data: str | None) -> None:
        self.status = {name: (state.rpartition(" ")[0] + " installed", version) for name, (state, version) in self.status.items()}
        for entry in dpkg.journal(self):
            (self.folder / dpkg.JOURNAL[1:] / entry).unlink()
        self.flush()

    def debconf_set_selections(self, _argv: list[str], data: str) -> None:
        _owner, name, _type, value = data.split()
        self.write(debconf_answers.DATABASE, f"Name: {name}\nValue: {value}\n\n")


@pytest.fixture
def node(tmp_path, monkeypatch):
    node = Node(tmp_path)
    monkeypatch.setattr(package_set, "Machine", lambda: node)
    monkeypatch.setattr(package_set, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(apt, "space_missing", lambda _machine, fetch, take: None if (fetch, take) == (1000, 1000) else "too little space")
    node.offered = {DRIVER: [OLD, NEW], FABRIC: [OLD, NEW], "libnccl2": ["1", "2"]}
    return node


def locked(*names: str, version: str | None = NEW) -> list[dict]:
    return [{"name": name, "version": version} for name in names]


def refused(node: Node, *packages: dict, **options: object) -> str:
    """Why the module fails. Nothing was installed or held."""
    with pytest.raises(Failed) as raised:
        node.converge(*packages, **options)
    assert not {"install", "--set-selections"} & set(node.commands)
    return str(raised.value)


def test_a_set_is_installed_once(node):
    result = node.converge(*locked(DRIVER, FABRIC))
    assert result["changed"] and result["changes"] == [f"{DRIVER}: none -> {NEW}", f"{FABRIC}: none -> {NEW}"]
    assert result["diff"]["before"] == f"{DRIVER}: none -> {NEW}\n{FABRIC}: none -> {NEW}\n"
    assert node.commands == ["policy", "--simulate", "--print-uris", "install", "--set-selections"]
    assert node.argv["install"][-2:] == [f"{DRIVER}={NEW}", f"{FABRIC}={NEW}"]
    again = node.converge(*locked(DRIVER, FABRIC))
    assert (again["changed"], again["changes"], node.commands) == (False, [], [])


def test_the_whole_set_is_named_to_apt_whatever_differs(node):
    node.installed(**{DRIVER: NEW, FABRIC: OLD})
    assert node.converge(*locked(DRIVER, FABRIC))["changes"] == [f"{FABRIC}: {OLD} -> {NEW}"]
    assert f"{DRIVER}={NEW}" in node.argv["install"]


def test_what_is_only_not_held_asks_nothing_of_apt(node):
    node.installed(held=False, **{DRIVER: NEW})
    result = node.converge(*locked(DRIVER))
    assert result["changed"] and node.commands == ["--set-selections"] and node.status[DRIVER][0] == "hold ok installed"
    assert node.converge({"name": DRIVER, "hold": False})["changed"] and node.status[DRIVER][0] == "install ok installed"


def test_check_mode_simulates_and_no_more(node):
    node.check_mode = True
    assert node.converge(*locked(DRIVER))["changes"] == [f"{DRIVER}: none -> {NEW}"]
    assert node.commands == ["policy", "--simulate"] and node.status == {}


def test_check_mode_on_a_node_without_the_source(node):
    node.check_mode, node.offered = True, {}
    assert node.converge(*locked(DRIVER))["changes"] == [f"{DRIVER}: none -> {NEW}"]
    assert node.commands == ["policy"] and "cannot be simulated" in node.warnings[0]


def test_lists_are_fetched_only_where_a_version_is_missing(node):
    node.after_update = {"libnccl2": ["1", "2", "3"]}
    assert node.converge({"name": "libnccl2", "version": "3"})["changed"]
    assert node.commands == ["policy", "update", "policy", "--simulate", "--print-uris", "install", "--set-selections"]


def test_a_version_that_nobody_has(node):
    node.says["update"] = [(100, WRONG_KEY)]
    message = refused(node, *locked(DRIVER), {"name": "libnccl2", "version": "3"}, {"name": "nosuch"})
    assert "http://x is signed with the key AF63A82126FAC8C2" in message
    assert "libnccl2 3 (there is 1, 2); nosuch (nor any other version)" in message and "Nothing was changed" in message


def test_lists_that_are_never_fetched(node):
    node.says["update"] = [(124, "Hit:1 http://x jammy InRelease\n")]
    assert "`apt-get update` has not ended in 600 s. No source of packages" in refused(node, {"name": "nosuch"})
    assert node.argv["update"][:3] == ["timeout", "600", "apt-get"]


def test_many_missing_versions_are_not_all_listed(node):
    message = refused(node, *locked(*(f"a{number}" for number in range(9))))
    assert "a4" in message and "a5" not in message and "and 4 more" in message


def test_a_source_that_fails_does_not_matter_where_all_is_there(node):
    node.says["update"] = [(100, WRONG_KEY)]
    assert node.converge({"name": "libnccl2", "version": "newest"})["changes"] == ["libnccl2: none -> 2"]
    assert node.commands[0] == "update"


def test_lists_are_fetched_once(node):
    refused(node, {"name": "libnccl2", "version": "newest"}, {"name": "nosuch"})
    assert node.commands.count("update") == 1
    node.says["install"] = [(100, GONE)]
    with pytest.raises(Failed, match="no longer has"):
        node.converge({"name": "libnccl2", "version": "newest"})
    assert (node.commands.count("update"), node.commands.count("install")) == (1, 1)


def test_a_set_that_does_not_match_is_refused_before_anything(node):
    message = refused(node, {"name": "nvidia-driver-580-server-open", "version": "580.105.08-1"}, {"name": FABRIC, "version": NEW})
    assert "nvidia-driver-580-server-open 580.105.08 and nvidia-fabricmanager-570 570.148.08 do not match" in message
    assert node.commands == []


def test_newest_versions_that_do_not_match_are_refused(node):
    node.offered[FABRIC] = [OLD]
    message = refused(node, *locked(DRIVER, FABRIC, version="newest"))
    assert f"{DRIVER} 570.148.08 and {FABRIC} 570.124.06 do not match" in message and "--simulate" not in node.commands


def test_an_undeclared_version_that_does_not_match_is_refused(node):
    node.installed(**{FABRIC: OLD})
    assert "do not match" in refused(node, {"name": DRIVER, "version": NEW}, {"name": FABRIC})


def test_installed_packages_that_do_not_match_are_left_as_they_are(node):
    node.installed(**{DRIVER: NEW, FABRIC: OLD})
    assert "do not match" in refused(node, *locked(DRIVER, FABRIC, version=None))


def test_without_a_version_the_installed_one_stays_and_the_candidate_is_installed(node):
    node.installed(libnccl2="1")
    node.converge({"name": "libnccl2"}, *locked(DRIVER, version=None))
    assert node.argv["install"][-2:] == ["libnccl2=1", f"{DRIVER}={NEW}"]


@pytest.mark.parametrize(("also", "words"), [
    ("Remv slurmd [23.11] []\n", "would remove slurmd"),
    ("Remv libnvidia-gone-570-server [1]\n", "would remove libnvidia-gone-570-server"),
    ("The following packages will be DOWNGRADED:\n  libc6\nInst libc6 [2.36] (2.35 x [amd64])\n", "would downgrade libc6"),
    ("Inst libnccl2 [1] (2 x [amd64])\n", "would change in spite of its hold libnccl2"),
])
def test_what_would_make_others_suffer_is_refused(node, also, words):
    node.installed(libnccl2="1")
    node.also = also
    message = refused(node, *locked(DRIVER))
    assert words in message and "Nothing was changed" in message
    node.check_mode = True
    assert words in refused(node, *locked(DRIVER))


@pytest.mark.parametrize("also", [
    "Remv nvidia-driver-535-server-open [535] []\n",
    "Inst libnvidia-compute-570-server (1 x [amd64])\nRemv libnvidia-compute-535-server [535]\n",
    "The following packages will be DOWNGRADED:\n  nvidia-utils-570-server\nInst nvidia-utils-570-server [9] (8 x [amd64])\n",
    "Inst nvidia-dkms-570-server-open [9] (8 x [amd64])\n",
    "Inst libc6 [2.35] (2.36 x [amd64])\n",
])
def test_what_belongs_to_the_set_may_change_with_it(node, also):
    node.installed(nvidia_dkms_570_server_open="9")
    node.also = also
    assert node.converge(*locked(DRIVER))["changed"]


def test_the_licence_of_cudnn(node):
    node.offered["libcudnn9"] = ["9.8-0lambda0.22.04.1"]
    cudnn, answer = {"name": "libcudnn9"}, {"name": "cudnn/license_preseed", "owner": "cudnn", "value": "ACCEPT"}
    assert "lambda_stack_accept_cudnn_license" in refused(node, cudnn)
    assert "wants NVIDIA's licence" in refused(node, cudnn, debconf=({**answer, "value": "DECLINE"},))
    node.check_mode = True
    assert node.converge(cudnn, debconf=(answer,))["changed"]
    node.check_mode = False
    assert node.converge(cudnn, debconf=(answer,))["changed"] and node.commands[0] == "debconf-set-selections"


def test_cudnn_of_others_asks_nothing(node):
    node.offered["libcudnn9"] = ["9.8-1"]
    assert node.converge({"name": "libcudnn9"})["changed"]


def test_another_apt_is_waited_for_and_named(node, monkeypatch):
    node.write("/proc/77/cmdline", "unattended-upgrade\0")
    monkeypatch.setattr(apt, "lock_holder", lambda _machine: (apt.LOCKS[0], 77))
    message = refused(node, *locked(DRIVER))
    assert "process 77 (unattended-upgrade) holds /var/lib/dpkg/lock-frontend" in message and node.commands == []
    holders = [(apt.LOCKS[0], 77)] * 3
    monkeypatch.setattr(apt, "lock_holder", lambda _machine: holders.pop() if holders else None)
    assert node.converge(*locked(DRIVER), wait=60)["changed"]
    assert len(node.warnings) == 1 and "process 77 (unattended-upgrade) holds" in node.warnings[0]


def test_an_interrupted_dpkg_is_repaired_first(node):
    node.installed(**{DRIVER: NEW})
    node.status["other"] = ("install ok half-configured", "1")
    node.write(f"{dpkg.JOURNAL}/0001", "")
    assert node.converge(*locked(DRIVER))["changed"]
    assert node.commands[0] == "--configure" and node.status["other"][0] == "install ok installed"


def test_a_package_that_the_server_no_longer_has_is_looked_for_once_more(node):
    node.says["install"] = [(100, GONE)]
    assert node.converge(*locked(DRIVER))["changed"]
    assert node.commands == [
        "policy", "--simulate", "--print-uris", "install", "update", "policy", "--simulate", "install", "--set-selections",
    ]
    node.status.clear()
    node.flush()
    node.says["install"] = [(100, GONE), (100, GONE)]
    with pytest.raises(Failed, match="no longer has http://x/pool/a_1.deb"):
        node.converge(*locked(DRIVER))


def test_too_little_space(node):
    node.says["--print-uris"] = [(1, "Need to get 9 GB of archives.\n")]
    assert "too little space. Nothing was changed" in refused(node, *locked(DRIVER))


def test_an_install_that_did_not_do_it(node):
    node.says["install"] = [(0, "")]
    with pytest.raises(Failed, match=f"said that all went well, and still package {DRIVER} is not installed"):
        node.converge(*locked(DRIVER))


def test_a_driver_that_does_not_run_yet_changes_nothing_and_is_said(node):
    node.write("/proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {dpkg.upstream(OLD)}  Release\n")
    reasons = [f"reboot needed: driver 570.124.06 runs, 570.148.08 is installed ({DRIVER})"]
    assert node.converge(*locked(DRIVER))["reboot_reasons"] == reasons
    again = node.converge(*locked(DRIVER))
    assert (again["changed"], again["reboot_reasons"], node.commands) == (False, reasons, [])


def test_what_is_to_be_removed_goes_in_the_same_transaction(node):
    node.installed(mlnx_ofed_all="24.10-0.7.0.0", libibverbs1="2410mlnx54-1.2410068")
    node.offered = {"doca-ofed": ["3.2.0"]}
    result = node.converge({"name": "doca-ofed", "version": "3.2.0"}, remove=("mlnx-ofed-all", "mlnx-ofed-basic"))
    assert result["changes"] == ["doca-ofed: none -> 3.2.0", "mlnx-ofed-all: 24.10-0.7.0.0 -> removed"]
    assert node.argv["install"][-2:] == ["doca-ofed=3.2.0", "mlnx-ofed-all-"]
    assert [item["name"] for item in result["differences"]] == ["doca-ofed", "mlnx-ofed-all"]
    again = node.converge({"name": "doca-ofed", "version": "3.2.0"}, remove=("mlnx-ofed-all", "mlnx-ofed-basic"))
    assert not again["changed"] and node.commands == []


def test_a_removal_that_takes_others_with_it_is_refused(node):
    node.installed(mlnx_ofed_all="24.10-0.7.0.0", slurmd="23.11")
    node.also = "Remv slurmd [23.11]\n"
    assert "would remove slurmd" in refused(node, remove=("mlnx-ofed-all",))
    assert "install" not in node.commands


@pytest.mark.parametrize("name", ["a;id", "--purge", "a b", ""])
def test_what_is_no_name_is_not_removed(node, name):
    assert "remove: " in refused(node, remove=(name,))
    assert node.commands == []


@pytest.mark.parametrize(("packages", "debconf", "words"), [
    ([{"name": "a;id"}], (), "packages, a;id: name is 'a;id'"),
    ([{"name": "--purge"}], (), "name is '--purge'"),
    ([{"name": "a1", "version": "1 2"}], (), "packages, a1: version is '1 2'"),
    ([], ({"name": "a/b", "owner": "xx", "value": "1\ny z select 2"},), "debconf, a/b: value is"),
    ([], ({"name": "a b", "owner": "x", "value": "1"},), "debconf, a b: name is"),
])
def test_what_is_more_than_a_word_is_refused(node, packages, debconf, words):
    assert words in refused(node, *packages, debconf=debconf)
    assert node.commands == []


# Packages that are only to be there


def test_packages_that_are_not_locked_are_neither_held_nor_let_go(node):
    node.installed(libnccl2="1")
    result = node.converge({"name": DRIVER}, {"name": "libnccl2"}, locked=False)
    assert result["changes"] == [f"{DRIVER}: none -> {NEW}"] and "--set-selections" not in node.commands
    assert node.status["libnccl2"][0] == "hold ok installed" and node.status[DRIVER][0] == "install ok installed"
    assert node.converge({"name": DRIVER}, {"name": "libnccl2"}, locked=False)["changed"] is False and node.commands == []


def test_packages_that_are_not_locked_need_not_match(node):
    assert node.converge({"name": DRIVER, "version": NEW}, {"name": FABRIC, "version": OLD}, locked=False)["changed"]


def test_a_hold_of_somebody_else_is_not_overruled(node):
    node.installed(libnccl2="1")
    assert "in spite of its hold libnccl2" in refused(node, {"name": "libnccl2", "version": "2"}, locked=False)


def test_packages_of_a_node_without_lists_come_from_the_sources_that_answer(node):
    """One of a third party is down, and apt says so and that it failed."""
    node.offered, node.after_update = {}, {"xfsprogs": ["6.1"]}
    update, says = node.update, "W: Failed to fetch http://gone/dists/stable/InRelease  Could not connect to gone:9\nE: Some index files failed\n"

    def partly(argv, data):
        update(argv, data)
        return says

    node.update = partly
    assert node.converge({"name": "xfsprogs"}, locked=False)["changes"] == ["xfsprogs: none -> 6.1"]
    assert "http://gone/dists/stable/InRelease cannot be fetched: Could not connect to gone:9" in refused(node, {"name": "nosuch"}, locked=False)


def test_an_interrupted_dpkg_is_repaired_before_packages_that_are_not_locked(node):
    node.write(f"{dpkg.JOURNAL}/0000", "")
    assert node.converge({"name": "libnccl2"}, locked=False)["changed"]
    assert node.commands[0] == "--configure" and not dpkg.journal(node)


def test_the_newest_version_is_for_locked_packages(node):
    assert "not locked" in refused(node, {"name": "libnccl2", "version": "newest"}, locked=False)


@pytest.mark.parametrize("said", ["", "\n", " \n \n"])
def test_no_message_is_empty(said):
    assert apt.cause(said) == "no message"
