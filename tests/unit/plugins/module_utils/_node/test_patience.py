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
