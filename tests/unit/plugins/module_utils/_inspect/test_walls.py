# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a comparison takes to each node needs nothing of what looks deeper, and so can leave it at home."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.onecc.cluster.plugins.module_utils._node import machine


def test_nothing_that_travels_imports_what_stays():
    travelling = Path(machine.__file__).parent
    assert [path.name for path in sorted(travelling.rglob("*.py")) if "_inspect" in path.read_text()] == []
