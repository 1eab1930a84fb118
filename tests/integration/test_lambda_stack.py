# SPDX-License-Identifier: GPL-3.0-or-later
"""The role lambda_stack with real apt and dpkg, on packages of the lab that have Lambda's names, versions and dependencies.

Every test starts from a node without them, with the lists of packages that the distribution gives.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import CHECKOUT, HEAD, NODE, Lab, Run, lambda_source

# Sets of the lab's repository, by the version of its metapackage: the newer one of branch 570, and the one of 580.
NEWER, OTHER_BRANCH = "0.1.15~22.04.2", "0.1.16~22.04.1"
METAPACKAGE = "lambda-stack-cuda"
DRIVER = "nvidia-driver-570-server-open"
CHECK = ["nccl", "open_mpi", "pytorch", "tensorflow"]


def package_set(stack: str) -> dict[str, str]:
    """Versions of the metapackage of a set, and of all that it needs, by name."""
    from onecc_lab import debs

    known: dict[str, dict[str, debs.Package]] = {}
    for package in debs.load()["lambda"].packages:
        known.setdefault(package.name, {})[package.version] = package
    found: dict[str, str] = {}
    wanted = [(METAPACKAGE, stack)]
    while wanted:
        name, version = wanted.pop()
        if name in found:
            continue
        found[name] = version
        for relation in known[name][version].value("Depends").split(", "):
            parts = re.fullmatch(r"(\S+)(?: \(= (\S+)\))?", relation)
            if parts and parts[1] in known and (parts[2] or len(known[parts[1]]) == 1):
                wanted.append((parts[1], parts[2] or next(iter(known[parts[1]]))))
    return found


def declared(lab: Lab, packages: dict[str, str], state: str = "", **variables: object) -> tuple[str, ...]:
    """The arguments that declare a set for the compute node."""
    given = {
        "onecc_roles": ["lambda_stack"],
        "lambda_stack_source": lambda_source(lab, state),
        "lambda_stack_packages": [{"name": name, "version": version} for name, version in packages.items()],
        "lambda_stack_accept_cudnn_license": True,
        "lambda_stack_check": CHECK,
        **variables,
    }
    return "--limit", NODE, "-e", json.dumps(given)


def resources(packages: dict[str, str]) -> set[tuple[str, str]]:
    return {("locked_packages", name) for name in packages}


def installed(lab: Lab, node: str = NODE) -> dict[str, str]:
    """Versions of what is installed of the lab's packages."""
    rows = lab.ssh(node, "dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\\n'").splitlines()
    from onecc_lab import debs

    names = {package.name for package in debs.load()["lambda"].packages}
    return {name: version for status, name, version in map(str.split, rows) if status == "installed" and name in names}


CLEAN = """
    rm -rf /etc/onecc-lab/postinst
    dpkg --configure --pending >/dev/null 2>&1 || true
    apt-mark showhold | xargs --no-run-if-empty apt-mark unhold >/dev/null
    dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Maintainer}\\n' |
        awk '/The lab of onecc.cluster/ && $1 != "not-installed" { print $2 }' |
        xargs --no-run-if-empty dpkg --force-all --purge >/dev/null
    rm -f /etc/apt/sources.list.d/other.list /etc/apt/apt.conf.d/99test
    rm -f /etc/apt/sources.list.d/lambda-repository.list /etc/apt/preferences.d/lambda-repository /etc/apt/keyrings/lambda-repository.asc
    rm -f /var/lib/apt/lists/10.0.2.2* /var/cache/apt/archives/*.deb
    mountpoint -q /proc/driver && umount /proc/driver
    true
"""


@pytest.fixture
def bare(lab: Lab) -> Iterator[Lab]:
    """The lab, with a compute node that has none of the packages; and none at the end."""
    lab.ssh(NODE, CLEAN)
    assert installed(lab) == {}
    yield lab
    if lab.machine(NODE).status() != "active":
        lab.boot(NODE)
    lab.ssh(NODE, CLEAN)


def refused(lab: Lab, *arguments: str) -> str:
    """What a site.yml says that fails; nothing of the set was changed."""
    before = installed(lab)
    done = lab.site(*arguments)
    assert done.rc == 2, done.output
    assert installed(lab) == before
    return done.messages(NODE) if done.hosts else done.output


@pytest.mark.thorough
def test_the_lock_of_a_reference_node_on_a_bare_one(bare: Lab, tmp_path: Path) -> None:
    """Installed on one node by hand, read there as a lock, declared for another, and in state in the second run."""
    wanted = package_set(NEWER)
    source = lambda_source(bare)
    chosen = " ".join(f"{name}={version}" for name, version in wanted.items())
    bare.ssh(HEAD, f"""
        cat > /etc/apt/keyrings/reference.asc <<'END'\n{source['key']}END
        echo 'deb [signed-by=/etc/apt/keyrings/reference.asc] {source['url']} jammy main' > /etc/apt/sources.list.d/reference.list
        apt-get update -qq -o Dir::Etc::SourceList=/etc/apt/sources.list.d/reference.list -o Dir::Etc::SourceParts=/dev/null \
            -o APT::Get::List-Cleanup=false
        echo cudnn cudnn/license_preseed select ACCEPT | debconf-set-selections
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y {chosen} >/dev/null
    """)
    assert bare.run("package_lock", "--limit", HEAD, "-e", f"onecc_locks={tmp_path}").rc == 0
    lock = tmp_path / f"{HEAD}.yml"
    assert '"name": "libnccl2", "version": "2.26.2-0lambda0.22.04.1", "architecture": "amd64", "origin": "lambdalabs.com", "hold": false' in lock.read_text()
    bare.ssh(HEAD, f"{CLEAN}\nrm /etc/apt/sources.list.d/reference.list /etc/apt/keyrings/reference.asc")
    # The reference's kernel is not what this is about: its packages are in the lock, and both nodes have them already.
    arguments = declared(bare, {}, lambda_stack_lock=str(lock))
    done = bare.site(*arguments)
    assert done.rc == 0, done.output
    assert done.mended(NODE) >= resources(wanted) and installed(bare) == wanted
    assert set(bare.ssh(NODE, "apt-mark showhold").split()) >= set(wanted)
    again = bare.site(*arguments)
    assert again.rc == 0 and again.status(NODE) == "in_state", again.output
    # Replaced behind our back, by what another repository has of the same name.
    bare.ssh(NODE, f"""
        curl -sf {source['url'].replace('/lambda', '/distribution')}/ubuntu-archive-keyring.asc > /etc/apt/keyrings/other.asc
        echo 'deb [signed-by=/etc/apt/keyrings/other.asc] {source['url'].replace('/lambda', '/distribution')} jammy restricted' \
            > /etc/apt/sources.list.d/other.list
        apt-get update -qq -o Dir::Etc::SourceList=/etc/apt/sources.list.d/other.list -o Dir::Etc::SourceParts=/dev/null \
            -o APT::Get::List-Cleanup=false
        version=$(apt-cache madison openmpi-bin | awk -F ' *[|] *' '/distribution/ {{ print $2; exit }}')
        cd $(mktemp -d)
        apt-get download -qq openmpi-bin=$version libopenmpi3=$version
        dpkg --force-hold --force-depends --install *.deb
    """)
    replaced = {("locked_packages", "openmpi-bin"), ("locked_packages", "libopenmpi3")}
    seen = bare.verify(*arguments)
    assert seen.rc == 2 and seen.drift(NODE) == replaced, seen.output
    done = bare.site(*arguments)
    bare.ssh(NODE, "rm /etc/apt/sources.list.d/other.list /etc/apt/keyrings/other.asc /var/lib/apt/lists/*distribution*")
    assert done.rc == 0 and done.mended(NODE) == replaced and installed(bare) == wanted, done.output


def test_a_set_that_does_not_match_is_refused_before_any_change(lab: Lab) -> None:
    packages = {"nvidia-driver-580-server-open": "580.105.08-0lambda0.22.04.1", "nvidia-fabricmanager-570": "570.148.08-0lambda0.22.04.1"}
    state = "dpkg --get-selections; ls -l --full-time /etc/apt/* /usr/share/keyrings"
    before = lab.ssh(NODE, state)
    done = lab.site(*declared(lab, packages))
    assert done.rc == 2 and "nvidia-driver-580-server-open 580.105.08 and nvidia-fabricmanager-570 570.148.08 do not match" in " ".join(done.output.split())
    assert lab.ssh(NODE, state) == before


@pytest.mark.thorough
def test_another_branch_runs_after_a_reboot(bare: Lab) -> None:
    first, second = package_set(NEWER), package_set(OTHER_BRANCH)
    assert bare.site(*declared(bare, first)).rc == 0
    bare.machine(NODE).cut()  # a driver runs from the next boot on
    bare.boot(NODE)
    done = bare.site(*declared(bare, second))
    assert done.rc == 2 and done.drift(NODE) == {("locked_packages", "nvidia-dkms-580-server-open")}, done.output
    assert "reboot needed: driver 570.148.08 runs, 580.105.08 is installed" in done.messages(NODE)
    found = installed(bare)
    assert {name: found[name] for name in second} == second and DRIVER not in found
    bare.machine(NODE).cut()
    bare.boot(NODE)
    assert bare.verify(*declared(bare, second)).rc == 0


@pytest.mark.thorough
def test_automatic_upgrades_change_nothing_of_the_set(bare: Lab) -> None:
    """With newer versions published, their source allowed, and nothing excluded by name: only the holds are in the way."""
    from onecc_lab import lab as labs

    wanted = package_set(NEWER)
    assert bare.site(*declared(bare, wanted)).rc == 0
    labs.order_state(bare.name, "lambda", "newer")
    try:
        upgraded = bare.ssh(NODE, """
            echo 'Unattended-Upgrade::Origins-Pattern { "origin=lambdalabs.com"; };
            #clear Unattended-Upgrade::Package-Blacklist;' > /etc/apt/apt.conf.d/99test
            apt-get update -qq
            apt-cache policy libnccl2 | grep 'Candidate: 2.2[78]' >/dev/null
            apt-config dump Unattended-Upgrade::Package-Blacklist
            unattended-upgrade --verbose 2>&1 | tail -n 5
            rm /etc/apt/apt.conf.d/99test
        """)
    finally:
        labs.order_state(bare.name, "lambda", "healthy")
    assert "is marked to be held back" in upgraded
    assert installed(bare) == wanted, upgraded
    assert bare.verify(*declared(bare, wanted)).rc == 0


@pytest.mark.thorough
@pytest.mark.parametrize(("state", "words"), [
    ("wrong-key", "which is not the declared one"),
    ("expired", "has expired"),
    ("tampered-release", "does not fit its signature"),
    ("tampered-packages", "is not what the repository's signed list says"),
    ("missing", "the server no longer has"),
])
def test_a_repository_that_is_broken_changes_nothing(bare: Lab, state: str, words: str) -> None:
    message = refused(bare, *declared(bare, package_set(NEWER), state))
    assert f"lambda-{state}" in message and words in message, message


@pytest.mark.thorough
def test_a_version_that_nobody_has_changes_nothing(bare: Lab) -> None:
    message = refused(bare, *declared(bare, {"libnccl2": "2.99.0-0lambda0.22.04.1", "libnvidia-container1": "1.17.4-0lambda0.22.04.1"}))
    assert "libnccl2 2.99.0-0lambda0.22.04.1 (there is " in message and "2.26.2-0lambda0.22.04.1" in message


@pytest.mark.thorough
def test_a_licence_that_nobody_accepted_changes_nothing(bare: Lab) -> None:
    bare.ssh(NODE, "echo PURGE | debconf-communicate cudnn >/dev/null")
    message = refused(bare, *declared(bare, package_set(NEWER), lambda_stack_accept_cudnn_license=False))
    assert "wants NVIDIA's licence of cuDNN to be accepted" in message


@pytest.mark.thorough
def test_a_full_disk_changes_nothing(bare: Lab, tmp_path: Path) -> None:
    alone = tmp_path / "alone.yml"
    alone.write_text("- hosts: onecc\n  become: true\n  roles: [onecc.cluster.lambda_stack]\n")
    # What the preflight asks for is there, and no more.
    bare.ssh(NODE, "fallocate --length $(( ($(df --output=avail --block-size=M / | tail -n 1 | tr -dc 0-9) - 1100) ))M /root/full")
    try:
        assert bare.site(*declared(bare, package_set(NEWER))).rc == 0
        bare.ssh(NODE, f"{CLEAN}\nfallocate --length 600M /root/fuller")
        message = refused(bare, *declared(bare, package_set(NEWER)))
        before = installed(bare)
        # The role alone has no preflight.
        done = bare.run(os.path.relpath(alone.with_suffix(""), CHECKOUT / "playbooks"), *declared(bare, package_set(NEWER)))
        assert installed(bare) == before
    finally:
        bare.ssh(NODE, "rm -f /root/full /root/fuller")
    assert "MiB are free" in message, message
    assert done.rc == 2, done.output
    assert re.search(r"/usr: \d+ MiB are free; the packages need \d+ MiB, and 512 MiB are kept free", " ".join(done.output.split())), done.output


@pytest.mark.thorough
def test_another_apt_is_named_and_waited_for(bare: Lab) -> None:
    holder = "import fcntl, time; file = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(file, fcntl.LOCK_EX); time.sleep({})"
    bare.ssh(NODE, f"systemd-run --quiet --unit=holder python3 -c \"{holder.format(45)}\"; sleep 2")
    done = bare.site(*declared(bare, {"libnccl2": "2.26.2-0lambda0.22.04.1"}, lambda_stack_check=["nccl"]))
    assert done.rc == 0 and "holds /var/lib/dpkg/lock-frontend" in " ".join(done.output.split()), done.output


@pytest.mark.thorough
@pytest.mark.parametrize("package", ["nvidia-dkms-570-server-open", "libnccl2", "python3-torch-cuda"])
def test_a_power_cut_while_a_package_is_configured(bare: Lab, package: str) -> None:
    wanted = package_set(NEWER)
    bare.ssh(NODE, f"mkdir -p /etc/onecc-lab/postinst; echo hang > /etc/onecc-lab/postinst/{package}; sync")
    report = bare.folder / "cut.json"
    process = bare.start("site", *declared(bare, wanted), ONECC_REPORT=str(report))
    try:
        until(lambda: bare.ssh(NODE, f"pgrep --full 'postinst/?.*{package}|{package}.postinst' || true"), process)
        bare.machine(NODE).cut()
    finally:
        process.kill()
        process.communicate()
    bare.boot(NODE)
    bare.ssh(NODE, "rm -r /etc/onecc-lab/postinst")
    assert bare.verify(*declared(bare, wanted)).rc == 2
    done = bare.site(*declared(bare, wanted))
    assert done.rc == 0, done.output
    assert installed(bare) == wanted
    assert bare.ssh(NODE, "dpkg --audit") == ""


def until(condition: Callable[[], str], process: subprocess.Popen, seconds: int = 600) -> None:
    """Waits for a condition while a playbook runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.5)


def test_check_mode_on_a_bare_node(bare: Lab) -> None:
    done: Run = bare.site(*declared(bare, package_set(NEWER)), "--check", "--diff")
    assert done.rc == 0 and "libnccl2: none -> 2.26.2-0lambda0.22.04.1" in done.output, done.output
    assert installed(bare) == {}
