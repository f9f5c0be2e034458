"""Every model that can be pulled: where from, which exact revision, under which licence."""

from __future__ import annotations

import msgspec


class Weights(msgspec.Struct, frozen=True):
    """One file whose bytes are known beforehand."""

    file: str
    sha256: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `files` are name patterns to fetch from `repository` at `revision`; `needed` must be there in the end.
    `feature` is what a session lacks without it.
    """

    name: str
    task: str
    feature: str
    repository: str
    revision: str
    licence: str
    size_bytes: int
    files: tuple[str, ...]
    needed: tuple[str, ...]
    weights: Weights
    note: str


def _whisper(name: str, repository: str, revision: str, size_bytes: int, sha256: str, note: str) -> Model:
    return Model(
        name=name,
        task="speech to text",
        feature="transcript",
        repository=repository,
        revision=revision,
        licence="MIT",
        size_bytes=size_bytes,
        files=("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
        needed=("config.json", "model.bin", "tokenizer.json"),
        weights=Weights("model.bin", sha256),
        note=note,
    )


MODELS: tuple[Model, ...] = (
    _whisper(
        "whisper-tiny",
        "Systran/faster-whisper-tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
        78_203_619,
        "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
        "99 languages, the fastest: several sessions a core",
    ),
    _whisper(
        "whisper-base",
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        147_882_941,
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        "99 languages, fewer errors, about twice the work",
    ),
    _whisper(
        "whisper-small",
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        486_212_372,
        "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
        "99 languages, good text; for a GPU",
    ),
)
