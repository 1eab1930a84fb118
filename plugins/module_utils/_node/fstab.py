# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Lines of fstab(5), which this collection comments out and never deletes."""

from __future__ import annotations

PATH = "/etc/fstab"


def entries(text: str) -> list[str]:
    """The lines that say something, as they stand."""
    return [line for line in text.split("\n") if not line.lstrip().startswith("#")]


def commented(text: str, lines: list[str], remark: str) -> str:
    """The text with these lines commented out, and why."""
    return "\n".join(f"# onecc.cluster {remark}: {line}" if line in lines else line for line in text.split("\n"))
