# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What apt and dpkg said here are answers of apt 2.6.1 and dpkg 1.21.22 to a repository of a few packages in each of these conditions."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import apt
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


POLICY = """\
jq:
  Installed: 1.6-2.1+deb12u1
  Candidate: 1.6-2.1+deb12u3
  Version table:
     1.6-2.1+deb12u3 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
        500 http://mirror.example/debian bookworm/main amd64 Packages
     1.6-2.1+deb12u2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
 *** 1.6-2.1+deb12u1 100
        100 /var/lib/dpkg/status
nothing:
  Installed: (none)
  Candidate: (none)
  Version table:
libnccl2:
  Installed: (none)
  Candidate: 2.26.2-1
  Package pin: 2.26.2-1
  Version table:
     2.27.7-1 1001 (phased 20%)
       1001 http://archive.example/ubuntu jammy/main amd64 Packages
     2.26.2-1 -1
         -1 http://archive.example/ubuntu jammy/main amd64 Packages
"""


def test_offers():
    found = apt.offers(POLICY)
    assert {name: (offer.candidate, list(offer.versions)) for name, offer in found.items()} == {
        "jq": ("1.6-2.1+deb12u3", ["1.6-2.1+deb12u3", "1.6-2.1+deb12u2"]), "nothing": (None, []), "libnccl2": ("2.26.2-1", ["2.27.7-1", "2.26.2-1"]),
    }
    assert found["jq"].versions["1.6-2.1+deb12u2"] == ["http://deb.debian.org/debian bookworm/main amd64 Packages"]


SIMULATION = """\
Reading package lists...
The following packages will be REMOVED:
  libnvidia-compute-570-server nvidia-driver-570-server-open
  nvidia-fabricmanager-570
The following held packages will be changed:
  libnccl2
The following packages will be upgraded:
  lambda-stack-cuda
The following packages will be DOWNGRADED:
  libnccl2 libnccl-dev
  libnccl3
1 upgraded, 1 newly installed, 3 downgraded, 2 to remove and 0 not upgraded.
Inst lambda-stack-cuda [0.1.14~22.04.1] (0.1.15~22.04.1 lambdalabs.com:jammy [all]) []
Remv nvidia-driver-570-server-open [570.148.08-0lambda0.22.04.1] []
Purg libnvidia-compute-570-server [570.148.08-0lambda0.22.04.1]
Inst libnvidia-compute-580-server (580.105.08-0lambda0.22.04.1 lambdalabs.com:jammy [all]) []
Inst libnccl2:i386 [2.27.7-1+cuda12.9] (2.26.2-1+cuda12.8 lambdalabs.com:jammy [i386])
Conf lambda-stack-cuda (0.1.15~22.04.1 lambdalabs.com:jammy [all])
"""


def test_a_plan():
    plan = apt.plan(SIMULATION)
    assert plan.downgraded == ["libnccl2", "libnccl-dev", "libnccl3"]
    assert plan.lines() == [
        "lambda-stack-cuda: 0.1.14~22.04.1 -> 0.1.15~22.04.1",
        "libnccl2:i386: 2.27.7-1+cuda12.9 -> 2.26.2-1+cuda12.8",
        "libnvidia-compute-570-server: 570.148.08-0lambda0.22.04.1 -> removed",
        "libnvidia-compute-580-server: none -> 580.105.08-0lambda0.22.04.1",
        "nvidia-driver-570-server-open: 570.148.08-0lambda0.22.04.1 -> removed",
    ]


def test_a_plan_that_does_nothing():
    plan = apt.plan("Reading package lists...\n0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.\n")
    assert (plan.changes, plan.downgraded) == ({}, [])


@pytest.mark.parametrize(("said", "expected"), [
    ("Need to get 13.2 kB/214 kB of archives.\nAfter this operation, 67.6 kB of additional disk space will be used.\n", (13200, 67600)),
    ("Need to get 0 B of archives.\nAfter this operation, 1,024 GB of additional disk space will be used.\n", (0, 1024 * 10**9)),
    ("Need to get 1,234 MB of archives.\nAfter this operation, 12.5 MB disk space will be freed.\n", (1234 * 10**6, 0)),
    ("0 upgraded\n", (0, 0)),
])
def test_space_needed(said, expected):
    assert apt.space_needed(said) == expected


def test_space_missing_says_how_much_there_is(machine, monkeypatch):
    monkeypatch.setattr(apt.preflight, "file_system", lambda _machine, folder: (1 if folder == apt.TARGET else 2, 1000))
    assert apt.space_missing(machine, 400 << 20, 488 << 20) is None
    assert apt.space_missing(machine, 0, 489 << 20) == "/usr: 1000 MiB are free; the packages need 489 MiB, and 512 MiB are kept free"
    monkeypatch.setattr(apt.preflight, "file_system", lambda _machine, _folder: (1, 1000))
    assert apt.space_missing(machine, 400 << 20, 88 << 20) is None
    assert apt.space_missing(machine, 400 << 20, 89 << 20).startswith("/var/cache/apt/archives and /usr: 1000 MiB are free; the packages need 489")


# Locks


def test_nobody_holds_a_lock(machine):
    assert apt.lock_holder(machine) is None
    for lock in apt.LOCKS:
        machine.write(lock, "")
    assert apt.lock_holder(machine) is None


@pytest.mark.parametrize("lock", apt.LOCKS)
def test_the_holder_of_a_lock_is_named(machine, lock):
    for name in apt.LOCKS:
        machine.write(name, "")
    program = "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, machine.path(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        assert apt.lock_holder(machine) == (lock, holder.pid)
        machine.write(f"/proc/{holder.pid}/cmdline", "/usr/bin/python3\0/usr/bin/unattended-upgrade\0")
        assert apt.described(machine, lock, holder.pid) == f"process {holder.pid} (/usr/bin/python3 /usr/bin/unattended-upgrade) holds {lock}"
        holder.stdin.close()
    assert apt.lock_holder(machine) is None
    assert os.path.getsize(machine.path(lock)) == 0


# Causes


WRONG_KEY = """\
W: GPG error: http://127.0.0.1:8765/other jammy InRelease: The following signatures couldn't be verified because the public key is not \
available: NO_PUBKEY AF63A82126FAC8C2
E: The repository 'http://127.0.0.1:8765/other jammy InRelease' is not signed.
"""
TAMPERED = """\
W: GPG error: http://127.0.0.1:8765/tampered jammy InRelease: The following signatures were invalid: BADSIG AFF34318060968FB Repo <repo@example.org>
E: The repository 'http://127.0.0.1:8765/tampered jammy InRelease' is not signed.
"""
EXPIRED = (
    "E: Release file for http://127.0.0.1:8765/expired/dists/jammy/InRelease is expired (invalid since 9d 0h 0min 2s). "
    "Updates for this repository will not be applied.\n"
)
NO_REPOSITORY = "E: The repository 'http://127.0.0.1:8765/nosuch jammy Release' does not have a Release file.\n"
ALTERED_LIST = """\
E: Failed to fetch http://127.0.0.1:8765/tampered/dists/jammy/main/binary-amd64/Packages.gz  File has unexpected size (1201 != 1200). Mirror sync \
in progress? [IP: 127.0.0.1 8765]
   Hashes of expected file:
    - Filesize:1200 [weak]
E: Some index files failed to download. They have been ignored, or old ones used instead.
"""
NOBODY_ANSWERS = """\
W: Failed to fetch http://127.0.0.1:8766/repo/dists/jammy/InRelease  Could not connect to 127.0.0.1:8766 (127.0.0.1). - connect (111: Connection refused)
W: Some index files failed to download. They have been ignored, or old ones used instead.
"""
TWO_KEYS = """\
E: Conflicting values set for option Signed-By regarding source http://archive.example/ubuntu/ jammy: /etc/apt/keyrings/x.asc != /etc/apt/keyrings/y.asc
E: The list of sources could not be read.
"""
GONE = """\
E: Failed to fetch http://127.0.0.1:8765/pool/lambda-stack-cuda_0.1.14%7e22.04.1_all.deb  404  File not found [IP: 127.0.0.1 8765]
E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?
"""
UNMET = """\
The following packages have unmet dependencies:
 lambda-stack-cuda : Depends: nvidia-driver-580-server-open but it is not going to be installed
                     Depends: libnccl2 (>= 2.27) but 2.26.2-1+cuda12.8 is to be installed
E: Unable to correct problems, you have held broken packages.
"""
SCRIPT = """\
broken: cannot be configured
dpkg: error processing package broken (--configure):
 installed broken package post-installation script subprocess returned error exit status 3
Errors were encountered while processing:
 broken
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
FULL = """\
dpkg: error processing archive /var/cache/apt/archives/big_1.0_all.deb (--unpack):
 cannot copy extracted data for './usr/big' to '/usr/big.dpkg-new': failed to write (No space left on device)
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
LOCKED = (
    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (unattended-upgr)\n"
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n"
)


@pytest.mark.parametrize(("said", "words"), [
    (WRONG_KEY, ["http://127.0.0.1:8765/other", "AF63A82126FAC8C2", "not the declared one"]),
    (TAMPERED, ["http://127.0.0.1:8765/tampered", "does not fit its signature"]),
    (EXPIRED, ["http://127.0.0.1:8765/expired/dists/jammy/InRelease", "has expired, 9d 0h 0min 2s ago"]),
    (EXPIRED.replace("expired (invalid since", "not valid yet (invalid for another"), ["is not valid yet", "9d 0h 0min 2s", "timedatectl"]),
    (NO_REPOSITORY, ["no repository at http://127.0.0.1:8765/nosuch"]),
    (ALTERED_LIST, ["Packages.gz is not what the repository's signed list says"]),
    (NOBODY_ANSWERS, ["cannot be fetched", "Connection refused"]),
    (TWO_KEYS, ["http://archive.example/ubuntu/ jammy", "/etc/apt/keyrings/x.asc", "/etc/apt/keyrings/y.asc"]),
    (GONE, ["no longer has http://127.0.0.1:8765/pool/lambda-stack-cuda_0.1.14%7e22.04.1_all.deb", "Make a new lock"]),
    (UNMET, ["do not go together", "Declare those too", "libnccl2 (>= 2.27) but 2.26.2-1+cuda12.8 is to be installed"]),
    (SCRIPT, ["broken: installed broken package post-installation script", "exit status 3", "broken: cannot be configured"]),
    (FULL, ["the disk is full"]),
    (LOCKED, ["process 1234 (unattended-upgr) holds /var/lib/dpkg/lock-frontend"]),
    ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n", ["dpkg was interrupted"]),
    ("E: something {new}\n", ["something {new}"]),
    ("no marks at all\n", ["no marks at all"]),
    ("", ["no message"]),
])
def test_a_cause(said, words):
    cause = apt.cause(f"Reading package lists...\n\n{said}" if said else "")
    assert [word for word in words if word not in cause] == [] and "\n" not in cause


def test_a_name_with_braces_stays_as_it_is():
    assert "{0}{x}" in apt.cause("E: The repository 'http://{0}{x} jammy Release' does not have a Release file.\n")


@given(st.text(max_size=300))
def test_no_text_breaks_it(text):
    apt.cause(text)
    apt.plan(text)
    apt.offers(text)
    apt.space_needed(text)
