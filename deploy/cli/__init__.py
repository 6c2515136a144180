"""The `shuke` command, a module per subject. What a command needs is imported when it runs, so that help is instant."""

import typer

from deploy.cli import (
    audit,
    backups,
    consumers,
    contracts,
    drain,
    example,
    gaps,
    imports,
    keys,
    letters,
    model,
    policy,
    quality,
    rates,
    run,
    standings,
    status,
    users,
    webhooks,
)

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["--help"]}

app = typer.Typer(
    name="shuke",
    help="Shuke keeps the lifecycle stage and value tier of every party current, explained and provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run.up)
app.command()(run.cluster)
app.command()(run.serve)
app.command()(run.migrate)
app.command()(run.admin_key)
app.command()(backups.backup)
app.command()(backups.restore)
app.command()(status.status)
app.command()(consumers.lag)
app.command()(consumers.topics)
app.command()(consumers.pause)
app.command()(consumers.resume)
app.command()(consumers.replay)
app.command()(drain.drain)
app.add_typer(letters.app, name="dead-letters")
app.add_typer(imports.app, name="import")
app.add_typer(standings.export, name="export")
app.add_typer(standings.standings, name="standings")
app.add_typer(standings.tiers, name="tiers")
app.add_typer(rates.app, name="rates")
app.command()(standings.digest)
app.command()(standings.verify)
app.command()(standings.rebuild)
app.add_typer(policy.app, name="policy")
app.add_typer(model.app, name="model")
app.add_typer(gaps.app, name="gaps")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(users.app, name="users")
app.add_typer(example.app, name="example")
app.command()(quality.check)
app.command()(contracts.contracts)
app.command(context_settings=PASS_ON)(quality.test)
app.command(context_settings=PASS_ON | {"help_option_names": []})(quality.bench)
