# SPDX-License-Identifier: GPL-3.0-or-later
"""Every resource of every role is changed behind its back: the comparison names it and only it, and site.yml mends it.

The resources are those of the declarations themselves, so a new role is covered the day it is declared. Round after round,
each seen to add its resources and no others to what differs; then one run mends them all, and no others.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from conftest import CHECKOUT, NODE, Lab, lambda_source

USER = {"name": "ada", "uid": 2001, "sudo": True, "keys": ["ssh-ed25519 " + "A" * 68 + " ada@laptop"]}
# Of the lab's repository, and such that nothing else that is declared depends on them.
LOCKED = {"libnccl2": "2.26.2-0lambda0.22.04.1", "libcudart12": "12.8.90~12.8.1-0lambda0.22.04.1", "libopenmpi3": "4.1.7-0lambda0.22.04.1"}


# All that there are, in their order; also those that are not kept in state unasked.
PLACES = {path.parents[1].name: yaml.safe_load(path.read_text(encoding="utf-8"))["order"] for path in CHECKOUT.glob("roles/*/meta/onecc.yml")}
ROLES = sorted(PLACES, key=PLACES.get)


@functools.lru_cache
def variables(lab: Lab) -> dict:
    perftest = lab.ssh(NODE, "dpkg-query --show --showformat '${Version}' perftest")
    return {
        "onecc_roles": ROLES,
        "base_users": [USER],
        "base_swap": "none",
        # The lab's rails are soft-RoCE.
        "onecc_rails": {"link_layer": "Ethernet", "count": 2},
        "ofed_provider": "inbox",
        "ofed_replace": ["mlnx_ofed"],
        "ofed_packages": [{"name": "perftest", "version": perftest}],
        "lambda_stack_source": lambda_source(lab),
        "lambda_stack_packages": [{"name": name, "version": version} for name, version in LOCKED.items()],
        "lambda_stack_accept_cudnn_license": True,
        "lambda_stack_check": ["nccl"],
    }


def packages(name: str, **_rest: object) -> Iterator[str]:
    # As a power loss leaves it. Removed, it would take with it what other resources name.
    yield f"sed -i '/^Package: {name}$/,/^$/s/^Status: install ok installed/Status: install ok half-configured/' /var/lib/dpkg/status"


def debconf_answers(name: str, owner: str, **_rest: object) -> Iterator[str]:
    yield f"echo {owner} {name} select DECLINE | debconf-set-selections"
    yield f"sed -i '/^Name: {name.replace('/', '.')}$/,/^$/d' /var/cache/debconf/config.dat"


def foreign(name: str) -> str:
    """An empty package of that name, of no source."""
    return f"""
        mkdir -p /tmp/{name}/DEBIAN
        printf 'Package: {name}\\nVersion: 99\\nArchitecture: amd64\\nMaintainer: x\\nDescription: x\\n' > /tmp/{name}/DEBIAN/control
        dpkg-deb --build /tmp/{name} >/dev/null
        dpkg --force-hold --install /tmp/{name}.deb
        rm -r /tmp/{name} /tmp/{name}.deb
    """


def locked_packages(name: str, **_rest: object) -> Iterator[str]:
    yield f"apt-mark unhold {name}"
    yield f"dpkg --force-hold --remove {name}"
    yield foreign(name)


def ofed_providers(**_rest: object) -> Iterator[str]:
    yield foreign("mlnx-ofed-all")


def kernel_modules(name: str, file: str, **_rest: object) -> Iterator[str]:
    yield f"rm {file}"
    if name != "ib_uverbs":  # soft-RoCE needs it
        yield f"rmmod {name}"


def sysctls(name: str, value: str, file: str, **_rest: object) -> Iterator[str]:
    yield f"sysctl -qw {name}={int(value) - 1}"
    yield f"rm {file}"


def limits(files: list[dict], **_rest: object) -> Iterator[str]:
    yield f"rm {files[1]['path']}; systemctl daemon-reexec"
    yield f"echo '* - core 0' >> {files[0]['path']}"


def directories(path: str, **_rest: object) -> Iterator[str]:
    yield f"chmod 0711 {path}"
    yield f"chown 1000:1000 {path}"


def files(path: str, unit: str | None, stamp: str = "", **_rest: object) -> Iterator[str]:
    yield f"echo '# changed' >> {path}"
    yield f"rm {path}"
    yield f"chmod 0600 {path}"
    if unit:
        yield f"touch {path}; rm -f {stamp}"


def blocks(path: str, **_rest: object) -> Iterator[str]:
    yield f"sed -i 's/^# BEGIN onecc.cluster$/&\\n192.0.2.1 elsewhere/' {path}"
    yield f"sed -i '/^# BEGIN onecc.cluster$/,/^# END onecc.cluster$/d' {path}"


def arrays(name: str, **_rest: object) -> Iterator[str]:
    yield "sed -i /^ARRAY/d /etc/mdadm/mdadm.conf"
    yield f"rm /var/lib/onecc/nvme_raid/{name}.json"
    yield "touch /etc/mdadm/mdadm.conf"


def mounts(path: str, **_rest: object) -> Iterator[str]:
    yield f"umount {path}"
    yield f"sed -i 's/^Options=/&ro,/' /etc/systemd/system/$(systemd-escape --path --suffix=mount {path})"
    yield f"systemctl disable $(systemd-escape --path --suffix=mount {path})"


def users(name: str, **_rest: object) -> Iterator[str]:
    yield f"truncate --size 0 /etc/ssh/onecc/{name}"
    yield f"rm /etc/sudoers.d/onecc-{name}"
    yield f"usermod --expiredate 1 {name}"


def nccl_configs(path: str, profile: str, **_rest: object) -> Iterator[str]:
    yield f"sed -i 's/^NCCL_IB_HCA==/NCCL_IB_HCA=/' {path}"
    yield f"rm {path}"
    yield f"sed -i /UCX/d {profile}"


def units(name: str, **_rest: object) -> Iterator[str]:
    yield f"systemctl stop {name}"
    yield f"systemctl disable {name}"


def smoke_tests(name: str, **_rest: object) -> Iterator[str]:
    yield f"rm /var/lib/onecc/smoke_tests/{name}"
    yield f"echo >> /var/lib/onecc/smoke_tests/{name}"
    yield f"truncate --size 0 /var/lib/onecc/smoke_tests/{name}"


def swaps(**_rest: object) -> Iterator[str]:
    make = "fallocate --length 16M /swapfile; chmod 0600 /swapfile; mkswap -q /swapfile"
    yield f"{make}; swapon /swapfile"
    yield f"{make}; echo '/swapfile none swap sw 0 0' >> /etc/fstab"


# By kind: the ways to change a resource. A kind without one fails the test below.
CHANGES = {
    change.__name__: change
    for change in (
        packages, debconf_answers, locked_packages, ofed_providers, kernel_modules, sysctls, limits, directories, files, blocks, arrays,
        mounts, users, nccl_configs, units, smoke_tests, swaps,
    )
}

# Kinds that nothing mends. test_rails.py changes them.
UNMENDED = ("rails",)


def extra(lab: Lab) -> tuple[str, ...]:
    return "-e", json.dumps(variables(lab))


def resources(lab: Lab) -> list[tuple[str, str, list[str]]]:
    """Kind, name and ways to change it, of all that is declared for the node, which has no hardware for RDMA and no GPUs."""
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "tests/integration/declared.py"), NODE, json.dumps(variables(lab))],
        cwd=CHECKOUT, env=lab.environ, check=True, capture_output=True, text=True,
    )
    return [
        (kind, item.get("name") or item["path"], list(CHANGES[kind](**item)))
        for state in json.loads(done.stdout).values()
        for kind, items in state.items() if kind not in UNMENDED
        for item in items
        if item.get("where") in (None, "all", "rdma", "timesyncd")
    ]


def change_all(lab: Lab, rounds: list[list[tuple[str, str, str]]]) -> None:
    """Makes the changes, and sees after each round that what differs are the resources changed so far and no others."""
    first = lab.site("--limit", NODE, *extra(lab))
    assert first.rc == 0, first.output
    changed = set()
    for chosen in rounds:
        scripts = "\n".join(script for _kind, _name, script in chosen)
        lab.ssh(NODE, scripts)
        changed |= {(kind, name) for kind, name, _script in chosen}
        seen = lab.verify("--limit", NODE, *extra(lab))
        assert seen.rc == 2 and seen.drift(NODE) == changed, f"{seen.drift(NODE) ^ changed} after `{scripts}`:\n{seen.output}"
    done = lab.site("--limit", NODE, *extra(lab))
    assert done.rc == 0, done.output
    assert done.mended(NODE) == changed
    again = lab.verify("--limit", NODE, *extra(lab))
    assert again.rc == 0, again.output


def test_every_role_with_a_declaration_is_here() -> None:
    assert sorted(ROLES) == sorted(path.parent.name for path in (CHECKOUT / "roles").glob("*/state.yml"))


def test_each_resource_is_named_and_mended(lab: Lab) -> None:
    """Each in one way, in each round one of each kind; resources of a kind take turns at the ways there are."""
    rounds: dict[int, list] = {}
    turns: dict[str, int] = {}
    for kind, name, scripts in resources(lab):
        turn = turns[kind] = turns.get(kind, -1) + 1
        rounds.setdefault(turn, []).append((kind, name, scripts[turn % len(scripts)]))
    change_all(lab, list(rounds.values()))


@pytest.mark.thorough
@pytest.mark.parametrize("way", range(4))
def test_each_resource_in_every_way(lab: Lab, way: int) -> None:
    """One after the other. A resource with fewer ways sits out."""
    change_all(lab, [[(kind, name, scripts[way])] for kind, name, scripts in resources(lab) if len(scripts) > way])


def test_who_is_taken_off_the_list_is_out(lab: Lab, tmp_path) -> None:
    """With a key that works before and no longer does after, and with one of the user's own too."""
    key = tmp_path / "ada"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@laptop", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    declared = ("-e", json.dumps({"base_users": [{**USER, "keys": [public]}]}))
    assert lab.site("--limit", NODE, *declared).rc == 0
    own = f"install -d -m 700 -o ada -g ada ~ada/.ssh; echo '{public}' > ~ada/.ssh/authorized_keys; chown ada: ~ada/.ssh/authorized_keys"

    def log_in() -> int:
        # From the node to itself: the way there is not what this is about.
        return int(lab.ssh(NODE, f"""
            umask 077; cat > /root/ada <<'END'\n{key.read_text()}END
            ssh -i /root/ada -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ada@127.0.0.1 sudo -n id -u \
                >/dev/null 2>&1 && echo 0 || echo $?
            rm /root/ada
        """))

    assert log_in() == 0
    lab.ssh(NODE, own)
    nobody = ("-e", json.dumps({"base_users": []}))
    without = lab.verify("--limit", NODE, *nobody)
    assert without.drift(NODE) == {("users", "ada")} and "ada is not declared" in without.messages(NODE)
    done = lab.site("--limit", NODE, *nobody)
    assert done.rc == 0, done.output
    assert done.mended(NODE) == {("users", "ada")}
    assert log_in() != 0
    assert lab.verify("--limit", NODE).rc == 0
