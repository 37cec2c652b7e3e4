"""The commands, in the order in which a new user meets them."""

from __future__ import annotations

import typer

from pgsnow.cli import (
    apply,
    check,
    demo,
    dev,
    discover,
    errors,
    grants,
    init,
    plan,
    resync,
    run,
    schema,
    status,
    verify,
    version,
)

app = typer.Typer(
    name="pgsnow",
    help="Keeps Snowflake tables equal to Postgres tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("init")(init.init)
app.command("discover")(discover.discover)
app.command("grants")(grants.grants)
app.command("check")(check.check)
app.command("plan")(plan.plan)
app.command("apply")(apply.apply)
app.command("run")(run.run)
app.command("resync")(resync.resync)
app.command("status")(status.status)
app.command("verify")(verify.verify)
app.add_typer(errors.app, name="errors")
app.command("demo")(demo.demo)
app.add_typer(dev.app, name="dev")
app.command("schema")(schema.schema)
app.command("version")(version.version)
