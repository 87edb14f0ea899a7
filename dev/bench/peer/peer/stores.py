"""The connections of a process to PostgreSQL and Redis, and the cache."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from . import settings
from .models import MailJob

MAIL_QUEUE = "mails"


class BatchedReads:
    """Reads of many requests in one command: those that arrive while a command runs wait for the next one."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.waiting: dict[str, list[asyncio.Future[bytes | None]]] = {}
        self.sender: asyncio.Task[None] | None = None

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        future = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(key, []).append(future)
        if self.sender is None:
            self.sender = asyncio.create_task(self.send())
        return future

    async def send(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting, {}
            error, values = None, [None] * len(batch)
            try:
                values = await self.redis.mget(batch)
            except RedisError as failure:
                error = failure
            for futures, value in zip(batch.values(), values, strict=True):
                for future in futures:
                    if future.cancelled():
                        continue
                    if error:
                        future.set_exception(error)
                    else:
                        future.set_result(value)
        self.sender = None


@dataclass(slots=True)
class Stores:
    """What the handlers of a process share."""

    db: asyncpg.Pool
    redis: Redis
    reads: BatchedReads

    @classmethod
    async def connect(cls) -> Self:
        size = settings.DATABASE_CONNECTIONS
        db = await asyncpg.create_pool(settings.DATABASE_URL, min_size=size, max_size=size)
        redis = Redis.from_url(settings.REDIS_URL)
        return cls(db, redis, BatchedReads(redis))

    async def enqueue(self, job: MailJob, *stale: str) -> None:
        """Hands a mail to the worker, and removes these keys from the cache."""
        async with self.redis.pipeline(transaction=False) as pipe:
            if stale:
                pipe.delete(*stale)
            pipe.rpush(MAIL_QUEUE, job.model_dump_json())
            await pipe.execute()

    async def close(self) -> None:
        await self.db.close()
        await self.redis.aclose()

    async def cached(self, key: str, seconds: int, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """The bytes under this key, which are loaded if they are missing."""
        body = await self.reads.get(key)
        if body is None:
            body = await load()
            await self.redis.set(key, body, ex=seconds)
        return body
