# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading

import pytest
from client import Api, Clock, Server, launch_body

from onecc_lab.limits import Limiter

OVER = (429, "global/too-many-requests")


def test_one_request_a_second_passes() -> None:
    api = Api(limits=True)
    assert api("GET", "/instances").status == 200
    api.pass_seconds(0.9)
    assert api("GET", "/images").error == OVER
    api.pass_seconds(0.1)
    assert api("GET", "/images").status == 200


def test_one_launch_in_twelve_seconds_passes() -> None:
    api = Api(limits=True)
    api.key()
    api.pass_seconds(1)
    assert api.launch().status == 200
    api.pass_seconds(11)
    assert api.launch().error == OVER
    assert api("GET", "/instances").status == 200
    api.pass_seconds(1)
    assert api.launch().status == 200
    assert len(api.backend.nodes) == 2


def test_a_refused_launch_uses_up_the_limit() -> None:
    api = Api(limits=True)
    assert api.launch(region_name="nowhere").error == (404, "global/object-does-not-exist")
    api.pass_seconds(2)
    assert api.launch().error == OVER


def test_a_request_over_the_limit_or_without_key_does_not_count() -> None:
    api = Api(limits=True)
    api("GET", "/instances")
    for _time in range(9):
        api.pass_seconds(0.1)
        assert api("GET", "/instances").error == OVER
    api.pass_seconds(0.1)
    assert api("GET", "/instances", headers={}).error == (401, "global/invalid-api-key")
    assert api("GET", "/instances").status == 200


def test_the_orders_of_tests_are_not_limited() -> None:
    api = Api(limits=True)
    assert [api("GET", "/lab/requests").status for _time in range(3)] == [200] * 3
    assert api("GET", "/instances").status == 200


@pytest.mark.parametrize(("retry_after", "seconds"), [(False, None), (True, "12")])
def test_the_time_to_wait_is_said_on_request(retry_after: bool, seconds: str | None) -> None:
    api = Api(limits=True, retry_after=retry_after)
    api.launch()
    api.pass_seconds(0.5)
    assert api.launch().headers.get("Retry-After") == seconds


def test_without_limits_everything_passes() -> None:
    api = Api(limits=False)
    assert [api("GET", "/instances").status for _time in range(5)] == [200] * 5


def test_of_many_at_once_one_passes() -> None:
    limiter = Limiter(Clock())
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(limiter.wait_seconds(launch=True))) for _time in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(waits) == [0.0] + [12.0] * 19


def test_a_server_limits_over_loopback() -> None:
    with Server(limits=True, retry_after=True) as server:
        assert server("GET", "/instances").status == 200
        over = server("POST", "/instance-operations/launch", launch_body())
        assert over.error == OVER
        assert over.headers["Retry-After"] == "1"
