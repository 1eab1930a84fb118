# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NCCL reads. The expectations are those of libnccl.so.2 of 2.26.5, seen in the environment after ncclGetUniqueId()."""

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf
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


def test_only_the_first_32_entries_count():
    value = "=" + ",".join(f"a{i}" for i in range(40))
    assert [nccl_conf.takes(value, f"a{i}") for i in (31, 32)] == [True, False]


@given(st.lists(st.fixed_dictionaries({
    "name": st.from_regex(r"NCCL_[A-Z_]{1,9}", fullmatch=True), "value": st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    "reason": st.from_regex(r"[ -~]{1,40}", fullmatch=True),
}), unique_by=lambda item: item["name"], max_size=5))
def test_what_is_written_is_what_is_read(wanted):
    assert read(nccl_conf.render(wanted).encode()) == {item["name"]: item["value"] for item in wanted}
