# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
from pathlib import Path

import pytest
from client import COMPUTE, HEAD, Api
from contract import HEX, IMAGE, UUID, problems

from onecc_lab import catalogue


def test_the_public_types_are_listed_with_specs_and_prices() -> None:
    offers = Api()("GET", "/instance-types").data
    assert len(offers) == 20
    assert all(offer["instance_type"]["name"] == name for name, offer in offers.items())
    b200 = offers["gpu_8x_b200_sxm6"]["instance_type"]
    assert b200["price_cents_per_hour"] == 3992
    assert b200["specs"] == {"vcpus": 208, "memory_gib": 2900, "storage_gib": 22528, "gpus": 8}
    assert offers[HEAD]["instance_type"]["gpu_description"] == "N/A"


def test_the_type_of_compute_nodes_is_hidden_and_launchable() -> None:
    api = Api()
    api.key()
    assert COMPUTE not in api("GET", "/instance-types").data
    specs = api.instance(api.launched())["instance_type"]["specs"]
    assert specs == {"vcpus": 208, "memory_gib": 1800, "storage_gib": 24780, "gpus": 8}


def test_there_are_17_regions() -> None:
    regions = Api()("GET", "/regions").data
    assert len({region["name"] for region in regions}) == len(regions) == 17
    assert {"name": "us-east-2", "description": "Washington DC, USA"} in regions


def test_there_is_a_row_for_each_image_in_each_region() -> None:
    images = Api()("GET", "/images").data
    rows = {(i["family"], i["version"], i["architecture"], i["region"]["name"]) for i in images}
    assert len({image["id"] for image in images}) == len(rows) == len(images) == 118
    assert {image["region"]["name"] for image in images if image["architecture"] == "arm64"} == {"us-east-3"}


def test_image_ids_are_the_same_in_every_process() -> None:
    code = "from onecc_lab import catalogue; print(catalogue.load().images[7].id)"
    lab = Path(__file__).resolve().parents[1]
    output = subprocess.run([sys.executable, "-c", code], cwd=lab, check=True, capture_output=True, text=True).stdout
    assert output.strip() == catalogue.load().images[7].id


@pytest.mark.parametrize(
    ("region", "wanted", "version"),
    [
        ("us-east-2", {}, "24.4.2-1459"),
        ("us-east-2", {"family": "lambda-stack-22-04"}, "22.4.5-1459"),
        ("us-south-1", {"family": "lambda-stack-legacy-22-04"}, "22.4.5-1459"),
        ("us-east-3", {"family": "gpu-base-22-04"}, None),
        ("us-east-2", {"family": ""}, None),
        ("us-east-2", {"id": ""}, None),
    ],
)
def test_the_newest_image_is_found(region: str, wanted: dict[str, str], version: str | None) -> None:
    image = catalogue.load().find_image(region, **wanted)
    assert (image and image.version) == version


def test_an_image_is_found_by_its_id_in_its_region_alone() -> None:
    offers = catalogue.load()
    image = next(image for image in offers.images if image.region == "us-west-1")
    assert offers.find_image("us-west-1", id=image.id) == image
    assert offers.find_image("us-west-2", id=image.id) is None


def test_every_capacity_is_in_a_region_that_exists() -> None:
    offers = catalogue.load()
    assert all(region in offers.regions for offer in offers.instance_types.values() for region in offer.capacity)


def test_the_checker_of_answers_finds_what_is_wrong() -> None:
    good = Api()("GET", "/images").data[0]
    assert problems(good, IMAGE) == []
    for bad in (
        {**good, "id": 1},
        {**good, "more": 1},
        {**good, "region": None},
        {k: good[k] for k in good if k != "id"},
    ):
        assert len(problems(bad, IMAGE)) == 1
    assert UUID.fullmatch(good["id"]) and not HEX.fullmatch(good["id"])
    assert problems(True, int) and problems([1, "a"], [int]) and problems("x", {"a", "b"}) and problems(1, (str, bool))
