"""The command line's `annotate`: serving the annotation page, inviting people, labels in and out as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assets.errors import ConfigError
from assets.settings import REPOSITORY
from assets.workspace import Workspace

annotate_app = typer.Typer(
    invoke_without_command=True,
    help="The annotation page: people label pairs, adjudicators settle disagreements, managers watch agreement.",
)
ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", help="The run's configuration.", envvar="SYNPREF_CONFIG", show_default="configs/sample.yaml"
    ),
]
_SAMPLE = REPOSITORY / "configs" / "sample.yaml"
AddressOption = Annotated[str, typer.Option("--address", help="How people reach the page, for links in invitations.")]
DEFAULT_ADDRESS = "http://127.0.0.1:8600"


@annotate_app.callback()
def annotate(
    context: typer.Context,
    config: ConfigOption = _SAMPLE,
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8600,
    host: Annotated[
        str, typer.Option(help="Interface to listen on; another than loopback needs a proxy with https.")
    ] = "127.0.0.1",
) -> None:
    """Serve the annotation page on this machine alone."""
    if context.invoked_subcommand is not None:
        return
    from assets.human_gold.collecting import open_desk
    from assets.human_gold.desk.accounts import Accounts
    from assets.human_gold.page.app import serve
    from assets.human_gold.serving import app_of
    from orchestration.servers import require_free

    workspace = _workspace(config)
    require_free(port, "--port", host)
    with open_desk(workspace) as engine:
        typer.echo(f"Annotation page: http://{host}:{port}\nCtrl-C ends it.")
        if not any(person.role == "manager" and person.active for person in Accounts(engine).people()):
            typer.echo("There is no manager yet: synpref annotate invite NAME --role manager")
        serve(app_of(workspace, engine), host, port)


@annotate_app.command("invite")
def invite(
    handle: Annotated[str, typer.Argument(help="Name in the ledger: letters, digits, '.', '-', '_'.")],
    role: Annotated[str, typer.Option(help="annotator, adjudicator or manager.")] = "annotator",
    name: Annotated[str, typer.Option(help="Name as others read it.")] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    config: ConfigOption = _SAMPLE,
) -> None:
    """Print an invitation link, good once and for seven days; for someone who has an account, a new password."""
    from assets.human_gold.collecting import open_desk
    from assets.human_gold.desk.accounts import Accounts

    with open_desk(_workspace(config)) as engine:
        token = Accounts(engine).invite(handle, role, by=None, display_name=name)
    typer.echo(f"{address.rstrip('/')}/invitation/{token}")


@annotate_app.command("export")
def export(
    round_name: Annotated[str, typer.Argument(help="Round, such as round_0.")],
    out: Annotated[Path, typer.Argument(help="JSON Lines file to write.")],
    config: ConfigOption = _SAMPLE,
) -> None:
    """Write a round's open tasks as JSON Lines, for a tool of your own."""
    from assets.human_gold.bridges.jsonl import export_tasks
    from assets.human_gold.collecting import open_desk

    with open_desk(_workspace(config)) as engine:
        typer.echo(export_tasks(engine, round_name, out))


@annotate_app.command("import")
def import_answers(
    files: Annotated[list[Path], typer.Argument(help="JSON Lines files of answers.")],
    config: ConfigOption = _SAMPLE,
) -> None:
    """Take answers from JSON Lines files; a file taken twice adds nothing."""
    from assets.human_gold.bridges.jsonl import import_files
    from assets.human_gold.collecting import open_desk

    workspace = _workspace(config)
    with open_desk(workspace) as engine:
        typer.echo(import_files(workspace.lake, engine, files))


def _workspace(config: Path) -> Workspace:
    workspace = Workspace(config)
    if workspace.settings.people.provider == "recorded":
        raise ConfigError(
            "People of this configuration are recorded votes, so there is nothing to annotate.",
            where=str(workspace.config_path),
            todo="set people.provider to page",
        )
    workspace.make_home()
    return workspace
