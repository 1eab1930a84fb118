# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as User-Mode Linux processes: for computers whose processor cannot run virtual machines."""
