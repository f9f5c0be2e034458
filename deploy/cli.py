"""`candor`: every way of starting a part of Candor, and the tools around it.

Starts fast because it imports nothing but its own face: what a command needs is named by an import string and resolved
when the command runs.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
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


@dataclass(frozen=True)
class Tool:
    """A command that a room brings along: where it is, and what the list of commands says of it."""

    target: str
    help: str


TOOLS = {
    "replay": Tool("aggregator.cli:replay_command", "Fold a session's log again, or judge it by another policy."),
    "models": Tool("inference.models.cli:app", "Models: which are here and what each is for; fetch them, build them."),
    "bench": Tool("bench.cli:command", "How fast this machine is, or how right the analysis is on labelled material."),
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
TOOL_PANEL = "Tools"
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


def check_settings() -> None:
    """Read every service's settings once, so that a mistake is told before anything starts. Raises BadSettings."""
    for target in ("runtime.settings:RuntimeSettings", *(service.settings for service in SERVICES.values())):
        resolve(target).load()


def run_async(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a command that waits; its result is the exit code. Ctrl-C and SIGTERM are a good end: it may say goodbye."""
    try:
        code = asyncio.run(_until_terminated(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    raise typer.Exit(code or 0)


async def _until_terminated(work: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


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

        candor demo               everything, shown with a generated candidate

        candor up                 everything, waiting for yours: http://127.0.0.1:8000

        candor publish talk.mp4   send a recording as if it were a live candidate

        candor watch              the live feed in this terminal
    """


@app.command(rich_help_panel=SERVICE_PANEL)
def ingest() -> None:
    """Take in WebRTC peers; put frames and audio on the bus. Settings: `CANDOR_INGEST_...`"""
    run_service("ingest")


@app.command(rich_help_panel=SERVICE_PANEL)
def vision() -> None:
    """Look at frames: faces, gaze, hands, objects, identity, text. Settings: `CANDOR_VISION_...`"""
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

        CANDOR_SPEECH_MODEL=whisper-small candor up
    """
    check_settings()
    options = resolve("deploy.laptop:Options")(
        data=data.absolute(), host=host, port=port, vision_workers=vision_workers
    )
    run_async(resolve("deploy.up:up")(options))


@app.command(rich_help_panel="Everything at once")
def demo(
    video: Annotated[
        Path | None,
        typer.Option("--video", envvar="VIDEO", help="Stream this recording instead of the generated candidate."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", envvar="ONCE", help="End when the show is over; so it does without a terminal.")
    ] = False,
    duration_s: Annotated[
        float | None, typer.Option("--duration", min=1, help="End the show after so many seconds.", show_default=False)
    ] = None,
    policy: Annotated[str, typer.Option("--policy", help="Policy of the session.")] = "standard",
    url: Annotated[
        str,
        typer.Option("--url", help="Use the Candor that runs there.", show_default="start one here"),
    ] = "",
    key: KeyOption = "",
    data: DataOption = Path(".candor"),
    port: PortOption = None,
) -> None:
    """Start everything, stream a candidate over real WebRTC, print the feed, the script beside it, and the report.

    The candidate is generated: a portrait in the public domain that speaks, turns away, leaves, and so on.
    Afterwards the dashboard stays up until Ctrl-C. The exit code is 0 unless something broke: what the demo missed is
    said, not hidden.

    Examples:

        candor demo

        candor demo --once --duration 30

        candor demo --video interview.mp4
    """
    show = resolve("deploy.demo.show:Wanted")(video=video, duration_s=duration_s, policy=policy)
    if url:
        run_async(resolve("deploy.demo.run:against")(url, key, show))
    options = resolve("deploy.laptop:Options")(data=data.absolute(), port=port)
    run_async(resolve("deploy.demo.run:everything")(options, key, show, once=once))


@app.command(rich_help_panel=TOOL_PANEL)
def publish(
    source: Annotated[str, typer.Argument(help="A recording, `camera`, or a camera's device such as /dev/video2.")],
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
    whip_url: Annotated[
        str,
        typer.Option("--whip", help="WHIP URL of a session that exists; left out: a new session.", show_default=False),
    ] = "",
    token: Annotated[
        str, typer.Option("--token", envvar="CANDOR_TOKEN", help="Token of that session.", show_default=False)
    ] = "",
    label: Annotated[
        str, typer.Option("--label", help="Name of the new session.", show_default="the file's name")
    ] = "",
    policy: Annotated[str, typer.Option("--policy", help="Policy of the new session.")] = "standard",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the recording's end.")] = False,
) -> None:
    """Send a recording or a camera by WHIP, in real time, as a candidate's browser would. Prints the session's id.

    Examples:

        candor publish interview.mp4

        candor publish camera --label "Me"

        candor publish talk.mp4 --whip https://candor.example.org/v1/whip/4kQ2f0 --token ...
    """

    async def work() -> None:
        session = await resolve("deploy.publish:publish_command")(
            source, url=url, key=key, whip_url=whip_url, token=token, label=label, policy=policy, loop=loop
        )
        typer.echo(session)

    run_async(work())


@app.command(rich_help_panel=TOOL_PANEL)
def watch(
    session: Annotated[str, typer.Argument(help="Session id; left out: all sessions.", show_default=False)] = "",
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
) -> None:
    """Show the live feed: risk, ledger lines in plain words, what is said.

    Reconnects for ever. Ends with its session, or with Ctrl-C.

    Examples:

        candor watch

        candor watch 4kQ2f0 --json | jq .data.view.score
    """

    async def work() -> None:
        async with resolve("deploy.client:Client")(url, key) as client:
            await resolve("deploy.watch:watch")(client, session, as_json=as_json)

    run_async(work())


def add_tools(asked: str) -> None:
    """Make the rooms' own commands known; only the one that is asked for is imported."""
    for name, tool in TOOLS.items():
        found = resolve(tool.target) if name == asked else _not_asked
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=tool.help, rich_help_panel=TOOL_PANEL)
        else:
            app.command(name, help=None if name == asked else tool.help, rich_help_panel=TOOL_PANEL)(found)


def _not_asked() -> None:
    """Stands for a command in the list of commands."""


def main() -> None:
    """Entry point: expected errors become one line on stderr and an exit code, 2 for bad input and 1 for the rest."""
    try:
        add_tools(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
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
