# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of logins as pam_limits has them: by rules that are written down here, and by the module itself over generated files."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import tempfile
from pathlib import Path

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import pam
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import given, settings
from hypothesis import strategies as st

ADA = pam.Person("ada", 2001, 2001, frozenset({"ada", "video"}), frozenset({2001, 44}))
ROOT = pam.Person("root", 0, 0, frozenset({"root"}), frozenset({0}))


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def of(machine: Captured, person: pam.Person, item: str = "nofile") -> dict:
    found = pam.limits(pam.limit_lines(machine, {}), person, item)
    return {type_: value for type_, (value, _line) in found.items()}


@pytest.mark.parametrize(("text", "soft", "hard"), [
    ("* - nofile 5\n", 5, 5),
    ("* soft nofile 5\n* hard nofile 7\n* hard nofile 6\n", 5, 6),
    ("ada soft nofile 5\n* soft nofile 9\n", 5, None),
    ("@video soft nofile 5\n* soft nofile 9\n", 5, None),
    ("@video soft nofile 5\nada soft nofile 4\n@video soft nofile 6\n", 4, None),
    ("@wheel soft nofile 5\n", None, None),
    ("2000:3000 soft nofile 5\n:2001 hard nofile 6\n", 5, 6),
    ("2002: soft nofile 5\n@:44 hard nofile 6\n@44:44 soft nofile 7\n", None, 6),
    ("* SOFT NOFILE 5 # so\n#* soft nofile 6\n* soft nofile x\n* both nofile 7\n", 5, None),
    ("% soft nofile 5\n", None, None),
    ("* soft nofile unlimited\n* hard nofile -1\n", float("inf"), float("inf")),
])
def test_who_gets_which_limit(machine, text, soft, hard):
    machine.write(pam.LIMITS, text)
    assert of(machine, ADA) == {key: value for key, value in {"soft": soft, "hard": hard}.items() if value is not None}


def test_root_needs_its_own_lines(machine):
    machine.write(pam.LIMITS, "* - nofile 5\n@root - nofile 6\n")
    assert of(machine, ROOT) == {}
    machine.write(pam.LIMITS, "root - nofile 5\n")
    assert of(machine, ROOT) == {"soft": 5, "hard": 5}


def test_files_are_read_by_the_bytes_of_their_names(machine):
    machine.write(pam.LIMITS, "* - nofile 1\n")
    for number, name in enumerate(("Z.conf", "a.conf", "é.conf", ".b.conf", "zz.txt")):
        machine.write(f"{pam.LIMITS_FOLDER}/{name}", f"* - nofile {number + 2}\n")
    assert of(machine, ADA) == {"soft": 4, "hard": 4}


def test_memory_is_counted_in_kib(machine):
    machine.write(pam.LIMITS, "* - memlock 64\n")
    assert of(machine, ADA, "memlock") == {"soft": 65536, "hard": 65536}


@pytest.mark.parametrize(("domain", "exempt"), [("ada", True), ("@video", True), ("*", False), ("bob", False)])
def test_a_line_that_exempts(machine, domain, exempt):
    machine.write(pam.LIMITS, f"* - nofile 5\n{domain} -\n")
    assert ("exempt" in of(machine, ADA)) is exempt


def test_the_modules_of_a_service(machine):
    machine.write("/etc/pam.d/sshd", "auth required pam_limits.so\n@include common-session\nsession [default=ok success=1] a.so x=1 # y\n-session include b\n")
    machine.write("/etc/pam.d/common-session", "session required pam_unix.so\n@include sshd\n")
    machine.write("/etc/pam.d/b", "session\trequired\tpam_limits.so conf=/etc/l\n")
    found = pam.modules(machine, "sshd", "session")
    assert ["pam_unix.so"] in found and ["a.so", "x=1"] in found and ["pam_limits.so", "conf=/etc/l"] in found


def judge(folder: str, name: str) -> list[int] | None:
    """The limits of nofile that pam_limits itself sets for a login of that name, asked of a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            library = ctypes.CDLL("libpam.so.0")

            class Conversation(ctypes.Structure):
                _fields_ = [("conv", ctypes.c_void_p), ("data", ctypes.c_void_p)]

            handle = ctypes.c_void_p()
            started = library.pam_start_confdir(b"x", name.encode(), ctypes.byref(Conversation()), folder.encode(), ctypes.byref(handle))
            said = library.pam_open_session(handle, 0) if not started else 1
            os.write(writer, json.dumps(None if said else resource.getrlimit(resource.RLIMIT_NOFILE)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text or "null")


VALUES = st.sampled_from(["300", "310", "320", "330", "33x", "y", "340 z"])
LINES = st.lists(st.tuples(
    st.sampled_from(["*", "nobody", "@nogroup", "root", "@root", "65534:", ":65534", "@65534:", "@:65534", "bin", "@bin", "1:2:3", "%", "%nogroup"]),
    st.sampled_from(["soft", "hard", "-", "Hard", "none"]), st.sampled_from(["nofile", "NoFile", "core"]), VALUES,
), max_size=7)


@pytest.mark.skipif(os.getuid() or not os.path.exists("/etc/debian_version"), reason="only root may set limits, and Debian's module is the judge")
@settings(max_examples=25)
@given(LINES, st.sampled_from(["nobody", "root"]))
def test_pam_limits_itself_agrees(lines, name):
    with tempfile.TemporaryDirectory() as folder:
        machine = Captured(Path(folder))
        # Something for both that the process may have: Debian's module gives what nobody speaks of what the first process has.
        base = [("*", "-", "nofile", "320"), ("root", "-", "nofile", "320")]
        file = machine.write(pam.LIMITS, "".join(f"{' '.join(line)}\n" for line in [*base, *lines]))
        machine.write("/x", f"session required pam_limits.so conf={file}\n")
        said = judge(folder, name)
        if said is None:
            pytest.skip("this system has no pam_limits to ask")
        person = ROOT if name == "root" else pam.Person("nobody", 65534, 65534, frozenset({"nogroup"}), frozenset({65534}))
        found = of(machine, person)
        assert said == [min(found["soft"], found["hard"]), found["hard"]]
