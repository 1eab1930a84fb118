# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a new virtual environment of ansible-test the pip that comes with Python, so that nothing is downloaded for it."""

from __future__ import annotations

import ensurepip

ensurepip.bootstrap(default_pip=True)
