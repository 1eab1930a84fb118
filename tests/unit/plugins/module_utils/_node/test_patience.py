# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import patience


def test_an_answer():
    assert patience.within(10, lambda: ["x" * 100_000, 1]) == ["x" * 100_000, 1]


def test_an_error():
    with pytest.raises(FileNotFoundError):
        patience.within(10, lambda: list(os.stat("/no/such/file")))


def test_no_answer():
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        patience.within(0.2, lambda: time.sleep(30))
    assert time.monotonic() - start < 10


def test_a_child_that_dies():
    with pytest.raises(OSError, match="no answer"):
        patience.within(10, lambda: os._exit(1))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_asking_with_a_user_s_rights():
    rights = patience.within(10, lambda: [os.geteuid(), os.getegid(), os.getgroups(), os.getuid()], (54321, 54322))
    assert rights == [54321, 54322, [], 0], "the real user stays root, so that the user cannot end or stop the child"
    with pytest.raises(PermissionError):
        patience.within(10, lambda: os.listdir("/root"), (54321, 54322))
    assert os.geteuid() == 0
