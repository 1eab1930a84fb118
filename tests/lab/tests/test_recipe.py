# SPDX-License-Identifier: GPL-3.0-or-later
import gzip
import shutil

import pytest

from onecc_lab import recipe

DEB822 = """# kept by hand
Types: deb deb-src
# a comment between fields
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def lines(*pairs: str) -> tuple[str, ...]:
    return tuple(f"deb [signed-by={recipe.DEBIAN_KEYRING}] {pair} main" for pair in pairs)


def test_sources_of_both_formats():
    one_line = "deb [arch=amd64] https://other.example/debian bookworm main contrib\ndeb-src http://x.example/ bookworm main\n"
    assert recipe.debian_sources([DEB822, one_line]) == lines(
        "http://mirror.example/debian bookworm",
        "http://mirror.example/debian bookworm-updates",
        "http://mirror.example/security bookworm-security",
        "https://other.example/debian bookworm",
    )


@pytest.mark.parametrize(
    "text",
    [
        "deb https://packages.example/apt cloud-sdk-bookworm main",
        "Types: deb\nURIs: https://deb.example/node\nSuites: nodistro\nComponents: main\n",
        "deb http://archive.ubuntu.com/ubuntu noble main",
        "# deb http://mirror.example/debian bookworm main",
        "deb cdrom:[Debian]/ bookworm main",
        "",
    ],
)
def test_what_is_not_the_release_is_left_out(text):
    assert recipe.debian_sources([text]) == ()


def test_the_hash_follows_the_data_and_the_sources(tmp_path, monkeypatch):
    data = tmp_path / "data"
    shutil.copytree(recipe.DATA, data)
    monkeypatch.setattr(recipe, "DATA", data)
    before = recipe.recipe_hash(["a"])
    assert recipe.recipe_hash(["a"]) == before
    assert recipe.recipe_hash(["b"]) != before
    (data / "packages.txt").write_text("systemd\n")
    changed = recipe.recipe_hash(["a"])
    assert changed != before
    (data / "init").chmod(0o600)
    assert recipe.recipe_hash(["a"]) != changed


def test_the_kernel_is_found_behind_a_false_start():
    elf = b"\x7fELF" + bytes(100)
    packed = b"setup code \x1f\x8b\x08 not gzip " + gzip.compress(elf) + b"trailing"
    assert recipe.kernel_elf(packed) == elf


def test_a_kernel_of_unknown_compression_is_refused():
    with pytest.raises(recipe.RecipeError, match="xz, zstd, lz4, gzip"):
        recipe.kernel_elf(b"nothing in here")


def test_the_image_has_a_kernel_and_what_roles_have_to_tame():
    packages = recipe.DATA.joinpath("packages.txt").read_text().splitlines()
    assert "linux-image-amd64" in packages
    assert "unattended-upgrades" in packages  # as a server image of Ubuntu has it, so that base is seen to tame it
