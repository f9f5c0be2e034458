"""`candor`: every way of starting a part of Candor, and the tools around it.

Starts fast because it imports nothing but its own face: what a command needs is named by an import string and resolved
when the command runs.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from proto.errors import BadInput, CandorError


@dataclass(frozen=True)
class Service:
    """A process of its own: where its settings and its `serve` are, as `module:name`."""

    settings: str
    serve: str


SERVICES = {
    "ingest": Service("ingest.settings:IngestSettings", "ingest.service:serve"),
    "vision": Service("inference.vision.settings:VisionSettings", "inference.vision.service:serve"),
    "speech": Service("inference.speech.settings:SpeechSettings", "inference.speech.service:serve"),
    "aggregator": Service("aggregator.settings:AggregatorSettings", "aggregator.service:serve"),
    "api": Service("api.settings:ApiSettings", "api.service:serve"),
}

app = typer.Typer(
    name="candor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from `CANDOR_...` variables and the TOML file named by `CANDOR_CONFIG`: see the README.",
)
SERVICE_PANEL = "Services (one process each, as in production)"

UrlOption = Annotated[
    str, typer.Option("--url", envvar="CANDOR_URL", help="Where the api of a running Candor is.", show_default=True)
]
KeyOption = Annotated[
    str,
    typer.Option("--key", envvar="CANDOR_API_KEY", help="API key, where the server has keys; better in the variable."),
]
DEFAULT_URL = "http://127.0.0.1:8000"


def resolve(target: str) -> Any:
    """What `module:name` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def run_service(name: str) -> None:
    """Be one service until SIGTERM."""
    service = SERVICES[name]
    run = resolve("runtime.lifecycle:run")
    raise typer.Exit(run(name, resolve(service.settings), resolve(service.serve)))


def run_async(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a command that waits; its result is the exit code, and Ctrl-C is a good end."""
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code or 0)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"candor {metadata.version('candor')}")
        raise typer.Exit


@app.callback()
def candor(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Live video interviews in, an explained risk feed out.

    **First steps**

    `candor demo` shows everything with a generated candidate; `candor up` starts everything and waits for yours.
    """


@app.command(rich_help_panel=SERVICE_PANEL)
def ingest() -> None:
    """Take in WebRTC peers; put frames and audio on the bus. Settings: `CANDOR_INGEST_...`"""
    run_service("ingest")


@app.command(rich_help_panel=SERVICE_PANEL)
def vision() -> None:
    """Look at frames: faces, pose, gaze, quality. Settings: `CANDOR_VISION_...`"""
    run_service("vision")


@app.command(rich_help_panel=SERVICE_PANEL)
def speech() -> None:
    """Listen: voice activity, levels, transcript. Settings: `CANDOR_SPEECH_...`"""
    run_service("speech")


@app.command(rich_help_panel=SERVICE_PANEL)
def aggregator() -> None:
    """Fold observations into explained risk. Settings: `CANDOR_AGGREGATOR_...`"""
    run_service("aggregator")


@app.command(rich_help_panel=SERVICE_PANEL)
def api() -> None:
    """Serve REST, live feeds, WHIP and the pages. Settings: `CANDOR_API_...`"""
    run_service("api")


DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="CANDOR_DATA", help="Where NATS keeps its data, and `state.json` says what runs."),
]
HostOption = Annotated[
    str, typer.Option("--host", envvar="CANDOR_API_HOST", help="Address of the api; any but loopback needs API keys.")
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        envvar="CANDOR_API_PORT",
        min=0,
        max=65535,
        help="Port of the api; 0 takes any free one. Left out: 8000, or the next free one.",
        show_default=False,
    ),
]
VisionOption = Annotated[int, typer.Option("--vision", min=1, max=64, help="How many vision workers.")]


@app.command(rich_help_panel="Everything at once")
def up(
    data: DataOption = Path(".candor"),
    host: HostOption = "127.0.0.1",
    port: PortOption = None,
    vision_workers: VisionOption = 1,
) -> None:
    """Start nats-server and every service here, as child processes, and serve until Ctrl-C.

    If one of them dies, the rest is drained and `candor up` fails with its last words. `state.json` in the data
    directory names every process, port and URL. All `CANDOR_...` variables reach the services.

    Examples:

        candor up

        candor up --port 9000 --vision 2

        CANDOR_SPEECH_MODEL=small candor up
    """
    options = resolve("deploy.laptop:Options")(
        data=data.absolute(), host=host, port=port, vision_workers=vision_workers
    )
    run_async(resolve("deploy.up:up")(options))


@app.command(rich_help_panel="Tools")
def watch(
    session: Annotated[str, typer.Argument(help="Session id; left out: all sessions.", show_default=False)] = "",
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
) -> None:
    """Show the live feed: risk, ledger lines in plain words, what is said. Reconnects for ever; Ctrl-C ends it.

    Examples:

        candor watch

        candor watch 4kQ2f0 --json | jq .data.view.score
    """

    async def work() -> None:
        async with resolve("deploy.client:Client")(url, key) as client:
            await resolve("deploy.watch:watch")(client, session, as_json=as_json)

    run_async(work())


def main() -> None:
    """Entry point: expected errors become one line on stderr and an exit code, 2 for bad input and 1 for the rest."""
    try:
        app()
    except CandorError as error:
        sys.stderr.write(f"candor: {error}\n")
        sys.exit(2 if isinstance(error, BadInput) else 1)
    except BrokenPipeError:
        # The reader of our output left (`candor watch --json | head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
