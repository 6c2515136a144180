"""Commands that run the product: `up`, `cluster`, `serve`, `migrate`, `admin-key`."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import options
from deploy.cli.client import fail

if TYPE_CHECKING:
    from deploy.product import Shape


def up(
    data: options.Data = None,
    port: options.Port = 8000,
    host: options.Host = "127.0.0.1",
    empty: options.Empty = False,
    currency: options.Currency = None,
    time_zone: options.TimeZone = None,
    identity_key: options.IdentityKey = None,
) -> None:
    """Run the product with nothing but Python: PostgreSQL from a wheel, the services, the gateway. Ctrl-C ends it."""
    from deploy.embedded import embedded
    from deploy.product import Options

    folder = data or options.DEFAULT_DATA
    keep_running(embedded(Options(folder, port, host, empty, currency, time_zone, identity_key)))


def cluster(
    data: options.Data = None,
    port: options.Port = 8000,
    host: options.Host = "127.0.0.1",
    brokers: Annotated[int, typer.Option(help="Kafka brokers: 1, or 3 with a real quorum.")] = 1,
    workers: Annotated[int, typer.Option(help="Scoring workers.", min=1, max=24)] = 2,
    empty: options.Empty = False,
    currency: options.Currency = None,
    time_zone: options.TimeZone = None,
    identity_key: options.IdentityKey = None,
) -> None:
    """Run the distributed shape on this machine: real Kafka, PostgreSQL, one process per role. Ctrl-C ends it."""
    from deploy.cluster import cluster as distributed
    from deploy.product import Options

    if brokers not in (1, 3):
        fail("Kafka runs with 1 or 3 brokers.", 2)
    folder = data or options.DEFAULT_DATA
    chosen = Options(folder, port, host, empty, currency, time_zone, identity_key)
    keep_running(distributed(chosen, brokers=brokers, workers=workers))


def keep_running(shape: "Shape") -> None:
    """Run a shape until it is told to end; what refuses to start says why in one line."""
    import asyncio

    from deploy import installation, kafka, postgres, product, readiness, supervisor
    from deploy.cli import example

    refusals = (
        supervisor.AlreadyRuns,
        installation.Refused,
        product.PortTaken,
        postgres.CannotRun,
        kafka.WrongCluster,
        readiness.NotReady,
    )
    try:
        asyncio.run(product.run(shape, example=example.first_load, say=typer.echo))
    except refusals as error:
        fail(str(error))


def serve(roles: Annotated[list[str], typer.Argument(metavar="ROLE…", help="What this process is.")]) -> None:
    """Be one or more roles of the product in this process, with settings from the environment."""
    from deploy.roles import ROLES
    from deploy.roles import serve as serve_roles

    if unknown := [name for name in roles if name not in ROLES]:
        fail(f"There is no role {', '.join(unknown)}. Roles: {', '.join(ROLES)}.", 2)
    serve_roles(roles)


def migrate(
    superuser: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="SHUKE_SUPERUSER_URL",
            help="As whom to make databases and owners that are missing; without it they must be there.",
            show_default=False,
        ),
    ] = None,
    log_reader_password: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="SHUKE_LOG_READER_PASSWORD",
            help="Password of the role that reads the logs, which the superuser makes if it is missing.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring the databases named by `*_DATABASE_URL` in the environment to the newest version."""
    import asyncio

    import asyncpg

    from deploy import databases, roles

    urls = databases.named()
    if not urls:
        fail(f"None of {', '.join(map(databases.variable, roles.PACKAGES))} is set.", 2)
    try:
        if superuser:
            asyncio.run(databases.have(superuser, urls, log_reader_password=log_reader_password))
        applied = asyncio.run(databases.bring_up(urls, say=lambda text: typer.echo(text, err=True)))
    except databases.CannotMigrate as error:
        fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"The databases cannot be made: {error}")
    for name, versions in applied.items():
        typer.echo(f"{name}: {', '.join(versions)} applied" if versions else f"{name}: is the newest")


def admin_key() -> None:
    """Make an API key with every right in the database that `GATEWAY_DATABASE_URL` names, and print it, this once."""
    import asyncio

    from deploy import databases
    from gateway.queries.keys import create_admin_key

    url = databases.named().get("gateway")
    if not url:
        fail("GATEWAY_DATABASE_URL is not set.", 2)
    typer.echo(asyncio.run(create_admin_key(url)))
