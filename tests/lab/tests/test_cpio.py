# SPDX-License-Identifier: GPL-3.0-or-later
import stat

from onecc_lab.cpio import FOLDER, LINK, Entry, archive


def read(data: bytes) -> dict[str, tuple[int, int, bytes]]:
    """Mode, owner and contents by name, by the format's own description."""
    out: dict[str, tuple[int, int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, owner, size, name_size = fields[1], fields[2], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return out
        out[name] = (mode, owner, data[at : at + size])
        at = (at + size + 3) // 4 * 4


def test_files_folders_and_links():
    found = read(
        archive(
            [
                Entry("/node/home/u", mode=0o700, owner=1000, kind=FOLDER),
                Entry("/node/home/u/key", b"abc", 0o600, 1000),
                Entry("/bin/sh", b"busybox", 0o777, kind=LINK),
            ]
        )
    )
    assert found["node/home"] == (stat.S_IFDIR | 0o755, 0, b"")
    assert found["node/home/u"] == (stat.S_IFDIR | 0o700, 1000, b"")
    assert found["node/home/u/key"] == (stat.S_IFREG | 0o600, 1000, b"abc")
    assert found["bin/sh"] == (stat.S_IFLNK | 0o777, 0, b"busybox")


def test_a_folder_comes_once_and_before_what_is_in_it():
    names = list(read(archive([Entry("/a/b/1"), Entry("/a/b/2"), Entry("/a/3")])))
    assert names == ["a", "a/b", "a/b/1", "a/b/2", "a/3"]


def test_archives_can_be_joined():
    assert len(archive([Entry("/x", b"12345")])) % 512 == 0
