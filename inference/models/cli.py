"""`candor models`: which models there are, fetching them, building them."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from inference.models import building
from inference.models.settings import ModelsSettings
from inference.models.store import ABSENT, Store
from proto.errors import CandorError
from runtime.log import configure

EPILOG = """\
**First steps**

    candor models list                    what is here, and what each model is for

    candor models pull                    the models of the default settings

    candor models pull yolox-s            one by its name

**Your own models** are rows of a TOML file that CANDOR_MODELS_MANIFEST names, in the form of Candor's own
inference/models/manifest.toml; paths are absolute, or relative to CANDOR_MODELS_DIR. For example:

    [models.my-phones]

    task = "objects"

    feature = "objects"

    licence = "ours"

    labels = ["cell phone", "book"]

    files = [{ path = "/srv/models/phones.onnx" }]

    layout = { width_px = 640, height_px = 640, fit = "letterbox", pad = 114, scale = 0.00392, decode = "yolo_v8" }

Then CANDOR_VISION_OBJECTS_MODEL=my-phones uses it.
"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Models: list, pull, build.",
    epilog=EPILOG,
)
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


class Row(msgspec.Struct, frozen=True):
    """One model as `list --json` prints it. `state` is present, absent, unbuilt (it is built when first needed) or what
    is wrong with it; `command` fetches it. `batched` is the file that was made of `path` to take any batch, and is run
    in its place; empty where there is none.
    """

    name: str
    task: str
    feature: str
    present: bool
    state: str
    path: str
    batched: str
    size_bytes: int
    licence: str
    source: str
    command: str
    default: bool
    note: str


def rows(store: Store) -> list[Row]:
    """Every model of the manifest, here or not."""
    return [_row(store, name) for name in store.models]


def _row(store: Store, name: str) -> Row:
    card, fault = store.card(name), store.fault(name)
    state = fault or "present"
    if fault == ABSENT:
        state = "unbuilt" if card.embedded else "absent"
    if card.hub:
        source = f"https://huggingface.co/{card.hub.repository}/tree/{card.hub.revision}"
    elif card.embedded or card.package:
        source = f"package {card.package or 'mediapipe'}"
    else:
        source = card.files[0].url
    return Row(
        name=name,
        task=card.task,
        feature=card.feature,
        present=not fault,
        state=state,
        path=str(store.path(name)),
        batched=str(store.batched(name) or ""),
        size_bytes=store.size_bytes(name),
        licence=card.licence,
        source=source,
        command="" if state == "present" else store.command(name),
        default=card.default,
        note=card.note,
    )


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="One JSON array, for machines.")] = False) -> None:
    """Show the models: here or not, what they are for, licence, size.

    A session without a model goes on without the feature that the model gives, and says so. Models that are built, not
    fetched, are made when they are first needed.
    """
    store = Store(ModelsSettings.load())
    found = rows(store)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    console = Console()
    console.print(_table(found, with_notes=console.width >= 110))
    for row in found:
        if row.state not in ("present", "absent", "unbuilt"):
            console.print(f"{row.name}: {row.state}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Pulled to {store.folder}, built in {store.built_folder}", highlight=False, soft_wrap=True)
    if any(row.default and row.state == "absent" for row in found):
        console.print("`candor models pull` fetches what the default settings use and is not here.", highlight=False)


def _table(found: list[Row], *, with_notes: bool) -> Table:
    table = Table("model", "gives", "task", "here", "size", "licence", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    table.columns[4].justify = "right"
    if with_notes:
        table.add_column("note")
    shown = {"present": "[green]yes[/green]", "absent": "no", "unbuilt": "when needed"}
    for row in found:
        here = shown.get(row.state, "[red]broken[/red]")
        size = f"{row.size_bytes / 1e6:.1f} MB" if row.size_bytes else ""
        cells = [row.name, row.feature, row.task, here, size, row.licence, *([row.note] if with_notes else [])]
        table.add_row(*(cell if cell == here else escape(cell) for cell in cells))
    return table


@app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names from `candor models list`; none: those of the default settings.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Fetch models. What is here is not fetched again.

    Without names it fetches what the default settings use: speech to text, objects, identity, expression (which
    computes nothing unless a policy allows emotion). About 140 MB.

    A pull that broke off goes on where it was. A model is put in place whole, and only if its checksum is the pinned
    one.

    HTTPS_PROXY names a proxy, SSL_CERT_FILE the certificate of one that looks inside. CANDOR_MODELS_MIRROR names a web
    folder of your own with the single files under their names (the CANDOR_MODELS_DIR of another machine will do);
    HF_ENDPOINT a mirror of the Hugging Face hub, for Whisper. Without any network, copy CANDOR_MODELS_DIR.
    """
    store = Store(ModelsSettings.load())
    wanted = names or [name for name, card in store.models.items() if card.default]
    for name in wanted:
        store.card(name)
    failed = False
    for name in wanted:
        try:
            path = store.pull(name, progress=not quiet)
        except CandorError as error:
            if len(wanted) == 1:
                raise
            typer.echo(f"candor: {error}", err=True)
            failed = True
        else:
            typer.echo(f"{name}: {path} ({store.card(name).licence})")
    raise typer.Exit(1 if failed else 0)


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names from `candor models list`; none: all.", show_default=False)
    ] = None,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Also build TensorRT engines, of all models that are here; on the GPU.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make models of what installed packages carry, of pulled ones what takes many pictures at a time, and engines.

    What takes many is made of a model that takes one, and kept only if it is seen to give the same.

    Workers do this by themselves when they need it, in seconds. Run it where they cannot write, or must start
    fast: while an image is made. Engines fit one kind of GPU and one version of TensorRT; building them takes minutes,
    which a worker would otherwise take at its start.
    """
    configure("models", level="warning")
    settings = ModelsSettings.load()
    # Who may run on a GPU may have to do without it, too.
    stores = [Store(settings, for_gpu=False)]
    if tensorrt or building.may_use_gpu():
        stores.append(Store(settings, for_gpu=True))
    wanted = names or [name for name in stores[0].models if _is_made(stores[0], name)]
    cards = {name: stores[0].card(name) for name in wanted}
    told: set[Path] = set()
    with _steps(quiet=quiet) as progress:
        step = progress.add_task("", total=len(cards) * len(stores))
        for store, (name, card) in product(stores, cards.items()):
            progress.update(step, description=name)
            # An engine can be built of a pulled model, too.
            path = store.find(name, card.feature).path if tensorrt else store.build(name)
            progress.advance(step)
            if path not in told:
                progress.console.print(f"{name}: {path}", highlight=False, markup=False, soft_wrap=True)
            told.add(path)
    if tensorrt:
        _build_engines(stores[-1], names or list(stores[-1].models))


@app.command()
def calibrate(
    name: Annotated[str, typer.Argument(help="An identity model, e.g. sface.")],
    folder: Annotated[Path, typer.Argument(help="A folder for each person, with two JPEG pictures or more of them.")],
    quiet: Quiet = False,
) -> None:
    """Find what 80 % alike means for an identity model, on pictures of people you know.

    Models differ in how much alike two faces of one person look to them. Each model's row in the manifest says by
    `similarity` what cosine is how many percent; identity is doubted below 80. This prints that line, found so that
    no more than one pair of two people in a thousand reaches 80. Take people and cameras like those you will see, of
    all ages and complexions that you will see: a few hundred pictures of fifty people or more. Nothing is kept.
    """
    # The models for faces: for this command alone.
    from inference.models import calibrating  # noqa: PLC0415

    configure("models", level="warning")
    store = Store(ModelsSettings.load())
    with _steps(quiet=quiet) as progress:
        step = progress.add_task(name)
        result = calibrating.run(store, name, folder, lambda done, of: progress.update(step, completed=done, total=of))
    for line in calibrating.report(name, result):
        typer.echo(line)


def _is_made(store: Store, name: str) -> bool:
    card = store.card(name)
    return card.embedded or (card.open_batch and store.present(name))


def _build_engines(store: Store, names: list[str]) -> None:
    # ONNX Runtime and what else it needs: for this command alone.
    from inference.backends.engines import build as build_engines  # noqa: PLC0415
    from inference.backends.settings import OnnxSettings  # noqa: PLC0415

    models = [store.find(name, store.card(name).feature) for name in names if store.present(name)]
    build_engines(models, OnnxSettings.load(), typer.echo)


def _steps(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(),
        transient=True,
        disable=quiet,
    )


def main() -> None:
    """Run the commands; errors that are ours are told in one line with exit code 1."""
    try:
        app()
    except CandorError as error:
        typer.echo(f"candor: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
