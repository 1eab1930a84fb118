# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of the lab's repositories: what `packages/repositories.yml` says, and Debian packages made of it.

The same data make the same bytes, whoever builds, where and when.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from . import elf

DATA = Path(__file__).with_name("packages")

EPOCH = 1767225600
"""2026-01-01, in seconds since 1970: the date of everything in the repositories."""

RELATIONS = ("Depends", "Provides", "Conflicts", "Replaces")

_FIELDS = {
    "version", "architecture", "section", "description", "files", "slow", "enable", "licence", *map(str.lower, RELATIONS),
}  # fmt: skip


class DataError(Exception):
    """The data contradict themselves; the message says where."""


@dataclass(frozen=True)
class File:
    """What a package installs at a path: bytes, or a symbolic link."""

    content: bytes = b""
    link: str = ""

    @property
    def executable(self) -> bool:
        return self.content.startswith(b"#!")


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    control: str
    """The fields of its control file but Installed-Size."""
    files: Mapping[str, File]
    """By absolute path."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """The other files of its control archive, by name."""
    newer: bool = False
    """Published only on request."""

    @property
    def file_name(self) -> str:
        # As dak has it: the epoch of a version is not part of the name.
        return f"{self.name}_{self.version.partition(':')[2] or self.version}_{self.value('Architecture')}.deb"

    def value(self, name: str) -> str:
        """A field of the control file, empty where there is none."""
        return next((line.partition(": ")[2] for line in self.control.splitlines() if line.startswith(f"{name}: ")), "")


@dataclass(frozen=True)
class Repository:
    """A repository, as the data say."""

    name: str
    key: str
    """User id of its key."""
    key_files: tuple[str, ...]
    """Names under which its public key is published: `.gpg` in binary form, all others in ASCII."""
    flat: bool
    """True: sources name it `URL ./`. False: `URL SUITE COMPONENT`."""
    release: Mapping[str, str]
    """Fields of its Release file."""
    missing: str
    """The package that is listed and not there, where that is asked for."""
    packages: tuple[Package, ...]


def load() -> dict[str, Repository]:
    """All repositories by name. Raises DataError."""
    data = yaml.safe_load((DATA / "repositories.yml").read_text())
    return {name: _repository(name, entry, data["groups"]) for name, entry in data["repositories"].items()}


def _repository(name: str, entry: Mapping[str, Any], groups: Mapping[str, Any]) -> Repository:
    found: dict[tuple[str, str], Package] = {}
    for versions in entry["sets"]:
        for group in entry["groups"]:
            for template, fields in groups[group].items():
                package = _package(template, fields, versions)
                key = (package.name, package.version)
                before = found.setdefault(key, package)
                if (before.control, before.files, before.scripts) != (package.control, package.files, package.scripts):
                    raise DataError(f"{name}: two sets give {package.name} {package.version} different contents.")
                if before.newer and not package.newer:
                    found[key] = package
    return Repository(
        name=name,
        key=entry["key"],
        key_files=tuple(entry["key_files"]),
        flat=entry["layout"] == "flat",
        release=entry["release"],
        missing=entry["missing"],
        packages=tuple(found[key] for key in sorted(found)),
    )


_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)


@cache
def _template(text: str) -> jinja2.Template:
    return _JINJA.from_string(text)


def _render(value: Any, versions: Mapping[str, Any]) -> Any:
    """A value of the data with every text in it, keys too, rendered over a set."""
    if isinstance(value, str):
        return _template(value).render(versions)
    if isinstance(value, list):
        return [_render(item, versions) for item in value]
    if isinstance(value, dict):
        return {_render(key, versions): _render(item, versions) for key, item in value.items()}
    return value


def _package(template: str, raw: Mapping[str, Any], versions: Mapping[str, Any]) -> Package:
    name, fields = _render(template, versions), _render(raw, versions)
    if unknown := fields.keys() - _FIELDS:
        raise DataError(f"{name}: no such field: {', '.join(sorted(unknown))}.")
    files = {path: _file(content, versions) for path, content in fields.get("files", {}).items()}
    control = [
        f"Package: {name}",
        f"Version: {fields['version']}",
        f"Architecture: {fields.get('architecture', 'amd64')}",
        "Maintainer: The lab of onecc.cluster <root@localhost>",
        f"Section: {fields['section']}",
        "Priority: optional",
        *(f"{relation}: {', '.join(fields[relation.lower()])}" for relation in RELATIONS if relation.lower() in fields),
        f"Description: {fields['description']}",
        " A stand-in of the lab, with the name and the dependencies of the real package.",
    ]
    return Package(
        name=name,
        version=fields["version"],
        control="\n".join(control) + "\n",
        files=files,
        scripts=_scripts(name, fields, files),
        newer=bool(versions.get("newer")),
    )


def _file(content: Any, versions: Mapping[str, Any]) -> File:
    if isinstance(content, str):
        return File(content.encode())
    if "file" in content:
        return File(_render((DATA / content["file"]).read_text(), versions).encode())
    if "link" in content:
        return File(link=content["link"])
    functions = {}
    for name, body in content.get("functions", {}).items():
        ((kind, number),) = body.items()
        functions[name] = {"returns": elf.returns, "stores": elf.stores}[kind](int(number))
    return File(elf.shared_library(content["library"], functions))


def _scripts(name: str, fields: Mapping[str, Any], files: Mapping[str, File]) -> dict[str, str]:
    """The control archive but `control` itself."""
    sums = [
        f"{hashlib.md5(file.content).hexdigest()}  {path[1:]}\n" for path, file in sorted(files.items()) if not file.link
    ]
    out = {"md5sums": "".join(sums)}
    if settings := [path for path in sorted(files) if path.startswith("/etc/")]:
        out["conffiles"] = "".join(f"{path}\n" for path in settings)
    if any(path.startswith("/usr/lib/x86_64-linux-gnu/") for path in files):
        out["triggers"] = "activate-noawait ldconfig\n"
    configure, remove = "", ""
    if "slow" in fields:
        configure += _SLOW.replace("NAME", name).replace("SECONDS", str(fields["slow"]))
    if "enable" in fields:
        configure += _ENABLE.replace("UNIT", fields["enable"])
        remove += _DISABLE.replace("UNIT", fields["enable"])
    if "licence" in fields:
        out["templates"] = _LICENCE_TEMPLATE.replace("QUESTION", fields["licence"])
        out["config"] = _LICENCE_CONFIG.replace("QUESTION", fields["licence"])
        out["preinst"] = _LICENCE_PREINST.replace("QUESTION", fields["licence"]).replace("NAME", name)
        remove += _LICENCE_POSTRM
    if configure:
        out["postinst"] = f'#!/bin/sh\nset -e\n[ "$1" = configure ] || exit 0\n{configure}'
    if remove:
        out["postrm"] = f"#!/bin/sh\nset -e\n{remove}"
    return out


_SLOW = """\
order=SECONDS
[ ! -e /etc/onecc-lab/postinst/NAME ] || read -r order < /etc/onecc-lab/postinst/NAME
case $order in
fail)
    echo "NAME: cannot be configured, as /etc/onecc-lab/postinst/NAME orders" >&2
    exit 1
    ;;
hang) sleep infinity ;;
*) sleep "$order" ;;
esac
"""
_ENABLE = """\
[ -n "$2" ] || systemctl --quiet enable UNIT
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl start UNIT
fi
"""
_DISABLE = """\
if [ "$1" = remove ] && [ ! -e /usr/lib/systemd/system/UNIT ]; then
    rm -f /etc/systemd/system/*.wants/UNIT
fi
"""
_LICENCE_TEMPLATE = """\
Template: QUESTION
Type: select
Choices: ACCEPT, DECLINE
Default: DECLINE
Description: Do you accept the terms of the cuDNN license?
 A stand-in of the lab, which asks as the real package does. Without ACCEPT it is not installed.
"""
_LICENCE_CONFIG = """\
#!/bin/sh
set -e
. /usr/share/debconf/confmodule
db_input high QUESTION || true
db_go || true
"""
_LICENCE_PREINST = """\
#!/bin/sh
set -e
. /usr/share/debconf/confmodule
db_get QUESTION
if [ "$RET" != ACCEPT ]; then
    echo "NAME: the license of cuDNN was not accepted: preseed QUESTION" >&2
    exit 1
fi
"""
_LICENCE_POSTRM = """\
if [ "$1" = purge ] && [ -e /usr/share/debconf/confmodule ]; then
    . /usr/share/debconf/confmodule
    db_purge
fi
"""


def build(packages: Sequence[Package], pool: Path, scratch: Path) -> None:
    """Writes the packages into a folder, which exists. Raises CalledProcessError."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        for _done in workers.map(lambda package: _build(package, pool, scratch), packages):
            pass


def _build(package: Package, pool: Path, scratch: Path) -> None:
    tree = scratch / package.file_name
    for path, file in package.files.items():
        target = tree / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            target.symlink_to(file.link)
        else:
            target.write_bytes(file.content)
            target.chmod(0o755 if file.executable else 0o644)
    control = tree / "DEBIAN"
    control.mkdir(parents=True)
    size = sum(-(-len(file.content) // 1024) for file in package.files.values())
    (control / "control").write_text(package.control.replace("Section: ", f"Installed-Size: {size}\nSection: ", 1))
    for name, text in package.scripts.items():
        (control / name).write_text(text)
        (control / name).chmod(0o755 if text.startswith("#!") else 0o644)
    for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o755)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(pool / package.file_name)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"},
    )
    shutil.rmtree(tree)
