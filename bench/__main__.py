"""`python -m bench`: prints the figures of the pipeline on this machine, and the targets beside them.

Everything runs as processes of its own, against a real nats-server, with real WebRTC peers on loopback. The peers send
packets that were encoded once, so that the senders' cost stays small, but they share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from bench import fold, live, stages
from bench.figures import Report, machine
from bench.policies import with_bench
from bench.recording import COMING_AND_GOING, STEADY, encode
from bench.stack import Stack


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each live measurement lasts (default 20)")
    parser.add_argument("--only", choices=("stages", "fold", "live", "held"), help="only one part")
    parser.add_argument("--held", default="2,4,6,8,10,12,14,16,20,24", help="session counts to try, in order")
    parser.add_argument(
        "--material",
        type=Path,
        metavar="DIR",
        default=os.environ.get("CANDOR_TEST_DATA"),
        help="folder with recordings for the stages of vision (default CANDOR_TEST_DATA, or else the demo's candidate)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    report = Report()
    report.say(f"Candor on {machine()}")
    if options.only in (None, "stages"):
        report.say("")
        stages.run(report, options.material)
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as name:
        folder = Path(name)
        env = {"CANDOR_API_POLICY_DIR": str(with_bench(folder / "policies")), "CANDOR_INGEST_MAX_SESSIONS": "100"}
        if options.only in (None, "fold"):
            report.say("\nfold")
            fold.pure(report)
            async with Stack(folder / "fold", env, services=("aggregator",)) as stack:
                await fold.through_nats(stack, report)
        if options.only in (None, "live", "held"):
            steady = encode(STEADY, folder / "steady.webm")
            moving = encode(COMING_AND_GOING, folder / "moving.webm")
        if options.only in (None, "live"):
            report.say("")
            live.decoding_alone(report, steady)
            async with Stack(folder / "live", env) as stack:
                await live.cost_and_latency(stack, report, steady, moving, (1, 10), options.seconds)
        if options.only in (None, "held"):
            counts = tuple(int(count) for count in options.held.split(","))
            async with Stack(folder / "held", env) as stack:
                await live.sessions_held(stack, report, steady, counts, options.seconds)
    if options.json:
        report.write(options.json)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
