# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the lab's tests import the lab."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cuts", type=int, default=3, help="power cuts and boots in a row of one node")
