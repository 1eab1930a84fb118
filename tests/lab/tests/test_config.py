# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from onecc_lab import config


@pytest.mark.parametrize(("text", "size"), [("1G", 2**30), ("512m", 2**29), ("2T", 2**41), ("4096", 4096)])
def test_sizes(text, size):
    assert config.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "0", "1.5G", "-1G", "1GB", "1 G"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is no size"):
        config.parse_size(text)


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "x" * 33, "-x"])
def test_a_labs_name_is_no_path(name):
    with pytest.raises(config.ConfigError, match="is no name for a lab"):
        config.lab_folder(name)


def test_settings_survive_their_json(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lab = config.Config("x", 7, "key", "c" * 32, False, "/image", "tcg", config.Shape(rails=8))
    folder = config.lab_folder("x")
    folder.mkdir(parents=True)
    (folder / "lab.json").write_text(config.dump(lab))
    assert config.load(folder) == lab
    assert config.free_slot() != 7


def test_a_lab_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(config.ConfigError, match="there is no lab 'y'.*up"):
        config.load(config.lab_folder("y"))
