"""`candor models`: which models there are, and fetching them."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from inference.models.settings import ModelsSettings
from inference.models.store import Store
from proto.errors import CandorError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Models that are not part of the installation.")


class Row(msgspec.Struct, frozen=True):
    """One model as `list --json` prints it."""

    name: str
    task: str
    feature: str
    present: bool
    path: str
    size_bytes: int
    licence: str
    source: str
    note: str


def rows(store: Store) -> list[Row]:
    """Every model of the manifest, here or not."""
    return [
        Row(
            name,
            card.task,
            card.feature,
            store.present(name),
            str(store.path(name)),
            card.size_bytes or sum(file.size_bytes for file in card.files),
            card.licence,
            f"https://huggingface.co/{card.hub.repository}/tree/{card.hub.revision}" if card.hub else "",
            card.note,
        )
        for name, card in store.models.items()
    ]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show the models, and which are here."""
    store = Store(ModelsSettings.load())
    found = rows(store)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    table = Table("model", "for", "here", "size", "licence", "note")
    for row in found:
        here = "[green]yes[/green]" if row.present else "no"
        table.add_row(row.name, row.feature, here, f"{row.size_bytes / 1e6:.0f} MB", row.licence, row.note)
    console = Console()
    console.print(table)
    console.print(f"Folder: {store.folder}", highlight=False, soft_wrap=True)


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="Names from `candor models list`.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Fetch models. Interrupted pulls go on where they were; HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy."""
    store = Store(ModelsSettings.load())
    for name in names:
        store.card(name)
    for name in names:
        typer.echo(f"{name}: {store.pull(name, progress=not quiet)}")


def main() -> None:
    """Run the commands; errors that are ours are told in one line with exit code 1."""
    try:
        app()
    except CandorError as error:
        typer.echo(f"candor: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
