"""What a generated request needs to be one that a client would send."""

import os
import uuid

import schemathesis
from schemathesis.core.parameters import ParameterLocation

KEY = "Idempotency-Key"
CALLER = os.environ.get("PARKADE_CALLER")


@schemathesis.hook
def before_call(context, case, kwargs):
    give_new_key(case)
    keep_login(case)


def give_new_key(case):
    """Each request has a key of its own. Schemathesis uses the same few again and again, and then sees the answer to an
    earlier request, or none (422). Where headers are wrong on purpose, they stay as they are, to be refused.
    """
    headers = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    wrong = headers is not None and headers.mode.is_negative
    if not wrong and KEY in (case.headers or {}):
        case.headers[KEY] = str(uuid.uuid4())


def keep_login(case):
    """Callers keep their own password and role: others end their sessions, and they would be nobody from then on."""
    changes_user = case.method == "PUT" and case.operation.path == "/api/users/{id}"
    if changes_user and str((case.path_parameters or {}).get("id")) == CALLER and isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name not in ("password", "role")}
