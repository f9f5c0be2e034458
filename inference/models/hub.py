"""Fetching from the Hugging Face hub: resumes, honours HF_ENDPOINT, HF_TOKEN and the proxy variables."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub.utils._http import get_session
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from inference.models.manifest import Model
from proto.errors import NotFound, Unavailable

PARALLEL_FILES = 2
KNOCK_S = 8.0


def fetch(model: Model, folder: Path, *, progress: bool, endpoint: str | None = None) -> None:
    """Fetch a model's files into `folder`, going on with what is there. `endpoint` is a mirror's address (None: the one
    in HF_ENDPOINT, or the hub's).

    Raises:
        NotFound: the hub knows no such repository or revision.
        Unavailable: the hub does not answer, refuses, or broke off; the same call may go on later.
    """
    where = endpoint or constants.ENDPOINT
    _knock(where)
    if progress:
        enable_progress_bars()
    else:
        disable_progress_bars()
    try:
        huggingface_hub.snapshot_download(
            model.repository,
            revision=model.revision,
            local_dir=folder,
            allow_patterns=list(model.files),
            max_workers=PARALLEL_FILES,
            endpoint=where,
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise NotFound(f"{where} has no {model.repository} at {model.revision[:12]}") from error
    except errors.LocalEntryNotFoundError as error:
        raise Unavailable(
            f"{where} cannot be reached: {_cause(error)}. Behind a firewall set HTTPS_PROXY, or HF_ENDPOINT to a mirror"
        ) from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # of whichever HTTP library the hub client uses
        raise Unavailable(
            f"{where} broke off or refused: {_cause(error)}. Run the same command again: it goes on where it was"
        ) from error
    except (errors.FileMetadataError, errors.XetDownloadError) as error:
        raise Unavailable(f"{where} did not send {model.repository} as expected: {error}") from error


def _knock(where: str) -> None:
    """See quickly whether anybody is there: the hub client itself tries for half a minute.

    Raises:
        Unavailable: nobody is.
    """
    try:
        get_session().head(where, timeout=KNOCK_S)
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # of whichever HTTP library it uses
        raise Unavailable(
            f"{where} cannot be reached: {_cause(error)}. Behind a firewall set HTTPS_PROXY, or HF_ENDPOINT to a mirror"
        ) from error


def _cause(error: BaseException) -> str:
    """The first line of the innermost error that says something."""
    told = ""
    seen: BaseException | None = error
    while seen is not None:
        if text := str(seen).strip():
            told = f"{type(seen).__name__}: {text.splitlines()[0]}"
        seen = seen.__cause__ or seen.__context__
    return told or type(error).__name__
