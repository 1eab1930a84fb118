# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What NCCL makes of a variable's value: what is wrong with it whatever the node."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_variables import TRIMS, Variable, version

# What is wrong, what is allowed, and how much it matters.
Wrong = tuple[str, str, str]

_NUMBER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)")
# ncclGetLevel() in src/graph/paths.cc takes the old numbers of levels, and what is beyond for the last.
_LEVELS = Variable(None, None, "number", ("~0:5",))


def wrong(value: str, variable: Variable, nccl: tuple[int, int] | None) -> Wrong | None:
    """What is wrong with a value, for the version of NCCL, if that is known."""
    kind, arguments = variable.kind, variable.arguments
    if kind == "number":
        return _number(value, variable)
    if kind == "bool":
        return _switch(value, nccl)
    if kind == "file" and not value.startswith("/"):
        return "a relative path leads elsewhere in each job", "write an absolute path", "error"
    if kind.startswith("SET"):
        listed = (value[1:] if value.startswith("^") and kind == "SET," else value).split(kind[-1])
        listed = [word.strip(" \t") if trims(variable, nccl) else word for word in listed]
        found = (_word(word, "WORDS", arguments, nccl) for word in listed if word)
        return next((item for item in found if item), None)
    if "#" in arguments and value[:1].isdigit():
        return _number(value, _LEVELS)
    return _word(value, kind, arguments, nccl) if kind in ("words", "WORDS", "begins") else None


def trims(variable: Variable, nccl: tuple[int, int] | None) -> bool:
    """Whether NCCL passes over white space around this variable's value."""
    debugging = variable.kind == "SET," or variable.kind == "WORDS" and "TRACE" in variable.arguments
    return variable.kind in ("number", "begins") or (variable.kind == "bool" or debugging) and bool(nccl) and (nccl >= TRIMS) == debugging


def is_default(value: str, variable: Variable) -> bool:
    """Whether a number is what the newest version does anyhow; the defaults are in the order of versions, before the range."""
    if variable.kind == "bool":
        return value.upper() in ("0", "F", "FALSE")
    defaults = [text for text in variable.arguments if ":" not in text] if variable.kind == "number" else []
    return str(number_read(value)[0]) in defaults[-1:]


def number_read(value: str) -> tuple[int, bool]:
    """The number that strtoll(…, 0) reads, as NCCL does; and whether it is all of the value, and the one that a person reads."""
    match = _NUMBER.match(value)
    if not match:
        return 0, False
    sign, digits = match.groups()
    octal = digits.startswith("0") and digits[1:2] not in ("x", "X")
    read = int(re.match("[0-7]*", digits)[0], 8) if octal else int(digits, 0)
    read = -read if sign == "-" else read
    return read, match.end() == len(value) and (not octal or read == int(sign + digits)) and -2**63 <= read < 2**63


def _number(value: str, variable: Variable) -> Wrong | None:
    read, plain = number_read(value)
    *defaults, span = variable.arguments if ":" in "".join(variable.arguments[-1:]) else (*variable.arguments, ":")
    bounds, _slash, step = span.lstrip("~").partition("/")
    low, high = (int(part) if part else None for part in bounds.split(":"))
    allowed = "a whole number" if low is None else f"{low} and more" if high is None else f"{low} to {high}"
    allowed += f", a multiple of {step}" if step else ""
    if not plain:
        return f"NCCL reads the number {read}", f"allowed is {allowed}", "error"
    beyond = low is not None and read < low or high is not None and read > high or bool(step) and read % int(step) != 0
    if not beyond or str(read) in defaults:
        return None
    if span.startswith("~"):
        return "that is out of range, and what NCCL makes of it depends on its version", f"allowed is {allowed}", "warning"
    return "that is out of range", f"allowed is {allowed}", "error"


def _switch(value: str, nccl: tuple[int, int] | None) -> Wrong | None:
    if value in ("0", "1"):
        return None
    if value.upper() in ("T", "TRUE", "F", "FALSE"):
        return None if nccl and nccl >= TRIMS else ("before NCCL 2.30 that is the number 0", "allowed is 0 or 1", "error")
    return "NCCL from 2.30 on passes over what is neither 0 nor 1", "allowed is 0 or 1", "error"


def _word(value: str, kind: str, arguments: tuple[str, ...], nccl: tuple[int, int] | None) -> Wrong | None:
    words = dict((*word.split("@"), "2.0")[:2] for word in arguments if word != "#")
    known = [word for word, since in words.items() if nccl is None or version(since) <= nccl]
    for word in words:
        if not _is(value, word, kind):
            continue
        if word in known:
            return None
        return f"the word came with NCCL {words[word]}", f"allowed is {', '.join(known)}", "error"
    return "NCCL knows no such word", f"allowed is {', '.join(known)}", "error"


def _is(value: str, word: str, kind: str) -> bool:
    if kind == "begins":
        return value.startswith(word)
    if kind == "WORDS":
        value, word = value.upper(), word.upper()
    begin = word[:-1]
    return value == word or word.endswith(":*") and value.startswith(begin) and re.fullmatch(r"0*[1-9][0-9]*", value[len(begin):]) is not None
