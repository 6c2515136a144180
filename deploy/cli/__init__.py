"""The `shuke` command, a module per subject."""

import typer

from deploy.cli import quality

app = typer.Typer(
    name="shuke",
    help="Shuke keeps the lifecycle stage and value tier of every party current, explained and provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(quality.check)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(quality.test)
