# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The one place where what a node says is taken in. A node is not trusted: a user on it, or whoever broke into it, may have written it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

BYTES = 32 * 2**20
"""Most that is read of an answer: ten thousand differences of 3 KB."""
DIFFERENCES = 10_000
"""Most differences of a node. The default roles declare some forty resources, a lockfile of a whole system some thousands."""
TEXT = 2_000
"""Most characters of a text, of which a person reads one line."""
SAID = 500
"""Most characters that are shown of output that is no answer."""
SHOWN = 2**20
"""Most characters of a file that are shown in a diff. Those that roles declare have some KB."""
WARNINGS = 100
"""Most warnings of a change that are shown; a kind gives one or none for a resource."""
DEPTH = 8
"""Deepest nesting of the value of a field; those of the checks are lists of texts."""

TEXTS = ("kind", "name", "field", "message", "remedy")
REMEDIES = ("apply", "reboot", "manual")
DIFF_TEXTS = ("before_header", "after_header", "before", "after")
PROBLEM_TEXTS = ("field", "message")


class NotAnAnswer(Exception):
    """What a node said is no answer; the message says why, in a line."""


def printable(text: str, most: int = TEXT) -> str:
    """A text on one line, with nothing that acts on a terminal, and not endless."""
    shown = "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in text[:most])
    return shown + ("…" if len(text) > most else "")


def said(text: str) -> str:
    """The beginning of what a node printed that is no answer, for a message."""
    return printable(text.strip(), SAID) or "nothing"


def differences(answer: Any, roles: Iterable[str]) -> dict[str, list[dict]]:
    """The differences by role, of exactly the roles that were asked for. Raises NotAnAnswer."""
    if not isinstance(answer, dict) or set(answer) != set(roles):
        raise NotAnAnswer("it names other roles than were asked for")
    if not all(isinstance(items, list) for items in answer.values()):
        raise NotAnAnswer("it has something else than lists of differences")
    if (count := sum(map(len, answer.values()))) > DIFFERENCES:
        raise NotAnAnswer(f"it has {count} differences, and no node has more than {DIFFERENCES}")
    return {role: [_item(item, TEXTS) for item in answer[role]] for role in roles}


def outcome(answer: Any, roles: list[str]) -> dict[str, Any]:
    """What a change did: differences by role before it and of those the ones it took away, diffs, warnings, and why it failed."""
    fields = {"before": dict, "done": dict, "diff": list, "warnings": list, "failed": str}
    if not isinstance(answer, dict) or any(not isinstance(answer.get(field), type_) for field, type_ in fields.items()):
        raise NotAnAnswer(f"it has not {', '.join(fields)} as they are")
    if not set(answer["before"]) == set(answer["done"]) <= set(roles):
        raise NotAnAnswer("it names other roles than were asked for")
    if not all(isinstance(item, dict) for item in answer["diff"]) or len(answer["diff"]) > DIFFERENCES:
        raise NotAnAnswer("its diff is none")
    return {
        **{field: differences(answer[field], list(answer[field])) for field in ("before", "done")},
        "diff": [{field: _lines(item[field], SHOWN) for field in DIFF_TEXTS if isinstance(item.get(field), str)} for item in answer["diff"]],
        "warnings": [printable(str(line)) for line in answer["warnings"][:WARNINGS]],
        "failed": _lines(answer["failed"], TEXT),
    }


def _lines(text: str, most: int) -> str:
    """A text of some lines, with nothing else that acts on a terminal, and not endless."""
    shown = "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text[:most])
    return shown + ("…" if len(text) > most else "")


def problems(answer: Any) -> list[dict]:
    """What stands in the way of a change, as the preflight says it. Raises NotAnAnswer."""
    if not isinstance(answer, list) or len(answer) > DIFFERENCES:
        raise NotAnAnswer("its preflight is no list of problems")
    return [_item(item, PROBLEM_TEXTS) for item in answer]


def _item(item: Any, texts: tuple[str, ...]) -> dict:
    if not isinstance(item, dict) or not all(isinstance(item.get(field), str) for field in texts):
        raise NotAnAnswer(f"an item has not {', '.join(texts)} as texts")
    if "remedy" in texts and item["remedy"] not in REMEDIES:
        raise NotAnAnswer(f"a remedy is {printable(item['remedy'], SAID)!r}, and there are {', '.join(REMEDIES)}")
    if "role" in item:
        raise NotAnAnswer("an item says by itself of which role it is")
    if len(item.get("name", "")) > TEXT:
        raise NotAnAnswer(f"a resource has a name of more than {TEXT} characters")
    # Names are compared with those that are declared, and are not shown: they stay as they are.
    return {printable(key, SAID): value if key == "name" else _clean(value, DEPTH) for key, value in item.items()}


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return printable(value)
    if depth == 0 and isinstance(value, (dict, list)):
        raise NotAnAnswer(f"a value is nested deeper than {DEPTH} times")
    if isinstance(value, dict):
        return {printable(str(key), SAID): _clean(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each, depth - 1) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise NotAnAnswer("a value is no finite number, which JSON has no word for")
    return value
