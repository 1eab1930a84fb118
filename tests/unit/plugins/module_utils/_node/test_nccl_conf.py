# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NCCL reads: compared with what its libraries put into the environment, and with what their bootstrap found."""

from __future__ import annotations

import re

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_findings, nccl_lint, nccl_variables
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf
from ansible_collections.onecc.cluster.tests.unit.nccl_questions import BOOTSTRAPS, FILES, answers
from hypothesis import given
from hypothesis import strategies as st

DEVICES = [f"mlx5_{i}" for i in range(12)]


def read(data: bytes) -> dict[str, str]:
    return {name: line.value for name, line in nccl_conf.settings(nccl_conf.parse(data)).items()}


@pytest.mark.parametrize(("data", "expected"), [
    (b"", {}),
    (b"A=1\nB=2", {"A": "1", "B": "2"}),
    (b"#A=1\n #B=2\n", {" #B": "2"}),
    (b"A=1\nA=2\n", {"A": "1"}),
    (b"A==mlx5_1=x\n", {"A": "=mlx5_1=x"}),
    (b" A = 1 # x\n", {" A ": " 1 # x"}),
    (b'export A="1"\r\n', {"export A": '"1"\r'}),
    (b"A\nB:1\n=1\n", {}),
    (b"A=x\0y\nB\0=1\n", {"A": "x"}),
    (b"A=\nA=1\n", {"A": ""}),
    (b"\xef\xbb\xbfA=1\nB=\xff\n", {"\ufeffA": "1", "B": "\udcff"}),
    (b"A=" + b"x" * 2000 + b"\n" + b"B" * 2000 + b"=1\n", {"A": "x" * 1023, "B" * 1023: "1"}),
])
def test_parse(data, expected):
    assert read(data) == expected


@pytest.mark.parametrize("version", answers())
def test_it_reads_as_the_library_does(version):
    for name, data in FILES.items():
        if nccl_variables.version(version) >= nccl_variables.TRIMS:
            # What a version reads otherwise than parse() does, the linter says (test_what_versions_read_differently).
            pieces = [line[at:at + nccl_conf.PIECE] for line in data.split(b"\n") for at in range(0, len(line) or 1, nccl_conf.PIECE)]
            data = b"\n".join(re.sub(rb"\r$", b"", piece) for piece in pieces)
        wanted = {name.encode("utf-8", "surrogateescape").decode("latin-1"): value for name, value in read(data).items()}
        wanted = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in wanted.items()}
        assert answers()[version]["files"][name] == wanted, name


def test_what_versions_read_differently():
    """Wherever two libraries disagree, or one cuts, the linter has something against the file."""
    for name, data in FILES.items():
        said = [answer["files"][name] for answer in answers().values()]
        found = {item["rule"] for item in nccl_lint.lint("/etc/nccl.conf", data, nccl_findings.Node())}
        assert all(answer == said[0] for answer in said) or found & {"carriage-return", "line-too-long"}, name


@pytest.mark.parametrize("version", answers())
def test_what_the_bootstrap_takes_is_what_is_said_of_it(version):
    node = nccl_findings.Node(version=nccl_variables.version(version), interfaces=["lo", "none", *(f"none{i}" for i in range(16))], devices=[])
    for name, data in BOOTSTRAPS.items():
        found = {item["rule"] for item in nccl_lint.lint("/etc/nccl.conf", data, node) if item["severity"] == "error"}
        fails = bool(found - {"unsuitable-interface", "bad-value", "bad-list"})
        assert fails != answers()[version]["bootstraps"][name], (name, found)


@pytest.mark.parametrize("version", [version for version, answer in answers().items() if "accepts" in answer])
def test_the_words_are_those_that_the_library_lists(version):
    number = nccl_variables.version(version)
    for name, (sort, *words) in answers()[version]["accepts"].items():
        variable = nccl_variables.VARIABLES[name]
        known = [word for word, _at, since in (word.partition("@") for word in variable.arguments) if not since or nccl_variables.version(since) <= number]
        kinds = {"Boolean": ("bool",), "One of": ("WORDS",), "Comma-separated list of": ("SET,",), "String": ("text", "file", "format")}
        assert variable.kind in kinds[sort] and sorted(known if words else []) == sorted(words), name


def test_lines_have_their_numbers():
    lines = nccl_conf.parse(b"# a\n\nA=1\n \t\nB\n")
    assert [(line.number, line.name, line.value, line.text) for line in lines] == [(3, "A", "1", "A=1"), (5, None, "", "B")]


@given(st.binary(max_size=200))
def test_anything_can_be_read(data):
    for line in nccl_conf.parse(data):
        assert line.text.encode("utf-8", "surrogateescape") in data


@pytest.mark.parametrize(("value", "expected"), [
    ("mlx5_1", ["mlx5_1", "mlx5_10", "mlx5_11"]),
    ("=mlx5_1", ["mlx5_1"]),
    ("=mlx5_1,mlx5_10", ["mlx5_1", "mlx5_10"]),
    ("^mlx5_1", [name for name in DEVICES if not name.startswith("mlx5_1")]),
    ("^=mlx5_1", [name for name in DEVICES if name != "mlx5_1"]),
    ("mlx5", DEVICES),
    ("=mlx5", []),
    ("=mlx5_1:1,mlx5_2:2,mlx5_3::0:1,mlx5_4:x", ["mlx5_1", "mlx5_3"]),
    (",,=mlx5_1", []),
    ("=mlx5_1,", ["mlx5_1"]),
    ("=^mlx5_1", []),
    ("", DEVICES),
    ("^", []),
])
def test_what_a_list_takes(value, expected):
    assert [name for name in DEVICES if nccl_conf.takes(value, name, 1)] == expected


def test_only_the_first_entries_count():
    """32 devices, 16 interfaces."""
    value = "=" + ",".join(f"a{i}" for i in range(40))
    assert [nccl_conf.takes(value, f"a{i}", 1) for i in (31, 32)] == [True, False]
    assert [nccl_conf.takes(value, f"a{i}") for i in (15, 16)] == [True, False]


@given(st.lists(st.fixed_dictionaries({
    "name": st.from_regex(r"NCCL_[A-Z_]{1,9}", fullmatch=True), "value": st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    "reason": st.from_regex(r"[ -~]{1,40}", fullmatch=True),
}), unique_by=lambda item: item["name"], max_size=5))
def test_what_is_written_is_what_is_read(wanted):
    assert read(nccl_conf.render(wanted).encode()) == {item["name"]: item["value"] for item in wanted}
