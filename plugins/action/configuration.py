# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _secrets


class ActionModule(ActionBase):
    """Runs the module, with contents that not everybody may read apart from the rest, where neither Ansible nor the node logs them."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        arguments = apart(dict(self._task.args))
        return {**result, **self._execute_module(module_name="onecc.cluster.configuration", module_args=arguments, task_vars=task_vars)}


def apart(arguments: dict[str, Any]) -> dict[str, Any]:
    """The module's arguments, with secret contents in `secrets`, by the path of their file."""
    resources = arguments.get("resources")
    files = resources.get("files") if isinstance(resources, dict) else None
    if not isinstance(files, list) or not all(isinstance(file, dict) and {"path", "content", "mode"} <= set(file) for file in files):
        return arguments  # the module says what is wrong with them
    secrets = {file["path"]: _secrets.content(file) for file in files if _secrets.is_secret(file)}
    shown = [{**file, "content": ""} if file["path"] in secrets else file for file in files]
    return {**arguments, "resources": {**resources, "files": shown}, **({"secrets": secrets} if secrets else {})}
