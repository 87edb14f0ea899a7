"""Passwords, tokens, and who calls."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from . import settings
from .web import stores_of

router = APIRouter()

# Argon2id with 19 MiB, 2 passes and 1 lane. It releases the interpreter's lock, so a thread per core hashes.
hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
threads = ThreadPoolExecutor(os.cpu_count() or 1, "argon2")
# Verified for an unknown address, so that the answer takes as long as for a known one.
DUMMY_HASH = hasher.hash("nobody has this password")


@dataclass(slots=True, frozen=True)
class Caller:
    user_id: int
    is_admin: bool


async def authenticated(request: Request) -> Caller:
    """The caller, from the token in the header `Authorization`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "log in first")
    try:
        claims = jwt.decode(token, settings.JWT_SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "the token is invalid or has expired") from error
    return Caller(int(claims["sub"]), claims["role"] == "admin")


async def administrator(caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
    if not caller.is_admin:
        raise HTTPException(403, "only administrators may do this")
    return caller


AnyCaller = Annotated[Caller, Depends(authenticated)]
Administrator = Annotated[Caller, Depends(administrator)]


class Credentials(BaseModel):
    email: str
    password: str


class User(BaseModel):
    id: int
    username: str
    email: str
    role: str
    phone_number: str | None


class LoggedIn(BaseModel):
    msg: str = "logged in"
    token: str
    user: User


def is_right(stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def new_token(user_id: int, role: str) -> str:
    claims = {"sub": str(user_id), "role": role, "exp": datetime.now(UTC) + settings.SESSION}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm="HS256")


@router.post("/api/auth/login")
async def log_in(request: Request, credentials: Credentials) -> LoggedIn:
    query = "SELECT id, username, email, role, phone_number, password_hash FROM users WHERE email = $1"
    row = await stores_of(request).db.fetchrow(query, credentials.email.strip().lower())
    stored = row["password_hash"] if row else DUMMY_HASH
    loop = asyncio.get_running_loop()
    if not await loop.run_in_executor(threads, is_right, stored, credentials.password) or row is None:
        raise HTTPException(401, "the email or the password is wrong")
    return LoggedIn(token=new_token(row["id"], row["role"]), user=User(**row))
