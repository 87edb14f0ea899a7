"""What handlers share."""

from fastapi import Request, Response

from .stores import Stores


def stores_of(request: Request) -> Stores:
    return request.app.state.stores


def json_response(body: bytes) -> Response:
    """A response whose body is JSON already."""
    return Response(body, media_type="application/json")
