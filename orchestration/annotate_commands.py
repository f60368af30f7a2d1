"""The command line's `annotate`: serving the annotation page, inviting people, labels in and out as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.errors import ConfigError
from assets.workspace import Workspace
from orchestration.options import SAMPLE_CONFIG, ConfigOption

if TYPE_CHECKING:
    from assets.human_gold.bridges.reports import Taken

annotate_app = typer.Typer(
    invoke_without_command=True,
    help="The annotation page: people label pairs, adjudicators settle disagreements, managers watch agreement.",
)
AddressOption = Annotated[str, typer.Option("--address", help="How people reach the page, for links in invitations.")]
DEFAULT_ADDRESS = "http://127.0.0.1:8600"


@annotate_app.callback()
def annotate(
    context: typer.Context,
    config: ConfigOption = SAMPLE_CONFIG,
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
    config: ConfigOption = SAMPLE_CONFIG,
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
    config: ConfigOption = SAMPLE_CONFIG,
) -> None:
    """Write a round's waiting tasks as JSON Lines, for a tool of your own."""
    from assets.guidelines import load_guidelines
    from assets.human_gold.bridges.jsonl import export_tasks
    from assets.human_gold.collecting import open_desk

    with open_desk(_workspace(config)) as engine:
        written = export_tasks(engine, round_name, out, load_guidelines())
    typer.echo(f"{out}: {written.num_tasks:,} tasks{_by_reason(written.left_out, 'left out')}")


@annotate_app.command("import")
def import_answers(
    files: Annotated[list[Path], typer.Argument(help="JSON Lines files of answers.")],
    round_name: Annotated[str | None, typer.Option("--round", help="Take answers of this round alone.")] = None,
    config: ConfigOption = SAMPLE_CONFIG,
) -> None:
    """Take answers from JSON Lines files; a file taken twice adds nothing."""
    from assets.human_gold.bridges import jsonl
    from assets.human_gold.collecting import open_desk

    workspace = _workspace(config)
    with open_desk(workspace) as engine:
        for file in files:
            taken = jsonl.import_answers(engine, file, round_name=round_name, rule=workspace.settings.people.adjudicate)
            typer.echo(f"{file}: {_told(taken)}")
            _keep(workspace, f"answers-{file.stem}", taken)


@annotate_app.command("label-studio")
def label_studio(
    round_name: Annotated[str, typer.Argument(help="Round, such as round_0.")],
    direction: Annotated[str, typer.Option(help="push, pull, or both one after the other.")] = "both",
    person: Annotated[
        list[str] | None, typer.Option(help="EMAIL=HANDLE of somebody who works in Label Studio; once for each.")
    ] = None,
    config: ConfigOption = SAMPLE_CONFIG,
) -> None:
    """Send a round's tasks to Label Studio and bring its annotations back.

    The server's address and token are LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY of the environment.
    """
    from assets.guidelines import load_guidelines
    from assets.human_gold.bridges.label_studio import pull_answers, push_round
    from assets.human_gold.bridges.label_studio_api import LabelStudio
    from assets.human_gold.collecting import open_desk

    if direction not in ("push", "pull", "both"):
        raise typer.BadParameter("use push, pull or both", param_hint="--direction")
    handles = dict(entry.partition("=")[::2] for entry in person or [])
    if missing := [email for email, handle in handles.items() if not handle]:
        raise typer.BadParameter(f"{missing[0]!r} is not EMAIL=HANDLE", param_hint="--person")
    workspace = _workspace(config)
    with LabelStudio.of_environment() as studio, open_desk(workspace) as engine:
        if direction in ("push", "both"):
            sent = push_round(studio, engine, round_name, load_guidelines())
            typer.echo(f"sent: {sent.num_new:,} new, {sent.num_known:,} there before, {sent.num_removed:,} taken back")
        if direction in ("pull", "both"):
            rule = workspace.settings.people.adjudicate
            taken = pull_answers(studio, engine, round_name, handles, rule=rule)
            typer.echo(f"brought back: {_told(taken)}")
            _keep(workspace, f"label-studio-{round_name}", taken)


def _told(taken: Taken) -> str:
    counts = taken.counts
    corrections = f", {taken.num_corrections:,} of them corrections" if taken.num_corrections else ""
    return f"{counts.rows_in:,} answers, {counts.rows_out:,} taken{corrections}{_by_reason(counts.dropped, 'not')}"


def _by_reason(counts: Mapping[str, int], what: str) -> str:
    return f"; {what}: " + ", ".join(f"{n:,} {reason}" for reason, n in counts.items()) if counts else ""


def _keep(workspace: Workspace, source: str, taken: Taken) -> None:
    """Answers that nobody can use stay as dead letters; a later delivery of the same name replaces them."""
    workspace.lake.publish("dead_letters", taken.dead_letters, {"source": source})
    if len(taken.dead_letters):
        typer.echo(f"  dead letters: {workspace.lake.folder('dead_letters', {'source': source})}")


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
