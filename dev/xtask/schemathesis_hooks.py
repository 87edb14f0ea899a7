"""Adjusts generated requests to what a real client would send."""

import os
import uuid

import schemathesis
from schemathesis.core.parameters import ParameterLocation

KEY = "Idempotency-Key"
CALLER = os.environ.get("PARKADE_CALLER")
NO_USER = 999999999
NO_SESSION = "0190a0a0-0000-7000-8000-000000000000"


@schemathesis.hook
def before_call(context, case, kwargs):
    give_new_key(case)
    keep_login(case)


def give_new_key(case):
    """Gives each request a new key. Schemathesis repeats a few keys, and would get the response to an earlier request, or
    422. Headers that are invalid on purpose are kept.
    """
    headers = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    wrong = headers is not None and headers.mode.is_negative
    if not wrong and KEY in (case.headers or {}):
        case.headers[KEY] = str(uuid.uuid4())


def keep_login(case):
    """Keeps the caller's own session, which all later requests need: their password, their role, and the session itself."""
    if case.method == "DELETE" and case.operation.path == "/api/auth/sessions/{id}":
        case.path_parameters = {"id": NO_SESSION}
    ends_sessions = case.method == "DELETE" and case.operation.path == "/api/users/{id}/sessions"
    if ends_sessions and str((case.path_parameters or {}).get("id")) == CALLER:
        case.path_parameters = {"id": NO_USER}
    deletes_user = case.method == "DELETE" and case.operation.path == "/api/users/{id}"
    if deletes_user and str((case.path_parameters or {}).get("id")) in (CALLER, "me"):
        case.path_parameters = {"id": NO_USER}
    changes_user = case.method == "PUT" and case.operation.path == "/api/users/{id}"
    if changes_user and str((case.path_parameters or {}).get("id")) in (CALLER, "me") and isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name not in ("password", "role")}
