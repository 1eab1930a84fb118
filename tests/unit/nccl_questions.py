# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files that NCCL's libraries were asked about; nccl_answers.json has what they said, by version.

`make nccl` asks again, and tests/nccl/nccl_library.py writes the answers down.
"""

from __future__ import annotations

import json
from pathlib import Path

# What is in the environment after NCCL has read them.
FILES = {
    "plain": b"XA=1\nXB=2",
    "empty lines, comments": b"#XA=1\n\n \n #XB=2\nXC=3\n",
    "first counts": b"XA=1\nXA=2\nXB=\nXB=1\n",
    "signs": b"XA==mlx5_1=x\n XB = 1 # x\nexport XC=\"1\"\nXD:1\nXE\n=1\n",
    "carriage return": b"XA=1\r\nXB=2\r\r\nXC=\r\n#\r\nXD=1\r2\n",
    "carriage returns alone": b"XA=1\rXB=2\r",
    "NUL": b"XA=x\0y\nXB\0=1\nXC=1\n",
    "byte order mark": b"\xef\xbb\xbfXA=1\nXB=\xff\n",
    "long value": b"XA=" + b"x" * 1023 + b"\nXB=" + b"y" * 1024 + b"\nXC=" + b"z" * 2000 + b"\nXD=1\n",
    "long name": b"X" * 1023 + b"=1\n" + b"Y" * 1100 + b"=2\nXD=1\n",
    "a line of 4,095 bytes": b"#" + b"x" * 4094 + b"\nXA=1\n",
    "a comment of more": b"#" + b"x" * 4094 + b"XA=1\nXB=2\n",
    "a value of more": b"XA=" + b"x" * 4092 + b"XB=1\nXC=2\n",
}
LOOPBACK = b"NCCL_SOCKET_IFNAME=%s\nNCCL_SOCKET_FAMILY=AF_INET\n"
# Whether the bootstrap finds what they name, on a machine that has an interface lo.
BOOTSTRAPS = {
    "exact": LOOPBACK % b"=lo",
    "a prefix": LOOPBACK % b"l",
    "a prefix of two": LOOPBACK % b"lo",
    "none": LOOPBACK % b"=lo0",
    "one character that no name begins with": b"NCCL_SOCKET_IFNAME=_\n",
    "the 16th": LOOPBACK % (b"=" + b",".join(b"none%d" % i for i in range(15)) + b",lo"),
    "the 17th": LOOPBACK % (b"=" + b",".join(b"none%d" % i for i in range(16)) + b",lo"),
    "within 1,023 bytes": LOOPBACK % (b"=none" + b"," * 1016 + b"lo"),
    "beyond 1,023 bytes": LOOPBACK % (b"=none" + b"," * 1023 + b"lo"),
    "a space": LOOPBACK % b"=none, lo",
    "quotes": LOOPBACK % b'"=lo"',
    "family in lower case": b"NCCL_SOCKET_IFNAME==lo\nNCCL_SOCKET_FAMILY=af_inet6\n",
    "empty": b"NCCL_SOCKET_IFNAME=\n",
    "no address": b"NCCL_COMM_ID=\n",
}
ANSWERS = Path(__file__).with_name("nccl_answers.json")


def answers() -> dict[str, dict]:
    """What each version said: `files`, what it set, as Latin-1; `bootstraps`, whether they succeed; `accepts`, words by variable."""
    return json.loads(ANSWERS.read_text())
