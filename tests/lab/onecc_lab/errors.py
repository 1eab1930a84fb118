# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's errors: what its clients see of a request that failed.

Codes and statuses are those of the Lambda Cloud API 1.10.0, with three exceptions that it does not document: the codes
of 405 and 429, and 413 for a body that is too large.
"""

from __future__ import annotations


class ApiError(Exception):
    """A request that failed, with what its answer says: an HTTP status, a code, a message, maybe a suggestion."""

    def __init__(self, status: int, code: str, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.suggestion = suggestion

    def envelope(self) -> dict[str, dict[str, str]]:
        """The body of the answer."""
        error = {"code": self.code, "message": self.message}
        if self.suggestion is not None:
            error["suggestion"] = self.suggestion
        return {"error": error}


def invalid_parameters(message: str) -> ApiError:
    """The request's body or query is not what the API takes; the message names the field."""
    return ApiError(400, "global/invalid-parameters", message)


def body_too_large(limit: int) -> ApiError:
    """The request's body has more than `limit` bytes."""
    return ApiError(413, "global/invalid-parameters", f"The request body exceeds {limit} bytes.")


def invalid_api_key() -> ApiError:
    """No key, or not the account's."""
    return ApiError(
        401, "global/invalid-api-key", "The API key is missing or not valid.", "Send the key of this account."
    )


def not_found() -> ApiError:
    """There is no such route."""
    return ApiError(404, "global/not-found", "There is nothing at this address.")


def method_not_allowed(allowed: str) -> ApiError:
    """The route exists, but not for this method. The code is the lab's own: the API documents none."""
    return ApiError(405, "global/method-not-allowed", f"This address answers to {allowed}.")


def does_not_exist(what: str) -> ApiError:
    """A resource that the request names does not exist."""
    return ApiError(404, "global/object-does-not-exist", f"{what} does not exist.", "Check the name or ID.")


def duplicate(what: str) -> ApiError:
    """The name is taken."""
    return ApiError(400, "global/duplicate", f"{what} exists already.")


def quota_exceeded(what: str) -> ApiError:
    """The account may not have more of these."""
    return ApiError(400, "global/quota-exceeded", f"Quota exceeded: {what}.", "Delete what is no longer needed.")


def conflict(message: str) -> ApiError:
    """The resource is in a state that does not allow the operation."""
    return ApiError(409, "global/conflict", message)


def insufficient_capacity(instance_type: str, region: str) -> ApiError:
    """The region has no free machine of the type."""
    return ApiError(
        400,
        "instance-operations/launch/insufficient-capacity",
        f"{region} has no capacity for {instance_type}.",
        "Choose another region, or try again later.",
    )


def file_system_in_wrong_region(name: str, region: str) -> ApiError:
    """An instance cannot mount a file system of another region."""
    return ApiError(
        400, "instance-operations/launch/file-system-in-wrong-region", f"The file system {name} is not in {region}."
    )


def file_system_in_use(name: str) -> ApiError:
    """A file system that an instance mounts cannot be deleted."""
    return ApiError(400, "filesystems/filesystem-in-use", f"The file system {name} is mounted to an instance.")


def too_many_requests() -> ApiError:
    """Over a rate limit. The code is the lab's own: the API documents the limits, but no answer."""
    return ApiError(429, "global/too-many-requests", "Too many requests.", "Slow down.")


def provider_unavailable() -> ApiError:
    """What runs the machines failed (Lambda Cloud API 1.10.0, description, "Provider errors")."""
    return ApiError(503, "provider/internal-unavailable", "Provider unavailable", "Try again shortly")


def internal_error(message: str = "An error inside the server; see its log.") -> ApiError:
    """A defect of the server, or of the file that it was told to serve."""
    return ApiError(500, "global/internal-error", message, "Try again later.")
