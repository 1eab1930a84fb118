# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the lab's tests import the lab."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
