"""The containers, without Docker: the files held to their specifications, and to what `cluster` runs on one machine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from chassis.settings import ServiceSettings
from deploy import databases, kafka, postgres
from deploy.cluster import cluster
from deploy.databases import LOG_READER
from deploy.installation import Installation
from deploy.postgres import Postgres, passwords
from deploy.product import Options, environment
from deploy.roles import MANY, ROLES, SERVICES, Service
from tests.docs.pages import code, page, rows, section

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in CONTAINERS.items() if each["image"].startswith("shuke:")}
SERVING = {name: each for name, each in OURS.items() if each["command"][0] == "serve"}
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[?-])(?P<word>[^}]*))?\}")

GIVEN = {"SHUKE_IDENTITY_KEY": "/etc/shuke/identity.key", "SHUKE_INTERNAL_SECRET": "s" * 32}
"""What a person writes into `.env`; a password is the name of its variable."""


def text_of_compose() -> str:
    lines = (ROOT / "docker-compose.yml").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def references() -> list[dict[str, str | None]]:
    return [found.groupdict() for found in REFERENCE.finditer(text_of_compose())]


def resolved(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        word = found["word"] if found["how"] == ":-" else found["name"]
        return GIVEN.get(found["name"], word)

    return REFERENCE.sub(value, text)


def settings_of(container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container where `.env` holds no more than it must."""
    return {name: resolved(value) for name, value in container["environment"].items() if value is not None}


def service_of(container: dict[str, Any]) -> Service:
    [service] = {each for each in SERVICES for part in each.parts if each.role(part) in container["command"]}
    return service


def variables_of(service: Service) -> dict[str, bool]:
    """The variables that a service's settings are read from, each with whether it is required."""
    settings: type[ServiceSettings] = import_module(f"{service.package}.app").Settings
    prefix = settings.model_config["env_prefix"]
    return {
        str(field.validation_alias or f"{prefix}{name}".upper()): field.is_required()
        for name, field in settings.model_fields.items()
    }


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings with which `cluster` runs the same roles."""
    folder = tmp_path_factory.mktemp("data")
    shape = cluster(Options(folder), brokers=1, workers=2)
    server = Postgres(folder / "postgres", 20000, passwords(folder))
    return environment(shape, server, "kafka://127.0.0.1:20001", Installation(currency="EUR"), folder / "identity.key")


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())

    validator = jsonschema.validators.validator_for(schema)(schema)

    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert [*validator.iter_errors({**COMPOSE, "services": {"x": {"comand": []}}})] != []


def test_every_role_has_its_container_and_those_of_which_there_are_many_two() -> None:
    played = Counter(role for container in SERVING.values() for role in container["command"][1:])

    assert played == {role: 2 if role in MANY else 1 for role in ROLES}
    assert all(len(container["command"]) == 2 for container in SERVING.values())
    assert OURS.keys() - SERVING.keys() == {"migrate"}
    assert OURS["migrate"]["command"] == ["migrate"]


@pytest.mark.parametrize("name", SERVING)
def test_a_container_has_every_setting_that_cluster_gives_and_none_that_is_unknown(
    name: str, beside: dict[str, str]
) -> None:
    container = SERVING[name]
    service = service_of(container)
    known = variables_of(service)
    everywhere = {code(row[0]) for row in rows(page("settings.md")) if row[0].startswith("`SHUKE_")}

    given = container["environment"].keys()

    assert given - known.keys() - everywhere == set()
    assert given >= {variable for variable, required in known.items() if required}
    assert given >= known.keys() & beside.keys()


@pytest.mark.parametrize("name", SERVING)
def test_a_container_s_settings_are_read_as_they_are_meant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = SERVING[name]
    service = service_of(container)
    for variable in [each for each in os.environ if each.startswith("SHUKE_")]:
        monkeypatch.delenv(variable)
    for variable, value in settings_of(container).items():
        monkeypatch.setenv(variable, value)

    settings: ServiceSettings = import_module(f"{service.package}.app").Settings()

    database = urlsplit(settings.database_url)
    assert (database.username, database.hostname, database.path) == (service.name, "postgres", f"/{service.name}")
    assert settings.bus_url == "kafka://kafka:9092"
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    defaults = {each: ServiceSettings.model_fields[each].default for each in ServiceSettings.model_fields}
    for field in ("time_zone", "log_level", *(each for each in defaults if "_retention_" in each)):
        assert getattr(settings, field) == defaults[field]
    logs = {each: urlsplit(url) for each, url in getattr(settings, "source_urls", {}).items()}
    assert logs.keys() == set(service.reads)
    for each, url in logs.items():
        assert (url.username, url.password, url.path) == (LOG_READER, "LOG_READER_PASSWORD", f"/{each}")


def test_the_gateway_finds_every_service_where_its_container_listens() -> None:
    addresses = json.loads(settings_of(CONTAINERS["gateway"])["GATEWAY_SERVICES"])

    assert addresses == {each.name: f"http://{each.name}:8000" for each in SERVICES if each.name != "gateway"}


def test_consumers_have_names_that_stay_and_differ() -> None:
    names = {name: each["environment"].get("SHUKE_MEMBER") for name, each in SERVING.items()}

    assert {name for name, member in names.items() if member} == {
        name for name in SERVING if "-worker" in name or name == "gateway-feed"
    }
    assert all(member in (None, name) for name, member in names.items())


def test_databases_are_migrated_as_the_services_reach_them_before_any_of_them_starts() -> None:
    migrated = settings_of(CONTAINERS["migrate"])

    for container in SERVING.values():
        variable = databases.variable(service_of(container).name)
        assert migrated.pop(variable, None) in (None, settings_of(container)[variable])
        assert container["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert migrated.keys() == {"SHUKE_SUPERUSER_URL", "SHUKE_LOG_READER_PASSWORD"}
    assert migrated["SHUKE_LOG_READER_PASSWORD"] == "LOG_READER_PASSWORD"
    assert urlsplit(migrated["SHUKE_SUPERUSER_URL"]).password == "POSTGRES_PASSWORD"
    assert CONTAINERS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert CONTAINERS["migrate"]["restart"] == "no"


def test_postgresql_is_set_up_as_the_one_that_cluster_runs() -> None:
    server = CONTAINERS["postgres"]
    options = dict(word.removeprefix("--").split("=") for word in server["command"][1:])
    of_a_wheel = {"listen_addresses", "unix_socket_directories", "logging_collector"}

    assert options.pop("shared_buffers") == "${POSTGRES_SHARED_BUFFERS:-512MB}"
    assert options == {name: value for name, value in postgres.SETTINGS.items() if name not in of_a_wheel}
    assert server["image"] == "postgres:18"
    assert server["volumes"] == ["postgres:/var/lib/postgresql"]


def test_kafka_is_given_every_property_of_the_broker_that_cluster_runs() -> None:
    node = kafka.Node(1, Path("data"), 9092, 9093, 512)
    lines = kafka.properties(node, (node,)).splitlines()
    wanted = {
        f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (line.split("=", 1) for line in lines)
    }
    of_this_place = {
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@kafka:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://kafka:9092",
        "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
        "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
    }

    assert CONTAINERS["kafka"]["environment"] == wanted | of_this_place
    assert CONTAINERS["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    assert CONTAINERS["kafka"]["volumes"] == ["kafka:/var/lib/kafka/data"]


def test_only_the_gateway_is_reached_from_outside_and_only_from_this_machine_unless_told_otherwise() -> None:
    published = {name: each["ports"] for name, each in CONTAINERS.items() if "ports" in each}

    assert {name: [resolved(port) for port in ports] for name, ports in published.items()} == {
        "gateway": ["127.0.0.1:8000:8000"]
    }
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    # Webhooks are called from inside: their caller goes out, and nobody comes in to it.
    going_out = {name for name, each in CONTAINERS.items() if each["networks"] != ["inside"]}
    assert going_out == {"gateway", "gateway-deliverer"}


def test_no_password_key_or_secret_has_a_default_and_each_must_be_given() -> None:
    secret = {each["name"] for each in references() if re.search("PASSWORD|SECRET|_KEY", each["name"] or "")}
    defaults = {each["name"] for each in references() if each["how"] == ":-"}
    required = {each["name"] for each in references() if each["how"] == ":?"}
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))

    assert secret == required == example.keys()
    assert not secret & defaults
    assert set(example.values()) == {""}
    values = [value for each in CONTAINERS.values() for value in each.get("environment", {}).values() if value]
    words = [word for value in values for word in re.findall(r"//\w+:([^@\"]+)@", value)]
    assert words
    assert all(word.startswith("${") for word in words)


def test_the_example_names_every_variable_that_the_file_reads_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text()
    optional = {each["name"]: each["word"] for each in references() if each["how"] == ":-"}
    passed_on = {name: "" for each in OURS.values() for name, value in each["environment"].items() if value is None}

    assert dict(re.findall(r"^#([A-Z_]+)=(.*)$", text, re.MULTILINE)) == optional | passed_on


def test_every_container_is_limited_restarted_and_bounded_in_its_log() -> None:
    for name, container in CONTAINERS.items():
        assert container["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert container["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert container["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_what_answers_is_asked_whether_it_is_ready() -> None:
    asked = {name for name, each in CONTAINERS.items() if "healthcheck" in each}

    assert asked == {"postgres", "kafka", *SERVING}
    answering = {service.name for service in SERVICES}
    for name, container in SERVING.items():
        [_, _, _, script] = container["healthcheck"]["test"]
        port = "8000" if name in answering else container["environment"]["SHUKE_PROBE_PORT"]
        assert f"http://127.0.0.1:{port}/readyz" in script
        compile(script, "healthcheck", "exec")


def instructions() -> Iterator[tuple[str, list[str]]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, shlex.split(rest)


def copied() -> list[str]:
    """What the image takes from the checkout."""
    return [name for word, rest in instructions() if word == "COPY" and "--from" not in rest[0] for name in rest[:-1]]


def test_all_that_the_image_copies_is_there_and_reaches_the_builder() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}

    assert copied()
    assert set(copied()) == let_in
    assert all((ROOT / name).exists() for name in copied())


def test_the_image_is_built_in_stages_from_pinned_images_that_name_no_host() -> None:
    images = [rest[0] for word, rest in instructions() if word == "FROM"]
    images += [each["image"] for each in CONTAINERS.values() if "build" not in each]

    assert [word for word, _ in instructions()].count("FROM") == 2
    for image in images:
        name, _, tag = image.partition(":")
        assert tag, image
        assert tag != "latest"
        assert "." not in name.split("/")[0], image


def test_the_image_runs_as_nobody_of_importance() -> None:
    users = [rest[0] for word, rest in instructions() if word == "USER"]

    assert users == ["10001"]
    assert [word for word, _ in instructions()].index("USER") < [word for word, _ in instructions()].index("ENTRYPOINT")


def test_the_image_holds_what_the_lock_file_lists_checked_by_its_hashes() -> None:
    [install] = [rest for word, rest in instructions() if word == "RUN" and "/venv/bin/pip" in rest]

    assert "--require-hashes" in install
    assert install[install.index("-r") + 1] == "requirements.lock"


def test_what_the_image_copies_is_all_that_the_roles_need(tmp_path: Path) -> None:
    for name in copied():
        into = tmp_path / name
        shutil.copytree(ROOT / name, into) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, into)
    script = (
        "import importlib, sys\n"
        f"sys.path[:0] = [{str(tmp_path)!r}]\n"
        f"sys.path.append({sysconfig.get_path('purelib')!r})\n"
        "from deploy.roles import ROLES\n"
        "for entry in ROLES.values():\n"
        "    module, _, function = entry.partition(':')\n"
        "    getattr(importlib.import_module(module), function)\n"
        "from deploy.cli import app, example\n"
        "assert example.ORDERS.exists()\n"
        "print(example.__file__)\n"
    )
    # Without `site`, so that the checkout itself is on no path.
    command = (sys.executable, "-I", "-S", "-c", script)

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


def test_the_image_s_recipe_has_no_fault_that_hadolint_knows() -> None:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"

    done = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_documentation_lists_every_container() -> None:
    listed = {code(row[0]) for row in rows(section(page("operation.md"), "Containers"))}

    assert listed == CONTAINERS.keys() - {*ROLES} - {name for name in SERVING if name[-1].isdigit()}
