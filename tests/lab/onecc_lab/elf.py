# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared libraries for x86-64 that can be loaded and do next to nothing, made without a compiler."""

from __future__ import annotations

import struct
from collections.abc import Mapping

PAGE = 0x1000

_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_READ, _WRITE, _EXECUTE = 4, 2, 1
_DT_NULL, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 0, 4, 5, 6, 10, 11, 14
_GLOBAL_FUNCTION = 0x12
_DEFINED = 1
"""A section's number, of which the loader wants to know only that it is not 0, which means undefined."""


def returns(number: int) -> bytes:
    """A function that returns a number from 0 to 2^31 - 1."""
    return b"\xb8" + struct.pack("<i", number) + b"\xc3"  # mov eax, number; ret


def stores(number: int) -> bytes:
    """A function that stores a number as an int where its first argument points, and returns 0."""
    return b"\xc7\x07" + struct.pack("<i", number) + b"\x31\xc0\xc3"  # mov dword [rdi], number; xor eax, eax; ret


def shared_library(soname: str, functions: Mapping[str, bytes]) -> bytes:
    """The bytes of a library. functions: their machine code by name.

    Two segments: headers, symbols and code, read-only; then the dynamic section, into which the loader writes.
    """
    names = list(functions)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in [soname, *names])

    def string(name: str) -> int:
        return strings.index(b"\0" + name.encode() + b"\0") + 1

    header_bytes = 64 + 4 * 56
    # One bucket whose chain holds every symbol: number of buckets and symbols, the bucket, the chain.
    count = len(names) + 1
    chain = [0, *(index + 1 if index + 1 < count else 0 for index in range(1, count))]
    hashes = struct.pack(f"<{3 + count}I", 1, count, 1 if names else 0, *chain)
    hashes_at = header_bytes
    symbols_at = -(-(hashes_at + len(hashes)) // 8) * 8
    strings_at = symbols_at + 24 * count
    code_at = strings_at + len(strings)
    symbols, code = bytes(24), b""
    for name, body in functions.items():
        symbols += struct.pack("<IBBHQQ", string(name), _GLOBAL_FUNCTION, 0, _DEFINED, code_at + len(code), len(body))
        code += body
    text = hashes.ljust(symbols_at - hashes_at, b"\0") + symbols + strings + code
    dynamic_at = -(-(header_bytes + len(text)) // PAGE) * PAGE
    entries = [
        (_DT_SONAME, string(soname)),
        (_DT_HASH, hashes_at),
        (_DT_STRTAB, strings_at),
        (_DT_SYMTAB, symbols_at),
        (_DT_STRSZ, len(strings)),
        (_DT_SYMENT, 24),
        (_DT_NULL, 0),
    ]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)

    def segment(kind: int, flags: int, at: int, size: int, align: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, align)

    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",  # 64 bits, little-endian, version 1
        3, 62, 1,  # a shared object, for x86-64, version 1
        0, 64, 0,  # no entry; the segments' headers follow this one; there are no sections
        0, 64, 56, 4, 64, 0, 0,
    )  # fmt: skip
    head += segment(_PT_LOAD, _READ | _EXECUTE, 0, header_bytes + len(text), PAGE)
    head += segment(_PT_LOAD, _READ | _WRITE, dynamic_at, len(dynamic), PAGE)
    head += segment(_PT_DYNAMIC, _READ | _WRITE, dynamic_at, len(dynamic), 8)
    head += segment(_PT_GNU_STACK, _READ | _WRITE, 0, 0, 16)
    return (head + text).ljust(dynamic_at, b"\0") + dynamic
