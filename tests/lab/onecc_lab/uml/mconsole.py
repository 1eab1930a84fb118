# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to a running User-Mode Linux kernel."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

MAGIC = 0xCAFEBABE
VERSION = 2
"""Of arch/um/drivers/mconsole.h."""


def press_power_button(folder: Path) -> None:
    """As QEMU's `system_powerdown`."""
    command = b"cad"
    packet = struct.pack("=III512s", MAGIC, VERSION, len(command), command)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(packet, f"/proc/self/fd/{fd}/uml/mconsole")
    finally:
        os.close(fd)
