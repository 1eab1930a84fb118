# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a change has at hand, and how it says that it failed."""

from __future__ import annotations

import os
import subprocess
from typing import Any

# Where Debian keeps an administrator's programs, which the PATH of a session without a login shell may not have.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class ChangeFailed(Exception):
    """Why a change did not end as declared, in a line."""


class Hand:
    """Runs programs for the change of one resource after the other, whose fields are `params`, and takes down warnings.

    Has the names of AnsibleModule, which stands in its place where a module changes one resource alone.
    """

    def __init__(self, check_mode: bool, params: dict[str, Any] | None = None, warnings: list[str] | None = None) -> None:
        self.check_mode = check_mode
        self.params = params or {}
        self.warnings = [] if warnings is None else warnings

    def holding(self, params: dict[str, Any]) -> Hand:
        """The same for another resource."""
        return Hand(self.check_mode, params, self.warnings)

    def run_command(
        self, argv: list[str], data: str | None = None, environ_update: dict[str, str] | None = None, cwd: str | None = None,
    ) -> tuple[int, str, str]:
        """Runs a program without a shell and without a limit of time; its exit status and what it printed."""
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
        try:
            done = subprocess.run(
                argv, input=data, stdin=subprocess.DEVNULL if data is None else None, capture_output=True, text=True, errors="replace",
                env={**os.environ, "PATH": path, **(environ_update or {})}, cwd=cwd, check=False,
            )
        except OSError as error:
            raise ChangeFailed(f"{argv[0]} cannot be run: {error.strerror}") from None
        return done.returncode, done.stdout, done.stderr

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def fail_json(self, msg: str, **_fields: Any) -> None:
        raise ChangeFailed(msg)
