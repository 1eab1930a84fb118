# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""How a check says what differs."""

from __future__ import annotations


def difference(name: str, field: str, is_: object, should: object, message: str, remedy: str = "apply") -> dict:
    """One difference of the resource `name`: its `field` is `is_` and should be `should`; `message` says so in a line.

    `remedy` is what takes the difference away: "apply" (converge does), "reboot", or "manual", where to mend it would destroy
    something that the declared state does not name, or takes a person, such as a cable.
    """
    return {"name": name, "field": field, "is": is_, "should": should, "message": message, "remedy": remedy}


def mended(differences: list[dict]) -> dict:
    """What a module returns that mended these, or in check mode would: `changed`, `differences` and a `diff` in words."""
    words = "".join(item["message"] + "\n" for item in differences)
    return {"changed": bool(differences), "differences": differences, "diff": {"before": words, "after": ""}}
