"""Errors as Google sends them: google.rpc statuses for Sheets, the older form for Drive."""

from __future__ import annotations

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
NO_PERMISSION = "The caller does not have permission"
NOT_FOUND = "Requested entity was not found."
PROTECTED = (
    "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to remove protection "
    "if you need to edit."
)


class Refusal(Exception):
    """A request that is answered with an error; raised anywhere below the handler."""

    def __init__(self, code: int, message: str, details: list[dict[str, Any]] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": STATUS[self.code]}
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def within(self, prefix: str) -> Refusal:
        return Refusal(self.code, prefix + self.message, self.details)


class DriveRefusal(Refusal):
    """An error of Drive, in the form of its first versions."""

    def __init__(self, code: int, reason: str, message: str, domain: str = "global", **where: str):
        super().__init__(code, message)
        self.error = {"message": message, "domain": domain, "reason": reason} | where

    def body(self) -> dict[str, Any]:
        return {"error": {"errors": [self.error], "code": self.code, "message": self.message}}


class OAuthRefusal(Refusal):
    """An error of the token endpoint."""

    def __init__(self, error: str, description: str, code: int = 400):
        super().__init__(code, description)
        self.error = error

    def body(self) -> dict[str, Any]:
        return {"error": self.error, "error_description": self.message}


def bad_field(field: str, description: str, message: str = "") -> Refusal:
    """A malformed request, with the field that is wrong."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": description}],
    }
    return Refusal(400, message or description, [detail])


def unauthenticated() -> Refusal:
    return Refusal(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )


def insufficient_scopes(service: str) -> Refusal:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }
    return Refusal(403, "Request had insufficient authentication scopes.", [info])


def over_quota(kind: str, project: str) -> Refusal:
    """Return the error for too many requests: `kind` is Read or Write."""
    metadata = {
        "consumer": f"projects/{project}",
        "quota_limit": f"{kind}RequestsPerMinutePerUser",
        "quota_limit_value": "60",
        "quota_location": "global",
        "quota_metric": f"sheets.googleapis.com/{kind.lower()}_requests",
        "service": "sheets.googleapis.com",
    }
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": metadata,
    }
    message = (
        f"Quota exceeded for quota metric '{kind} requests' and limit '{kind} requests per minute per user' of "
        f"service 'sheets.googleapis.com' for consumer 'project_number:{project}'."
    )
    return Refusal(429, message, [info])


def service_disabled(project: str) -> Refusal:
    """The API is not enabled in the project whose credentials these are."""
    page = f"https://console.developers.google.com/apis/api/sheets.googleapis.com/overview?project={project}"
    metadata = {
        "activationUrl": page,
        "consumer": f"projects/{project}",
        "containerInfo": project,
        "service": "sheets.googleapis.com",
        "serviceTitle": "Google Sheets API",
    }
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": metadata,
    }
    links = [{"description": "Google developers console API activation", "url": page}]
    message = (
        f"Google Sheets API has not been used in project {project} before or it is disabled. Enable it by visiting "
        f"{page} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our "
        "systems and retry."
    )
    return Refusal(403, message, [info, {"@type": "type.googleapis.com/google.rpc.Help", "links": links}])
