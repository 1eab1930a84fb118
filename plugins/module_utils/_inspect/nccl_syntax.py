# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a line of NCCL's configuration was meant to say, where NCCL reads something else from it."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_values, nccl_variables
from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import finding, show
from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_variables import TRIMS
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf

SPACE = " \t\v\f"
QUOTES = "\"'\u2018\u2019\u201c\u201d"
# Kinds of variables (nccl_variables.py) that are lists of names.
LISTS = ("devices", "interfaces", "names")

# What stands before an assignment elsewhere: in shells, csh, a command line of mpirun or docker, a unit, a Dockerfile.
_COMMAND = re.compile(r"(export|setenv|set|unset|declare(?: -x)?|typeset|env|-x|-e|--env)\s+|(Environment|ENV)[=\s]\s*")
_OTHER_COMMENT = re.compile(r";|//|/\*|--\s|!")
# Behind a value: white space and what begins a comment somewhere, or a # alone.
_TAIL = re.compile(r"\s+(#|//|;|/\*).*|#.*")
_NEXT = re.compile(r"[\s;,&]+(?:export\s+)?NCCL_[A-Z0-9_]+=.*")
_SHELL = re.compile(r"[$`]\S*|^~\S*|[\\;&]+$")

Add = Callable[[str, str, str, str], None]


def meant(line: nccl_conf.Line, version: tuple[int, int] | None) -> tuple[str | None, str | None, list[dict]]:
    """Name and value that a line was meant to have, None where it has none or nobody can know; and what is wrong with it.

    `version` is that of the NCCL that reads it, if it is known.
    """
    found: list[dict] = []

    def add(rule: str, severity: str, message: str, fix: str) -> None:
        if rule == "carriage-return" and line.text.count("\r") == 1 and version and version >= TRIMS:
            severity, message = "warning", f"before NCCL {TRIMS[0]}.{TRIMS[1]}, {message}"
        found.append(finding(line.number, rule, severity, message, fix))

    text, ended = _content(line, add)
    text = _assignment(line, text, add)
    if text is None:
        return None, None, found
    written, _equals, value = text.partition("=")
    name = _name(written, add)
    return name, _value(name, value, ended, version, add) if name else None, found


def _content(line: nccl_conf.Line, add: Add) -> tuple[str, bool]:
    """The text without what an editor or a transfer put into it, and whether it had a carriage return at its end."""
    text = line.text[line.number == 1 and line.text.startswith("\ufeff"):]
    if "\0" in text:
        add("nul-byte", "error", "the line has a NUL byte, at which NCCL stops to read it", "remove it: the file is text")
        text = text.replace("\0", "")
    lines = text.split("\r")
    return next((part for part in lines if part.strip()), ""), len(lines) > 1


def _assignment(line: nccl_conf.Line, text: str, add: Add) -> str | None:
    """NAME=VALUE, without what stands before it; None where the line is a comment, or has no =."""
    indented = text != text.lstrip(SPACE)
    text = text.lstrip(SPACE)
    if not text:
        return None
    if text.startswith("#") and not indented:
        return None  # behind a byte order mark, which is a finding of its own
    if text.startswith("#") or _OTHER_COMMENT.match(text):
        sets = f"; this line sets a variable {show(line.name)!r}" if line.name else ""
        add("comment", "error" if sets else "warning", f"only a # in column 1 begins a comment{sets}", "begin the line with #")
        return None
    if indented:
        add("whitespace", "error", "the white space before the name is part of it", "begin the line with the name")
    if command := _COMMAND.match(text):
        add("export", "error", f"no shell reads the file, so {show(command[0].strip())} is part of the name", "write NAME=VALUE")
        text = text[command.end():]
        if "=" not in re.match(r"\S*", text)[0]:
            text = re.sub(r"\s+", "=", text, count=1)  # as csh's setenv has it
    if "=" not in text:
        ours = "NCCL" in text.upper()
        add(
            "no-equals", "error" if ours else "warning", f"NCCL passes over a line without =: {show(text)}",
            "write NAME=VALUE" if ours else "remove it, or begin it with #",
        )
        return None
    return text


def _name(written: str, add: Add) -> str | None:
    name = written.strip(SPACE)
    if name != written.lstrip(SPACE):
        add("whitespace", "error", "the white space before the = is part of the name", "remove it")
    if name.strip(QUOTES) != name:
        add("quotes", "error", "quotes are part of the name", "remove them")
        name = name.strip(QUOTES)
    if len(name.encode("utf-8", "surrogateescape")) > nccl_conf.LONGEST:
        add("line-too-long", "error", f"NCCL cuts the name after {nccl_conf.LONGEST} bytes", "shorten it")
        return None
    if not name:
        add("no-name", "error", "there is no name before the =, so the line sets nothing", "write NAME=VALUE")
    return name or None


def _value(name: str, value: str, ended: bool, version: tuple[int, int] | None, add: Add) -> str | None:
    """The value. What stands behind a number is passed over by strtoll(3), and so does no harm."""
    variable = nccl_variables.VARIABLES.get(name[len("NCCL_"):] if name.startswith("NCCL_") else "")
    kind = variable.kind if variable else ""
    harm = "warning" if variable and nccl_values.trims(variable, version) else "error"
    behind = "warning" if kind == "number" else "error"
    if ended:
        add("carriage-return", harm, "the carriage return at the line's end is part of the value", "sed -i 's/\\r$//' FILE")
    if kind == "format":
        return _quoted(value, add)
    if following := _NEXT.search(value):
        add("several-settings", "error", f"a line sets one variable, so all this is its value: {show(value)}", "write a line each")
        value = value[:following.start()]
    if (comment := _TAIL.search(value)) and not (comment[0].startswith("#") and kind == "file"):
        add("inline-comment", behind, f"{show(comment[0].strip())!r} is part of the value", "put the comment into a line of its own")
        value = value[:comment.start()]
    if value.strip(SPACE) != value and kind != "spaced":
        add("whitespace", harm, f"white space is part of the value: {show(value)!r}", "remove it")
        value = value.strip(SPACE)
    if any(char in QUOTES for char in value):
        add("quotes", "error", f"quotes are part of the value: {show(value)}", "remove them")
        value = "".join(char for char in value if char not in QUOTES)
    if shell := _SHELL.search(value):
        add("shell-syntax", "error", f"no shell reads the file, so {show(shell[0])} stands for itself", "write what it stands for")
        return None
    if any(not " " <= char <= "~" and char not in SPACE for char in value):
        add("not-ascii", "error", f"the value has characters that look like others: {show(value)}", "write it in ASCII")
        value = "".join(char for char in value if " " <= char <= "~")
    if len(value) > nccl_conf.LONGEST:
        add("line-too-long", "error", f"NCCL cuts the value after {nccl_conf.LONGEST} bytes; it has {len(value)}", "shorten it")
    if kind in LISTS and re.search(r"\s", value):
        add("whitespace", "error", f"white space is part of the names: {show(value)!r}", "separate names by commas alone")
        value = re.sub(r"[\s,]+", ",", value)
    return value


def _quoted(value: str, add: Add) -> str:
    """A value in which all may be meant but quotes around it."""
    text = value.strip(SPACE)
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        add("quotes", "error", f"quotes are part of the value: {show(value)}", "remove them")
        return text[1:-1]
    if len(value.encode("utf-8", "surrogateescape")) > nccl_conf.LONGEST:
        add("line-too-long", "error", f"NCCL cuts the value after {nccl_conf.LONGEST} bytes", "shorten it")
    return value
