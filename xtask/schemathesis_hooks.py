"""Every request gets an `Idempotency-Key` of its own, as clients are told to give it one.

Schemathesis uses the same few keys again and again, and then sees the answer to an earlier request, or none (422).
Where headers are wrong on purpose, they stay as they are, to be refused.
"""

import uuid

import schemathesis
from schemathesis.core.parameters import ParameterLocation

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    wrong = headers is not None and headers.mode.is_negative
    if not wrong and KEY in (case.headers or {}):
        case.headers[KEY] = str(uuid.uuid4())
