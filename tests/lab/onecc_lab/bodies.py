# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading requests: from the bytes of a body to checked values, or an error that names the field.

Patterns and lengths are those of the Lambda Cloud API 1.10.0, request bodies. Lengths count Unicode code points, as
JSON Schema does. Fields that the API does not know are ignored, as it ignores them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from .errors import ApiError, invalid_parameters

HOSTNAME = re.compile(r"[a-z0-9][0-9a-z-]{0,62}")
MOUNT_POINT = re.compile(r"(/home|/lambda/nfs|/data)[/a-zA-Z0-9-]*")
TAG_KEY = re.compile(r"[a-z][a-z0-9-:]+")
FILE_SYSTEM_NAME = re.compile(r"[a-zA-Z]+[0-9a-zA-Z-]*")

USER_DATA_BYTES = 1_000_000
"""`1MB` there; read as the smaller of the two meanings, so that what the lab takes the cloud takes too."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class LaunchRequest:
    """POST /instance-operations/launch."""

    region: str
    instance_type: str
    ssh_key_name: str
    file_system_names: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    """(file system ID, mount point)"""
    hostname: str | None
    name: str | None
    image_id: str | None
    image_family: str | None
    user_data: str
    tags: tuple[tuple[str, str], ...]
    firewall_rulesets: tuple[str, ...]


def read_object(body: bytes) -> Fields:
    """The JSON object in a body. Its content type is not looked at: curl's is that of a form."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        # A lone surrogate is a string to JSON, but no text: it could not be stored or sent.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise invalid_parameters("The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise invalid_parameters("The request body is not a JSON object.")
    return value


def read_launch(fields: Fields) -> LaunchRequest:
    """Checks what can be checked without knowing the account."""
    _check_quantity(fields)
    keys = _texts(fields, "ssh_key_names", required=True)
    if len(keys) != 1:
        raise invalid_parameters("ssh_key_names: exactly one SSH key must be specified.")
    image_id, image_family = _image(fields)
    return LaunchRequest(
        region=_text(fields, "region_name", required=True),
        instance_type=_text(fields, "instance_type_name", required=True),
        ssh_key_name=keys[0],
        file_system_names=_texts(fields, "file_system_names"),
        mounts=_mounts(fields),
        hostname=_optional_text(fields, "hostname", shortest=1, longest=63, pattern=HOSTNAME),
        name=read_instance_name(fields),
        image_id=image_id,
        image_family=image_family,
        user_data=_user_data(fields),
        tags=tuple(_tag(entry, where) for entry, where in _objects(fields, "tags")),
        firewall_rulesets=tuple(
            _text(e, "id", where, required=True) for e, where in _objects(fields, "firewall_rulesets")
        ),
    )


def read_instance_name(fields: Fields) -> str | None:
    """The `name` of an instance; None where it is not given."""
    return _optional_text(fields, "name", longest=64)


def read_instance_ids(fields: Fields) -> list[str]:
    """The `instance_ids` to act on, each once, in their order."""
    return list(dict.fromkeys(_texts(fields, "instance_ids", required=True)))


def read_ssh_key(fields: Fields) -> tuple[str, str | None]:
    """Name and public key; None where a pair is to be generated."""
    name = _text(fields, "name", required=True, shortest=1, longest=64)
    return name, _optional_text(fields, "public_key", shortest=1, longest=4096)


def read_file_system(fields: Fields) -> tuple[str, str]:
    """Name and region."""
    name = _text(fields, "name", required=True, shortest=1, longest=60, pattern=FILE_SYSTEM_NAME)
    return name, _text(fields, "region", required=True)


def _check_quantity(fields: Fields) -> None:
    """`quantity` is gone from the API's description; 1 is still taken, and more answered as here."""
    quantity = fields.get("quantity", 1)
    if not _is_integer(quantity) or quantity < 1:
        raise _wrong("quantity", "must be the integer 1")
    if quantity > 1:
        raise invalid_parameters("quantity: Requested too many instances.")


def _image(fields: Fields) -> tuple[str | None, str | None]:
    """ID or family; the ID where both are given."""
    if "image" not in fields:
        return None, None
    image = fields["image"]
    if not isinstance(image, dict) or not {"id", "family"} & image.keys():
        raise _wrong("image", "must be an object with an id or a family")
    if "id" in image:
        return _text(image, "id", "image.", required=True), None
    return None, _text(image, "family", "image.", required=True)


def _mounts(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            _text(entry, "file_system_id", where, required=True),
            _text(entry, "mount_point", where, required=True, longest=256, pattern=MOUNT_POINT),
        )
        for entry, where in _objects(fields, "file_system_mounts")
    )


def _tag(entry: Fields, where: str) -> tuple[str, str]:
    key = _text(entry, "key", where, required=True, longest=55, pattern=TAG_KEY)
    return key, _text(entry, "value", where, required=True, longest=128)


def _user_data(fields: Fields) -> str:
    user_data = _text(fields, "user_data")
    if len(user_data.encode()) > USER_DATA_BYTES:
        raise _wrong("user_data", f"must not exceed {USER_DATA_BYTES} bytes")
    return user_data


def _text(
    fields: Fields,
    name: str,
    where: str = "",
    *,
    required: bool = False,
    shortest: int = 0,
    longest: int | None = None,
    pattern: re.Pattern[str] | None = None,
) -> str:
    """A string field; empty where it is absent and need not be there. `where` is what its name begins with."""
    if name not in fields:
        if required:
            raise _wrong(where + name, "is required")
        return ""
    value = fields[name]
    if not isinstance(value, str):
        raise _wrong(where + name, "must be a string")
    if len(value) < shortest or (longest is not None and len(value) > longest):
        raise _wrong(where + name, f"must have {shortest} to {longest} characters")
    if pattern is not None and not pattern.fullmatch(value):
        raise _wrong(where + name, f"must match ^{pattern.pattern}$")
    return value


def _optional_text(fields: Fields, name: str, **rules: Any) -> str | None:
    return _text(fields, name, **rules) if name in fields else None


def _texts(fields: Fields, name: str, *, required: bool = False) -> tuple[str, ...]:
    if name not in fields and required:
        raise _wrong(name, "is required")
    values = fields.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _wrong(name, "must be an array of strings")
    return tuple(values)


def _objects(fields: Fields, name: str) -> list[tuple[Fields, str]]:
    """The objects of an array, each with the beginning of its fields' names for messages."""
    values = fields.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise _wrong(name, "must be an array of objects")
    return [(value, f"{name}[{index}].") for index, value in enumerate(values)]


def _is_integer(value: Any) -> bool:
    # True is an int to Python, but not to JSON.
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(name: str, rule: str) -> ApiError:
    return invalid_parameters(f"{name}: {rule}.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
