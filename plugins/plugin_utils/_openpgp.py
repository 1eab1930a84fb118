# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The fingerprints of the keys in an ASCII-armoured text, so that no other key comes to be trusted with the declared one.

RFC 9580, sections 4 (packets), 5.5 (keys) and 6 (armour). Only keys of version 4, which all signing keys of package sources are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_ARMOUR = re.compile(
    r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[A-Za-z]+: [^\n]*\n)*\n([A-Za-z0-9+/=\s]*?)(?:=[A-Za-z0-9+/]{4}\n)?"
    r"-----END PGP PUBLIC KEY BLOCK-----\s*"
)
_PUBLIC_KEY, _SECRET_KEY = 6, 5


class NotTheKey(Exception):
    """The text is no key, or has a key that is not to be trusted; the message says what it is."""


def fingerprints(text: str) -> list[str]:
    """The fingerprints of all primary keys, in capital hexadecimal digits."""
    armour = _ARMOUR.fullmatch(text.replace("\r\n", "\n"))
    if not armour:
        raise NotTheKey("it is not one ASCII-armoured public key block (-----BEGIN PGP PUBLIC KEY BLOCK-----)")
    try:
        data = base64.b64decode("".join(armour[1].split()), validate=True)
    except binascii.Error as error:
        raise NotTheKey(f"its base64 is damaged ({error})") from error
    found = []
    for tag, body in _packets(data):
        if tag == _SECRET_KEY:
            raise NotTheKey("it holds a secret key")
        if tag == _PUBLIC_KEY:
            if body[:1] != b"\4":
                raise NotTheKey("it holds a key that is not of version 4")
            found.append(hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper())
    if not found:
        raise NotTheKey("it holds no key")
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet. Keys have a definite length."""
    position = 0
    while position < len(data):
        header = data[position]
        position += 1
        if header & 0xC0 == 0xC0:
            tag, (length, size) = header & 0x3F, _new_length(data[position:position + 5])
        elif header & 0x80 and header & 3 != 3:
            size = 1 << (header & 3)
            tag, length = header >> 2 & 0xF, int.from_bytes(data[position:position + size], "big")
        else:
            raise NotTheKey("it is damaged")
        body = data[position + size:position + size + length]
        if len(body) < length:
            raise NotTheKey("it is cut off")
        yield tag, body
        position += size + length


def _new_length(octets: bytes) -> tuple[int, int]:
    """Length of a body, and of how many octets that length is made."""
    first = octets[0] if octets else 255
    if first < 192:
        return first, 1
    if first < 224 and len(octets) > 1:
        return (first - 192 << 8) + octets[1] + 192, 2
    if first == 255 and len(octets) == 5:
        return int.from_bytes(octets[1:], "big"), 5
    raise NotTheKey("it is damaged")
