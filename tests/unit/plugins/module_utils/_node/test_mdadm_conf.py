# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node.mdadm import with_array
from ansible_collections.onecc.cluster.tests.unit.captured import ARRAY, OTHER_ARRAY
from hypothesis import example, given
from hypothesis import strategies as st

LINE = f"ARRAY /dev/md/scratch metadata=1.2 UUID={ARRAY}"

# Lines that say something of our array, and lines that do not.
CLAIMS = [
    LINE,
    f"ARRAY /dev/md0 UUID={ARRAY}",
    f"ARRAY <ignore> UUID={ARRAY}",
    f"array /dev/md/scratch uuid={OTHER_ARRAY}",
    f"ARR scratch metadata=1.2 name=x:scratch UUID={OTHER_ARRAY}",
    f"ARRAY /dev/md127 UUID={ARRAY.upper()}",
    f"ARRAY /dev/md127 UUID={ARRAY.replace(':', '-')}",
    f"ARRAY /dev/md127 metadata=1.2\n\tUUID={ARRAY}\n  name=any:scratch",
]
OTHERS = [
    "",
    "# mdadm.conf",
    f"# {LINE}",
    "HOMEHOST <system>",
    "MAILADDR root",
    "DEVICE partitions\n  containers",
    f"ARRAY /dev/md/data metadata=1.2 UUID={OTHER_ARRAY}",
    f"ARRAY /dev/md/scratch2 UUID={OTHER_ARRAY}\n\tdevices=/dev/sda,/dev/sdb",
    "AR /dev/md/scratch",
    "ARRAY",
    "caf\udce9",
]
lines = st.lists(st.sampled_from([*CLAIMS, *OTHERS]) | st.text(st.characters(exclude_characters="\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
ends = st.sampled_from(["\n", "\r\n"])


def write(text: str) -> str:
    return with_array(text, "scratch", ARRAY)


@st.composite
def texts(draw):
    """A file of such lines, with either sort of line end, and perhaps without the last one."""
    text = "".join(line + draw(ends) for line in draw(lines))
    return text.rstrip("\r\n") if draw(st.booleans()) else text


@given(texts())
@example("")
@example(LINE)
def test_writing_twice_is_writing_once(text):
    once = write(text)
    assert write(once) == once


@given(texts())
def test_one_line_claims_the_array(text):
    found = [line for line in write(text).split("\n") if line.strip() == LINE]
    assert len(found) == 1


@given(st.lists(st.sampled_from(OTHERS)), st.lists(st.sampled_from(CLAIMS)), ends, st.randoms(use_true_random=False))
def test_everything_else_stays_as_it_is(others, claims, end, random):
    mixed = others + claims
    random.shuffle(mixed)
    kept = [line for line in mixed if line in OTHERS]
    expected = "".join(line + end for line in kept)
    text = "".join(line + end for line in mixed)
    if claims == [LINE]:
        assert write(text) == text
    else:
        assert write(text) == f"{expected}{LINE}\n"


@given(st.lists(st.sampled_from(OTHERS)))
def test_only_the_missing_line_end_is_added(others):
    text = "\n".join(others)
    assert write(text) == text + ("" if not text or text.endswith("\n") else "\n") + LINE + "\n"


@given(st.text())
def test_any_text(text):
    written = write(text)
    assert write(written) == written
    assert LINE in written


@pytest.mark.parametrize("claim", CLAIMS[1:])
def test_a_line_that_gives_path_or_uuid_to_something_else_goes(claim):
    assert write(f"HOMEHOST any\n{claim}\nMAILADDR root\n") == f"HOMEHOST any\nMAILADDR root\n{LINE}\n"


def test_a_continued_line_goes_whole():
    text = f"ARRAY /dev/md/scratch\n   metadata=1.2\n\tUUID={OTHER_ARRAY}\nMAILADDR root\n"
    assert write(text) == f"MAILADDR root\n{LINE}\n"


def test_two_lines_become_one():
    assert write(f"{LINE}\n{LINE}\n") == LINE + "\n"


def test_a_line_in_state_keeps_its_place():
    text = f"HOMEHOST any\n{LINE}\nMAILADDR root\n"
    assert write(text) == text


def test_no_other_array_goes():
    text = "".join(line + "\n" for line in OTHERS)
    assert write(text) == f"{text}{LINE}\n"
    assert not re.search(r"scratch .*scratch", write(text))
