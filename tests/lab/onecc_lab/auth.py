# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use the API: the ways to send a key that the Lambda Cloud API 1.10.0 describes."""

from __future__ import annotations

import base64
import binascii
import hmac


def is_authorized(header: str | None, api_key: str) -> bool:
    """True if an Authorization header carries the key: Bearer, Basic as of a user without password, or Basic raw."""
    scheme, _space, value = (header or "").partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            return _same(value, api_key)
        case "basic":
            return _same(value, api_key) or _same(_decoded(value), f"{api_key}:")
        case _:
            return False


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _same(a: str, b: str) -> bool:
    # In constant time; bytes, as it takes no text beyond ASCII.
    return hmac.compare_digest(a.encode("utf-8", "surrogateescape"), b.encode())
