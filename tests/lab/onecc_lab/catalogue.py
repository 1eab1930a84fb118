# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud offers: regions, instance types and images, as `catalogue.json` beside this file has them.

The figures are those that the live API listed in November 2025 (17 regions, 20 public instance types, 118 images).
Three things differ, so that a cluster can be launched in the lab: `cpu_4x_general` has capacity everywhere (it was sold
out); `gpu_8x_h100_sxm5gdr`, the type of a cluster's compute nodes, which the real API does not list either, can be
launched by name, with the figures of the example in the Lambda Cloud API 1.10.0; and a build of an image has the same
name, description and times in all of its regions (on the real API they differ by minutes).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HEAD_TYPE = "cpu_4x_general"
"""The type of the lab's head nodes. The real one is not public; it has no GPU either."""

COMPUTE_TYPE = "gpu_8x_h100_sxm5gdr"
"""The type of the lab's compute nodes (Lambda Cloud API 1.10.0, example of an instance type)."""

DEFAULT_FAMILIES = ("lambda-stack-22-04", "lambda-stack-24-04")
"""The newest of these is the image of an instance that asks for none ("latest Lambda Stack", same source)."""

_NAMESPACE = uuid.UUID("6f6e6563-632d-4c61-8220-696d61676573")
"""Where the image IDs come from: a UUID of our own, so that an image has one ID on every computer."""


@dataclass(frozen=True)
class InstanceType:
    """A kind of machine. Memory and storage in GiB, price in US cents an hour for the whole machine."""

    name: str
    description: str
    gpu_description: str
    price_cents_per_hour: int
    vcpus: int
    memory_gib: int
    storage_gib: int
    gpus: int
    capacity: tuple[str, ...]
    """Names of the regions that have a free machine of this type."""
    hidden: bool
    """True: it can be launched, but is not listed."""

    def as_json(self) -> dict[str, Any]:
        """The API's InstanceType."""
        specs = ("vcpus", "memory_gib", "storage_gib", "gpus")
        return {
            "name": self.name,
            "description": self.description,
            "gpu_description": self.gpu_description,
            "price_cents_per_hour": self.price_cents_per_hour,
            "specs": {name: getattr(self, name) for name in specs},
        }


@dataclass(frozen=True)
class Image:
    """A machine image in one region. Times as ISO 8601."""

    id: str
    created_time: str
    updated_time: str
    name: str
    description: str
    family: str
    version: str
    architecture: str
    region: str


@dataclass(frozen=True)
class Catalogue:
    """Everything on offer, by name."""

    regions: dict[str, str]
    """Description by name."""
    instance_types: dict[str, InstanceType]
    images: tuple[Image, ...]

    def region_json(self, name: str) -> dict[str, str]:
        """The API's Region."""
        return {"name": name, "description": self.regions[name]}

    def image_json(self, image: Image) -> dict[str, Any]:
        """The API's Image."""
        return {**vars(image), "region": self.region_json(image.region)}

    def offers_json(self) -> dict[str, Any]:
        """What GET /instance-types answers: the public types with the regions that have capacity."""
        return {
            offer.name: {
                "instance_type": offer.as_json(),
                "regions_with_capacity_available": [self.region_json(name) for name in offer.capacity],
            }
            for offer in self.instance_types.values()
            if not offer.hidden
        }

    def find_image(self, region: str, *, id: str | None = None, family: str | None = None) -> Image | None:
        """The newest image of a region with this ID, of this family, or of the default families."""
        families = DEFAULT_FAMILIES if family is None else (family,)
        found = [
            image
            for image in self.images
            if image.region == region and (image.id == id if id is not None else image.family in families)
        ]
        return max(found, key=lambda image: image.created_time, default=None)


@cache
def load() -> Catalogue:
    """The catalogue of this package."""
    data = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    types = (_instance_type(row, data["regions"]) for row in data["instance_types"])
    images = (image for build in data["image_builds"] for image in _images(build, data))
    return Catalogue(data["regions"], {offer.name: offer for offer in types}, tuple(images))


def _instance_type(row: dict[str, Any], regions: dict[str, str]) -> InstanceType:
    capacity = regions if row["capacity"] == "everywhere" else row["capacity"]
    return InstanceType(**{"hidden": False, **row, "capacity": tuple(capacity)})


def _images(build: dict[str, Any], data: dict[str, Any]) -> list[Image]:
    """One build in each of its regions."""
    fields = {key: build[key] for key in ("created_time", "updated_time", "family", "version", "architecture")}
    regions = build.get("only_in") or [name for name in data["regions"] if name not in build["not_in"]]
    return [
        Image(
            id=str(uuid.uuid5(_NAMESPACE, "/".join((region, *(fields[key] for key in sorted(fields)))))),
            region=region,
            **data["image_families"][build["family"]],
            **fields,
        )
        for region in regions
    ]
