"""Checks docker-compose.yml beyond its schema, and deploy/supervisor by loading it with supervisord."""

import pathlib
import re
import sys
import tempfile

import yaml
from supervisor.options import ServerOptions

OURS = ("api", "worker")
# Settings that the compose file does not pass on: its own Redis needs none of them, and the others name files on the host.
NOT_PASSED_ON = """
    REDIS_PORT REDIS_PASSWORD REDIS_URL CACHE_REDIS_URL QUEUE_REDIS_URL CELERY_BROKER_URL NOTIFICATION_REDIS_URL REDIS_CA_FILE REDIS_SENTINELS
    REDIS_SENTINEL_SERVICE REDIS_SENTINEL_PASSWORD REDIS_SENTINEL_TLS REDIS_PREFIX MAIL_CA_FILE MAIL_FOLDER
"""
failures = []


def check(holds, text):
    if not holds:
        failures.append(text)


def compose(top):
    services = yaml.safe_load((top / "docker-compose.yml").read_text())["services"]
    known = set(re.findall(r"^# ([A-Z_]+)=", (top / ".env.example").read_text(), re.M))
    check({"api", "worker", "redis", "postgres", "mailpit"} <= set(services), "a service is missing")
    for name, service in services.items():
        check("healthcheck" in service, f"{name}: no health check")
        check("max-size" in service.get("logging", {}).get("options", {}), f"{name}: unlimited log")
        check("no-new-privileges:true" in service.get("security_opt", []), f"{name}: no no-new-privileges")
        check("container_name" not in service, f"{name}: container_name prevents scaling")
        check(name in OURS or not service["image"].endswith(("latest", name)), f"{name}: image without a version")
        for port in service.get("ports", []):
            check(port.startswith("127.0.0.1:"), f"{name}: {port} is not bound to 127.0.0.1")
    for name in OURS:
        service = services[name]
        check(service["read_only"] and service["tmpfs"] == ["/tmp"], f"{name}: file system is not read-only")
        check(service["cap_drop"] == ["ALL"], f"{name}: capabilities are not dropped")
        unknown = set(service["environment"]) - known
        check(not unknown, f"{name}: unknown settings: {unknown}")
        waits = {other: how["condition"] for other, how in service["depends_on"].items()}
        check(waits == {"postgres": "service_healthy", "redis": "service_healthy"}, f"{name}: does not wait for healthy servers")
    passed_on = {setting for name in OURS for setting in services[name]["environment"]}
    missing = known - passed_on - set(NOT_PASSED_ON.split())
    check(not missing, f"docker-compose.yml does not pass on {missing}")
    check(services["api"]["ports"] == ["127.0.0.1:5000-5009:5000"], "api: ports other than 5000-5009")
    redis = services["redis"]
    check(redis["image"].startswith("redis:7.2"), "redis: not version 7.2")
    check("--appendonly yes --maxmemory-policy noeviction" in " ".join(redis["command"]), "redis: append-only file or eviction policy is missing")
    check(redis["volumes"] == ["redis:/data"], "redis: no volume")


def supervisor(top):
    programs = (top / "deploy/supervisor/parkade.conf").read_text()
    with tempfile.TemporaryDirectory() as folder:
        # This machine has neither the user nor the folders.
        programs = programs.replace("user=parkade\n", "user=root\n").replace("/var/log/parkade", folder)
        programs = programs.replace("/var/lib/parkade", folder).replace("/usr/local/bin/", "/bin/true ")
        file = pathlib.Path(folder, "supervisord.conf")
        file.write_text(f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\n{programs}")
        options = ServerOptions()
        options.realize(args=["-n", "-c", str(file)])
        groups = {group.name: [process.name for process in group.process_configs] for group in options.process_group_configs}
        check(groups == {"parkade": ["parkade-api", "parkade-worker-0"]}, f"supervisor: unexpected programs {groups}")
        for process in options.process_group_configs[0].process_configs:
            check(process.stopwaitsecs >= 30 and process.autorestart, f"{process.name}: stops too soon, or is not restarted")
            check(process.stdout_logfile_maxbytes > 0, f"{process.name}: its log grows without bound")


top = pathlib.Path(sys.argv[1])
compose(top)
supervisor(top)
for failure in failures:
    print(failure, file=sys.stderr)
sys.exit(bool(failures))
