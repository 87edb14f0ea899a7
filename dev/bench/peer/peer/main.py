"""The API. Run by uvicorn with a worker process for each core."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import auth, bookings, reads, reports
from .stores import Stores


async def end_with_supervisor() -> None:
    """Uvicorn's worker processes would outlive a supervisor that was killed."""
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.stores = await Stores.connect()
    watching = asyncio.create_task(end_with_supervisor())
    yield
    watching.cancel()
    await app.state.stores.close()


app = FastAPI(title="Parking", lifespan=lifespan)
for module in (auth, reads, bookings, reports):
    app.include_router(module.router)
