# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # What everything that calls the Lambda Cloud API has in common.
    DOCUMENTATION = r"""
options:
  api_key:
    description:
      - Key of the Lambda Cloud API. Keys are made at U(https://cloud.lambda.ai/api-keys); each may do everything
        that the account may do, in its workspace.
      - The environment variable E(LAMBDA_API_KEY), or else E(LAMBDA_CLOUD_API_KEY), is used where this is not given.
    type: str
  api_url:
    description:
      - Where the Lambda Cloud API is, with or without C(/api/v1) at its end.
      - Must be C(https://), so that the key does not travel in the clear; C(http://) is accepted for loopback addresses.
      - Redirects are not followed, so that the key goes to this host and no other.
    type: str
    default: https://cloud.lambda.ai
  api_timeout:
    description:
      - Seconds that a call of the API may take as a whole, with all pages of a list, which the API wants a second apart, and with
        the attempts that follow an answer of 429 or 5xx or a broken connection (six at most, at growing distances, or when the API
        asks for them by C(Retry-After)).
    type: int
    default: 60
"""

    # The same for plugins, which, unlike modules, document the environment by option.
    PLUGIN = r"""
options:
  api_key:
    # The last one that is set counts.
    env:
      - name: LAMBDA_CLOUD_API_KEY
      - name: LAMBDA_API_KEY
  api_url:
    env:
      - name: LAMBDA_API_URL
  api_timeout:
    env:
      - name: LAMBDA_API_TIMEOUT
"""
