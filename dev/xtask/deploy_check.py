"""Rules for docker-compose.yml that its schema does not know, and the programs of deploy/supervisor as supervisord reads them."""

import pathlib
import re
import sys
import tempfile

import yaml
from supervisor.options import ServerOptions

OURS = ("api", "worker")
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
        check("max-size" in service.get("logging", {}).get("options", {}), f"{name}: its log grows without bound")
        check("no-new-privileges:true" in service.get("security_opt", []), f"{name}: may gain privileges")
        check("container_name" not in service, f"{name}: with a name of its own it cannot be scaled")
        check(name in OURS or not service["image"].endswith(("latest", name)), f"{name}: its image has no version")
        for port in service.get("ports", []):
            check(port.startswith("127.0.0.1:"), f"{name}: {port} is open to everybody")
    for name in OURS:
        service = services[name]
        check(service["read_only"] and service["tmpfs"] == ["/tmp"], f"{name}: can write where it must not")
        check(service["cap_drop"] == ["ALL"], f"{name}: has capabilities")
        unknown = set(service["environment"]) - known
        check(not unknown, f"{name}: there are no such settings: {unknown}")
        waits = {other: how["condition"] for other, how in service["depends_on"].items()}
        check(waits == {"postgres": "service_healthy", "redis": "service_healthy"}, f"{name}: does not wait for its servers")
    check(services["api"]["ports"] == ["127.0.0.1:5000-5009:5000"], "api: not on 5000, or cannot be scaled")
    redis = services["redis"]
    check(redis["image"].startswith("redis:7.2"), "redis: another version than 7.2")
    check("--appendonly yes --maxmemory-policy noeviction" in " ".join(redis["command"]), "redis: loses its data")
    check(redis["volumes"] == ["redis:/data"], "redis: keeps its data nowhere")


def supervisor(top):
    programs = (top / "deploy/supervisor/parkade.conf").read_text()
    with tempfile.TemporaryDirectory() as folder:
        # Neither the user nor the folders are on this machine.
        programs = programs.replace("user=parkade\n", "user=root\n").replace("/var/log/parkade", folder)
        programs = programs.replace("/var/lib/parkade", folder).replace("/usr/local/bin/", "/bin/true ")
        file = pathlib.Path(folder, "supervisord.conf")
        file.write_text(f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\n{programs}")
        options = ServerOptions()
        options.realize(args=["-n", "-c", str(file)])
        groups = {group.name: [process.name for process in group.process_configs] for group in options.process_group_configs}
        check(groups == {"parkade": ["parkade-api", "parkade-worker-0"]}, f"supervisor reads {groups}")
        for process in options.process_group_configs[0].process_configs:
            check(process.stopwaitsecs >= 30 and process.autorestart, f"{process.name}: is not stopped or started gently")
            check(process.stdout_logfile_maxbytes > 0, f"{process.name}: its log grows without bound")


top = pathlib.Path(sys.argv[1])
compose(top)
supervisor(top)
for failure in failures:
    print(failure, file=sys.stderr)
sys.exit(bool(failures))
