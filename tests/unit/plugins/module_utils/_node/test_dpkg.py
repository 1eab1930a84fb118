# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def paragraph(name: str, status: str = "install ok installed", version: str = "1.0-1", architecture: str = "amd64") -> str:
    return f"Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\nDescription: about\n Version: 9\n"


def test_every_package_or_those_that_are_named(machine):
    machine.write(dpkg.STATUS, "\n".join(paragraph(name) for name in ("a", "ab", "b")))
    assert list(dpkg.packages(machine)) == ["a", "ab", "b"]
    assert dpkg.packages(machine, ["ab", "c"]) == {"ab": {"Status": "install ok installed", "Architecture": "amd64", "Version": "1.0-1"}}


@pytest.mark.parametrize("text", [None, "", "\n\n\n", "Package:\n", "nonsense"])
def test_a_status_file_that_says_nothing(machine, text):
    if text is not None:
        machine.write(dpkg.STATUS, text)
    assert dpkg.packages(machine, ["a"]) == {}


def test_a_package_of_a_foreign_architecture_has_it_in_its_name(machine):
    machine.write(dpkg.ARCHITECTURES, "amd64\ni386\n")
    machine.write(dpkg.STATUS, "\n".join([paragraph("a"), paragraph("a", "hold ok installed", "2", "i386"), paragraph("b", architecture="all")]))
    found = dpkg.packages(machine, ["a:i386", "b"])
    assert {name: (fields["Version"], dpkg.held(fields)) for name, fields in found.items()} == {
        "a": ("1.0-1", False), "a:i386": ("2", True), "b": ("1.0-1", False),
    }


def test_the_journal_of_an_interrupted_dpkg_counts(machine):
    machine.write(dpkg.STATUS, "\n".join([paragraph("a"), paragraph("b")]))
    machine.write(f"{dpkg.JOURNAL}/0001", paragraph("a", "install ok half-installed"))
    machine.write(f"{dpkg.JOURNAL}/0002", paragraph("a", "install ok unpacked", "2.0"))
    machine.write(f"{dpkg.JOURNAL}/tmp.i", paragraph("b", "install ok half-installed"))
    assert dpkg.journal(machine) == ["0001", "0002"]
    found = dpkg.packages(machine)
    assert (dpkg.state(found["a"]), found["a"]["Version"], dpkg.state(found["b"])) == ("unpacked", "2.0", "installed")


@pytest.mark.parametrize(("version", "upstream"), [
    ("580.105.08-0lambda0.22.04.1", "580.105.08"), ("580.105.08-1", "580.105.08"), ("1:2.5", "2.5"), ("2:1.0-rc1-2", "1.0-rc1"), ("1.0", "1.0"),
])
def test_upstream(version, upstream):
    assert dpkg.upstream(version) == upstream


@given(st.text(max_size=200))
def test_no_text_breaks_it(text):
    class Fixed:
        def text(self, name):
            return text

        def names(self, _directory):
            return ["0001"]

    for fields in dpkg.packages(Fixed()).values():
        dpkg.state(fields)
        dpkg.held(fields)
