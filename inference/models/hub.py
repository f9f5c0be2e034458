"""Fetching from the Hugging Face hub: goes on after a break, honours HF_ENDPOINT, HF_TOKEN and the proxy variables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, errors, hf_hub_url
from huggingface_hub.file_download import get_hf_file_metadata, http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from inference.models.manifest import Hub
from proto.errors import NotFound, Unavailable

KNOCK_S = 8.0
SIZE_SLACK = 1 << 20
PART = ".part"


def fetch(name: str, hub: Hub, size_bytes: int, folder: Path, *, progress: bool, endpoint: str | None = None) -> None:
    """Fetch a model's files into `folder`, going on with what is there. `endpoint` is a mirror's address (None: the one
    in HF_ENDPOINT, or the hub's); more than about `size_bytes` is refused.

    Raises:
        NotFound: the hub knows no such repository or revision.
        Unavailable: the hub does not answer, refuses, or broke off; the same call may go on later.
        OSError: the disk refused.
    """
    where = endpoint or constants.ENDPOINT
    if progress:
        enable_progress_bars()
    else:
        disable_progress_bars()
    with _told_plainly(hub, where):
        _knock(where)
        api = HfApi(endpoint=where)
        tree = api.list_repo_tree(hub.repository, revision=hub.revision)
        wanted = [row for row in tree if isinstance(row, RepoFile) and _is_wanted(hub, row.path)]
        if sum(row.size for row in wanted) > size_bytes + SIZE_SLACK:
            raise Unavailable(f"{where} offers other files for {name} than the manifest knows: larger ones")
        for row in wanted:
            _fetch_file(name, hub, row, folder / row.path, where)


def _is_wanted(hub: Hub, path: str) -> bool:
    return "/" not in path and any(fnmatch(path, pattern) for pattern in hub.files)


def _fetch_file(name: str, hub: Hub, row: RepoFile, target: Path, where: str) -> None:
    """One file, by way of a `.part` that a broken pull leaves behind.

    The library's own download starts a file anew after a failure, which for hundreds of megabytes over a bad line may
    never end.
    """
    if target.is_file() and target.stat().st_size == row.size:
        return
    url = hf_hub_url(hub.repository, row.path, revision=hub.revision, endpoint=where)
    metadata = get_hf_file_metadata(url, endpoint=where, retry_on_errors=True)
    headers: dict[str, str] = build_hf_headers()
    if urlsplit(metadata.location).netloc != urlsplit(url).netloc:
        # A content network's signed address; the token is for the hub alone.
        headers.pop("authorization", None)
    part = target.with_name(target.name + PART)
    have = part.stat().st_size if part.is_file() else 0
    if have > row.size:
        part.unlink()
        have = 0
    with part.open("ab") as file:
        http_get(
            metadata.location,
            file,
            resume_size=have,
            headers=headers,
            expected_size=row.size,
            displayed_filename=f"{name}/{row.path}",
        )
    part.replace(target)


def _knock(where: str) -> None:
    """See quickly whether anybody is there: the library itself would try for half a minute."""
    try:
        get_session().head(where, timeout=KNOCK_S)
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:  # type: ignore[attr-defined]
        raise Unavailable(
            f"{where} cannot be reached: {_cause(error)}. Behind a firewall set HTTPS_PROXY, or HF_ENDPOINT to a mirror"
        ) from error


@contextmanager
def _told_plainly(hub: Hub, where: str) -> Iterator[None]:
    """The library's errors as ours. `errors.HTTPError` is the base of whichever HTTP client it uses."""
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise NotFound(f"{where} has no {hub.repository} at {hub.revision[:12]}") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:  # type: ignore[attr-defined]
        raise Unavailable(
            f"{where} broke off or refused: {_cause(error)}. Run the same command again: it goes on where it was"
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # Without a number it is no error of the disk: fewer bytes came than were announced.
        raise Unavailable(f"{where} did not send {hub.repository} whole: {error}") from error


def _cause(error: BaseException) -> str:
    """The first line of the innermost error that says something."""
    told = ""
    seen: BaseException | None = error
    while seen is not None:
        if text := str(seen).strip():
            told = f"{type(seen).__name__}: {text.splitlines()[0]}"
        seen = seen.__cause__ or seen.__context__
    return told or type(error).__name__
