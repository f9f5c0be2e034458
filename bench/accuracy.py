"""`candor bench --accuracy`: how right the analysis is on labelled material, as one table.

Everything takes the product's own way: frames are sampled, scaled and compressed as ingest does it, looked at by a
worker's `Analyst`, and folded under a policy. What a table says is what a session would have got.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.progress import track
from rich.table import Table

from bench import material, measures
from bench.figures import machine, wide_console
from bench.material import Truth
from bench.measures import Pair, Row, Watched
from bench.watched import Watcher
from inference.models.settings import ModelsSettings
from inference.signals.expressions import GEOMETRY
from inference.signals.identity import THRESHOLD_PCT
from inference.vision.settings import VisionSettings
from proto import policy as policies
from proto.errors import BadInput
from proto.media import Frame

T = TypeVar("T")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `models` names the models by feature, `providers` what ran them by model; `missing` says why a
    feature was not there, `absent` names files of the truth that were not.
    """

    machine: str
    date: str
    policy: str
    material: str
    absent: tuple[str, ...]
    models: dict[str, str]
    providers: dict[str, str]
    missing: dict[str, str]
    rows: tuple[Row, ...]


class Bench:
    """One run over one folder; `bars` shows progress. `absent` are the truth's files that are not there."""

    def __init__(
        self,
        folder: Path,
        truth: Truth,
        policy_toml: str,
        settings: VisionSettings,
        models: ModelsSettings | None = None,
        *,
        bars: bool = True,
    ) -> None:
        self._folder = folder
        self._truth = truth
        self._policy_toml = policy_toml
        self._analysis = policies.parse(policy_toml).analysis
        self.settings = settings
        self.models = models
        self._bars = bars
        self.absent = tuple(file for file in truth.files if not (folder / file).is_file())

    def run(self) -> Report:
        """Measure everything that can be.

        Raises:
            FeatureMissing: there is no face model.
            BadInput: a file of the material cannot be read.
        """
        with self.watcher() as watcher:
            clips = self.clips(watcher)
            rows = [*measures.presence(clips), *measures.gaze(clips), *self.heads(watcher)]
            rows += [*measures.timing(clips, watcher.missing), *measures.alerts(clips)]
            rows += [*self.objects(watcher), *self.identity(watcher), *self.expression(watcher)]
            rows += self.estimate()
            rows += measures.could_not_tell(clips)
            return Report(
                machine=machine(),
                date=f"{datetime.now(UTC):%Y-%m-%d}",
                policy=policies.parse(self._policy_toml).name,
                material=str(self._folder),
                absent=self.absent,
                models=watcher.models,
                providers=watcher.providers,
                missing=watcher.missing,
                rows=tuple(rows),
            )

    def watcher(self) -> Watcher:
        """A worker with all the models that the settings name."""
        return Watcher(self._policy_toml, self.settings, self.models)

    def clips(self, watcher: Watcher) -> list[Watched]:
        """Every recording that is there, each as a session of its own."""
        found = []
        for clip in self._bar("clips", [clip for clip in self._truth.clips if self._is_there(clip.file)]):
            seen, state = watcher.session(material.frames(self._folder / clip.file, self._analysis))
            found.append(Watched(clip, seen, state))
        return found

    def heads(self, watcher: Watcher) -> list[Row]:
        there = [head for head in self._truth.heads if self._is_there(head.file)]
        return measures.head_pose(
            [(head, watcher.still(self._still(head.file)).faces) for head in self._bar("heads", there)]
        )

    def objects(self, watcher: Watcher) -> list[Row]:
        if "objects" in watcher.missing:
            why = watcher.missing["objects"]
            return [measures.not_measured("objects found in pictures", "%", why, ("objects",))]
        found = []
        for shown in self._truth.objects:
            if self._is_there(shown.file):
                seen = watcher.still(material.still(self._folder / shown.file, self._analysis, ("objects",)))
                found.append((shown.file, any(one.label in shown.labels for one in seen.objects or ())))
        return measures.objects(found)

    def identity(self, watcher: Watcher) -> list[Row]:
        """All pairs of pictures of the people; each picture is taken as one that is registered is."""
        if "identity" in watcher.missing:
            why = watcher.missing["identity"]
            return [measures.not_measured("people told apart", "%", why, ("identity",))]
        taken, unusable = [], []
        files = [(person.name, file) for person in self._truth.people for file in person.files if self._is_there(file)]
        for name, file in self._bar("people", files):
            try:
                taken.append((name, watcher.taken((self._folder / file).read_bytes())))
            except BadInput as error:
                unusable.append(f"{file} ({error})")
        pairs = [
            Pair(one_name == other_name, float(one.embedding @ other.embedding), watcher.similarity_pct(one, other))
            for (one_name, one), (other_name, other) in itertools.combinations(taken, 2)
        ]
        return measures.identity(pairs, THRESHOLD_PCT, unusable)

    def expression(self, watcher: Watcher) -> list[Row]:
        if "expression" in watcher.missing:
            return [measures.not_measured("expression, model", "%", watcher.missing["expression"], ("expression",))]
        return measures.expression("model", self._expressions(watcher))

    def estimate(self) -> list[Row]:
        """The same without a model, by a worker that has none."""
        settings = self.settings.model_copy(update={"expression_model": "", "objects_model": "", "identity_model": ""})
        with Watcher(self._policy_toml, settings, self.models) as watcher:
            return measures.expression(GEOMETRY, self._expressions(watcher))

    def _expressions(self, watcher: Watcher) -> list[tuple[str, dict[str, float] | None]]:
        found = []
        for one in self._truth.expressions:
            if self._is_there(one.file):
                faces = watcher.still(material.still(self._folder / one.file, self._analysis, ("expression",))).faces
                found.append((one.shows, faces[0].expression if faces else None))
        return found

    def _still(self, file: str) -> Frame:
        return material.still(self._folder / file, self._analysis)

    def _is_there(self, file: str) -> bool:
        return file not in self.absent

    def _bar(self, what: str, items: Sequence[T]) -> Iterator[T]:
        yield from track(items, what, disable=not self._bars, transient=True)


def table(report: Report) -> Table:
    """All figures; the column `by` names the features whose models, which `models_of` lists, each depends on."""
    title = f"{report.machine}; policy {report.policy}"
    found = Table("what", "figure", "n", "by", "note", title=title, title_justify="left")
    for row in report.rows:
        found.add_row(row.what, figure(row), str(row.n) if row.n else "", ", ".join(row.of), row.note)
    return found


def models_of(report: Report) -> list[str]:
    """A line for each feature: its model and what runs it, or why there is none."""
    lines = []
    for feature, model in report.models.items():
        # What was converted is called after its source, too; what runs it knows it by the first part of that.
        runs_on = next((provider for name, provider in report.providers.items() if model.startswith(name)), "")
        lines.append(f"{feature}: {model} on {runs_on}" if runs_on else f"{feature}: {model}")
    return lines + [f"{feature}: {why}" for feature, why in report.missing.items()]


def figure(row: Row) -> str:
    """A value with its unit; what was not measured, or not seen, says so."""
    if row.value is None:
        return "never" if row.n else "not measured"
    return f"{row.value:.{DIGITS.get(row.unit, 1)}f} {row.unit}"


DIGITS = {"cosine": 3, "s": 2, "%": 1, "alerts": 0}


def run(folder: Path, truth_file: Path, policy_file: Path, json_file: Path | None, settings: VisionSettings) -> Report:
    """Measure, print the table, write the JSON.

    Raises:
        BadInput: folder, truth or policy cannot be used.
        FeatureMissing: there is no face model.
    """
    if not folder.is_dir():
        raise BadInput("is no folder", field=str(folder))
    console = wide_console()
    bench = Bench(folder, material.read(truth_file), _text(policy_file), settings, bars=console.is_terminal)
    for file in bench.absent:
        console.print(f"not there, not measured: {file}", style="yellow", highlight=False)
    report = bench.run()
    console.print(table(report))
    for line in models_of(report):
        console.print(line, highlight=False)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


def _text(policy_file: Path) -> str:
    try:
        return policy_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", field=str(policy_file)) from error
