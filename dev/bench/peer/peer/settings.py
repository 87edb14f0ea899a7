"""Settings, read from the environment once."""

import os
from datetime import timedelta
from zoneinfo import ZoneInfo

DATABASE_URL = os.environ["DATABASE_URL"]
REDIS_URL = os.environ["REDIS_URL"]
JWT_SECRET = os.environ["JWT_SECRET_KEY"]
SMTP_HOST = os.environ.get("MAIL_SERVER", "127.0.0.1")
SMTP_PORT = int(os.environ.get("MAIL_PORT", "25"))
SENDER = "parking@peer.example"

# Of each process. Two processes with eight connections keep PostgreSQL busy on two cores.
DATABASE_CONNECTIONS = 8
SESSION = timedelta(hours=12)
ZONE = ZoneInfo("Asia/Kolkata")

# How long responses may stay in the cache, in seconds, if no write removes them before.
CACHE_SHORT = 10
CACHE_REPORT = 300
