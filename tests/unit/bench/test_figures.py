# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def figures():
    sys.path.insert(0, str(BENCH))
    try:
        yield importlib.import_module("figures")
    finally:
        sys.path.remove(str(BENCH))


LOG = """\
Accepted publickey for ops from 127.0.0.1 port 40001 ssh2: ED25519 SHA256:x
Starting session: command for ops from 127.0.0.1 port 40001 id 0
Close session: user ops from 127.0.0.1 port 40001 id 0
Starting session: command for ops from 127.0.0.1 port 40002 id 0
Starting session: command for ops from 127.0.0.1 port 40002 id 1
"""

RECAP = """\
TASK [PLAY RECAP] ***
PLAY RECAP *********************************************************************
bench-001                  : ok=1    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   
bench-002                  : ok=9    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   


DECLARED STATE *****************************************************************
bench-001  in state
"""  # noqa: W291


def test_sessions_are_counted_by_connection(figures):
    assert figures.sessions(LOG) == {"40001": 1, "40002": 2}
    assert not figures.sessions("")


def test_a_run_that_changed_something_was_no_no_op(figures):
    found = figures.recap(RECAP)
    assert found["bench-001"]["ok"] == 1 and found["bench-002"]["changed"] == 1
    assert figures.spoilt(found, ["bench-001", "bench-002", "bench-003"]) == ["bench-002", "bench-003"]
    assert figures.recap("ERROR! no such playbook\n") == {}


def test_a_figure_is_a_median_with_the_width_of_its_rounds(figures):
    found = figures.figure("no-op", 16, "node", [3.0, 1.0, 2.5], "ms")
    assert json.loads(found.line()) == {
        "bench": "no-op", "hosts": 16, "metric": "node", "value": 2.5, "unit": "ms", "spread": 2.0,
    }


def test_start_up_is_taken_off_and_shared(figures):
    assert figures.net([1.5, 0.25], [0.5, 9.0, 0.25]) == [1.0, 0.0]
    assert figures.per_host(run=12.0, start_up=2.0, hosts=10, shared_by=20) == pytest.approx(1.1)
    assert figures.per_host(run=12.0, start_up=2.0, hosts=10, shared_by=10) == pytest.approx(1.2)


def test_a_ratio_is_that_of_the_medians(figures):
    assert figures.ratio([2.0, 4.0, 6.0], [1.0, 2.0]) == (pytest.approx(8 / 3), pytest.approx(5.0))


@pytest.mark.parametrize(("bounds", "value", "verdict"), [
    ({"most": 12, "aim": 3.5}, 3.5, "aim met"),
    ({"most": 12, "aim": 3.5}, 12, "met"),
    ({"most": 12, "aim": 3.5}, 18, "missed"),
    ({"most": 12, "aim": 3.5}, 18.1, "FAILED"),
    ({"least": 40, "aim": 100}, 100, "aim met"),
    ({"least": 40, "aim": 100}, 27, "missed"),
    ({"least": 40, "aim": 100}, 26, "FAILED"),
    ({"most": 1, "least": 1, "exact": True}, 1, "met"),
    ({"most": 1, "least": 1, "exact": True}, 0, "FAILED"),
    ({"most": 1, "least": 1, "exact": True}, 2, "FAILED"),
    ({"most": 16384, "exact": True}, 16385, "FAILED"),
])
def test_verdicts(figures, bounds, value, verdict):
    assert figures.Target("bench", "metric", **bounds).verdict(value) == verdict


@pytest.mark.parametrize(("value", "text"), [(None, ""), (1234567, "1,234,567"), (1234.5, "1,234"), (12.34, "12.3"), (0.1234, "0.12"), ("x", "x")])
def test_numbers_keep_the_digits_that_mean_something(figures, value, text):
    assert figures.shown(value) == text


def test_a_table_is_aligned(figures):
    assert figures.table([["", "n"], ["long", "1"], ["x", "100"]]) == "        n\n----  ---\nlong    1\nx     100"
