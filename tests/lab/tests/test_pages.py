# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Api

INVALID = (400, "global/invalid-parameters")


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    api.key()
    for number in range(5):
        api.launched(name=f"n-{number}")
    yield api
    api.store.close()


def read(api: Api, query: str = "") -> list[list[str]]:
    """The names on each page, by the token from page to page."""
    found, token = [], ""
    while True:
        asked = "&".join(filter(None, (query, token and f"page_token={token}")))
        body = api("GET", "/instances" + (f"?{asked}" if asked else "")).body
        found.append([row["name"] for row in body["data"]])
        token = body.get("page_token")
        if not token:
            return found


def test_in_one_piece_unless_somebody_asks(api: Api) -> None:
    assert api("GET", "/instances").body.keys() == {"data"}
    assert [len(page) for page in read(api, "page_size=2")] == [2, 2, 1]
    assert [len(page) for page in read(api, "page_size=5")] == [5]


def test_in_pages_on_order(api: Api) -> None:
    assert api("PUT", "/lab/pages", {"size": 3}).data == {"size": 3}
    assert read(api) == [["n-0", "n-1", "n-2"], ["n-3", "n-4"]]
    assert read(api, "cluster_id=none") == [[]]
    api("PUT", "/lab/pages", {"size": None})
    assert len(read(api)) == 1


def test_a_file_of_instances_in_pages(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    file.write_text(json.dumps([{"id": number} for number in range(3)]))
    api = Api(instances_file=file)
    api.raw("PUT", "/lab/pages", data='{"size": 2}')
    first = api.raw("GET", "/instances").json
    assert first["data"] == [{"id": 0}, {"id": 1}]
    assert api.raw("GET", f"/instances?page_token={first['page_token']}").json == {"data": [{"id": 2}], "page_token": None}


@pytest.mark.parametrize("query", ["page_size=0", "page_size=101", "page_size=x", "page_size=", "page_size=-1", "page_token=", "page_token=x",
                                   "page_token=%C3%A9", "page_token=AAAA"])  # fmt: skip
def test_what_is_no_page(api: Api, query: str) -> None:
    assert api("GET", f"/instances?{query}").error == INVALID


@pytest.mark.parametrize("size", [0, 101, True, "2", 1.5, []])
def test_orders_that_are_none(api: Api, size: object) -> None:
    assert api("PUT", "/lab/pages", {"size": size}).error == INVALID
