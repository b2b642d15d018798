"""Finding weights, and carrying them from and to the Hub.

`resolve` finds the folder of a preset, `pull` and `push` carry a weights folder from and to the Hub; what such a folder
is, and `save` and `load`, are in `weights.py`, and the model card in `card.py`: they can all be called from here. What
can go wrong is a `WeightsError` of one line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gan_zoo.card import CardFacts, model_card
from gan_zoo.errors import one_line
from gan_zoo.weights import MANIFEST, WeightsError, check_name, load, read_file, read_manifest, recover, save, verify

__all__ = [
    "MANIFEST", "CardFacts", "WeightsError", "answering_within", "cached_or_pulled", "check_name", "explain", "load",
    "model_card", "pull", "push", "read_manifest", "repo_of", "resolve", "save", "verify",
    "weights_root",
]  # fmt: skip

MAX_PAGE = 20_000_000  # bytes of the manifest, the card or one of its pictures, when fetched
MAX_WHOLE = 4_000_000_000  # bytes of all that is loaded
ETAG = re.compile(r'(W/)?"?(?!\.)[A-Za-z0-9_.:+=-]{1,128}"?')

logger = logging.getLogger(__name__)

T = TypeVar("T")

# ---------------------------------------------------------------------------------------------------------------------
# Find


def weights_root() -> Path:
    """Where shipped weights are: GAN_ZOO_WEIGHTS, else `weights/` of the checkout that this package runs from.

    Installed by pip there is no checkout, and a `weights` in site-packages would be a stranger's: then it is
    `gan_zoo/weights` in the user's data folder.
    """
    if named := os.environ.get("GAN_ZOO_WEIGHTS"):
        return Path(named).expanduser()
    home = Path(__file__).resolve().parents[1]
    if home.name in ("site-packages", "dist-packages"):
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(data) / "gan_zoo" / "weights"
    return home / "weights"


def repo_of(owner: str, plugin: str, preset: str) -> str:
    """The repository of a shipped preset: `push --all OWNER` sends it there, and GAN_ZOO_HUB=OWNER finds it there."""
    return f"{owner}/gan-zoo-{plugin}-{preset}"


def resolve(
    plugin: str,
    preset: str,
    *,
    repo_id: str | None = None,
    revision: str | None = None,
    weights_dir: str | Path | None = None,
) -> Path:
    """The weights folder of a preset: `weights_dir` if given, else `weights_root()/PLUGIN/PRESET`, else from the Hub.

    `weights_dir` is a weights folder, or a root that holds PLUGIN/PRESET; it has no fallback. The Hub comes last, and
    is only asked for what its cache on this machine lacks. Raises WeightsError that says where was looked.
    """
    check_name("plugin", plugin)
    check_name("preset", preset)
    if weights_dir is not None and (Path(weights_dir) / MANIFEST).is_file():
        return Path(weights_dir)
    folder = Path(weights_dir or weights_root()).expanduser() / plugin / preset
    recover(folder)
    if (folder / MANIFEST).is_file():
        return folder
    if weights_dir is not None:
        raise WeightsError(f"no weights of {plugin}/{preset} in {weights_dir}")
    if repo_id is None and (owner := os.environ.get("GAN_ZOO_HUB", "").strip("/ ")):
        repo_id = repo_of(owner, plugin, preset)
    if repo_id is None:
        raise WeightsError(
            f"no weights of {plugin}/{preset} in {folder}: train them (`python -m gan_zoo train {plugin} --out "
            f"runs/{preset}`) and copy runs/{preset}/weights there, or fetch them (`python -m gan_zoo pull REPO_ID "
            f"--out {folder}`), "
            f"or set GAN_ZOO_WEIGHTS to a folder that holds {plugin}/{preset}, or GAN_ZOO_HUB to an owner on the Hub"
        )
    return _cached(repo_id, revision) or pull(repo_id, revision=revision)


def cached_or_pulled(repo_id: str) -> Path:
    """The weights folder of a repository, from the cache on this machine if all of it is there."""
    return _cached(repo_id, None) or pull(repo_id)


def _cached(repo_id: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache, if all of it is there. Asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, MANIFEST, revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    whole = all((folder / name).is_file() for name in read_manifest(folder).files)
    return folder if whole else None


# ---------------------------------------------------------------------------------------------------------------------
# Pull and push


def pull(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    timeout: float = 10.0,
    deadline: float = 300.0,
) -> Path:
    """Fetches the weights of a Hub repository into the Hub's cache and returns their folder there, checked.

    Only the files that its `gan_zoo.json` lists, and that a weights folder may hold, are fetched; none is run. If the
    Hub does not answer as it should, a copy in the cache of that revision (branch, tag or commit) is returned.
    `timeout` is how many seconds the Hub may take to answer, `deadline` how many the whole may take (stalled and
    trickling downloads included). Raises WeightsError: no such repository or revision, no weights in it, Hub
    unreachable or too slow, download damaged.
    """

    def fetch() -> Path:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:  # ask first: this call has a timeout, while a download that finds no cached file asks on for minutes
            HfApi(token=token).model_info(repo_id, revision=revision, timeout=timeout)
        except Exception as error:
            folder = _cached(repo_id, revision)
            if folder is None:
                raise
            logger.warning("%s; going on with the copy in %s", explain(error, repo_id, revision, timeout), folder)
            return folder
        with _watched_answers() as answers:
            get = partial(hf_hub_download, repo_id, etag_timeout=timeout, token=token)
            answers.most = MAX_PAGE
            folder = Path(get(MANIFEST, revision=revision)).parent
            get = partial(get, revision=folder.name)  # the commit: all files are of one even if the branch moves on
            manifest = read_manifest(folder)
            if (whole := sum(entry["size"] for entry in manifest.files.values())) > MAX_WHOLE:
                raise WeightsError(f"{repo_id}: weights of {whole:,} bytes, expected at most {MAX_WHOLE:,}")
            for name, entry in manifest.files.items():
                answers.most = entry["size"]
                get(name)
                try:
                    read_file(folder, manifest, name)
                except WeightsError:  # the cache keeps what a bad connection gave; ask once more before giving up
                    get(name, force_download=True)
                    read_file(folder, manifest, name)
            answers.most = MAX_PAGE
            for name in manifest.pages:
                with contextlib.suppress(EntryNotFoundError):  # somebody tidied up on the Hub; nothing that is loaded
                    get(name)
        return folder

    # A thread, since neither the retries nor the body of a download have a bound of their own; a daemon, since one
    # that hangs must not keep the program from ending.
    outcome: Future[Path] = Future()
    threading.Thread(target=_settle, args=(outcome, fetch), name="gan_zoo pull", daemon=True).start()
    if not wait([outcome], deadline).done:
        raise WeightsError(f"{_at(repo_id, revision)}: not downloaded within {deadline:g} s")
    if error := outcome.exception():
        raise explain(error, repo_id, revision, timeout)
    return outcome.result()


@dataclass
class _Answers:
    """What a Hub may answer while weights are fetched."""

    most: int  # bytes of the file that is asked for

    def check(self, response: Any) -> None:
        """Refuses headers that would lead huggingface_hub 2.4 out of its cache, and files larger than announced.

        The client makes paths of an ETag and of a commit as they come.
        """
        path, headers = response.request.url.path, response.headers
        resolves = "/resolve/" in path
        for name in ("etag", "x-linked-etag", "x-repo-commit") if resolves else ():
            value = headers.get(name, "")
            if value and not ETAG.fullmatch(value):
                raise WeightsError(f"the Hub answers with a {name} that is none: {value[:40]!r}")
        sends = (resolves or response.request.method == "GET") and "/api/" not in path
        size = headers.get("x-linked-size") or (headers.get("content-length") if response.is_success else "") or "0"
        found = response.status_code in (200, 206, 302, 307)
        if sends and found and (not size.isdecimal() or int(size) > self.most):
            raise WeightsError(f"the Hub sends {size[:20]} bytes, where at most {self.most:,} were announced")


@contextlib.contextmanager
def _watched_answers() -> Iterator[_Answers]:
    from huggingface_hub import get_session

    answers, hooks = _Answers(MAX_PAGE), get_session().event_hooks["response"]
    hooks.append(answers.check)
    try:
        yield answers
    finally:
        hooks.remove(answers.check)


@contextlib.contextmanager
def answering_within(seconds: float) -> Iterator[None]:
    """Inside, the Hub may stay silent for so long: the client's own time-out is none, and few of its calls take one."""
    from huggingface_hub import get_session

    session = get_session()
    before, session.timeout = session.timeout, seconds
    try:
        yield
    finally:
        session.timeout = before


def check_token(token: str | None = None) -> None:
    """Raises WeightsError where there is no token to push with."""
    from huggingface_hub import get_token

    if not (token or get_token()):
        raise WeightsError("pushing needs a Hugging Face token: run `hf auth login` or set HF_TOKEN")


def push(
    folder: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    timeout: float = 60.0,
) -> str:
    """Uploads a weights folder to a Hub repository, made if there is none, and returns the URL of the commit.

    `revision` is a branch, made if there is none. `timeout` is how many seconds the Hub may stay silent. Raises
    WeightsError: folder not whole, no token, no permission, repository public where `private` is asked, Hub
    unreachable or too slow.
    """
    from huggingface_hub import HfApi

    manifest = verify(folder)
    check_token(token)

    def send() -> str:
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise WeightsError(f"{repo_id} exists and is public: make it private on the Hub, or push to another name")
        if revision is not None and revision != "main":
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            allow_patterns=[MANIFEST, *manifest.files, *manifest.pages],
            commit_message=f"Weights of {manifest.plugin}/{manifest.preset}",
        )
        return commit.commit_url

    try:
        with answering_within(timeout):
            return send()
    except Exception as error:  # the Hub client raises errors of many unrelated kinds
        raise explain(error, repo_id, revision, timeout) from None


def _settle(outcome: Future[T], work: Callable[[], T]) -> None:
    """Does the work and keeps what came of it, error or not: the Hub client raises errors of many unrelated kinds."""
    try:
        outcome.set_result(work())
    except Exception as error:
        outcome.set_exception(error)


def explain(error: BaseException, repo_id: str, revision: str | None, timeout: float) -> WeightsError:
    """One line for what the Hub client raised, whose own messages run to many and hide the cause in a chain."""
    from huggingface_hub import constants, errors

    if isinstance(error, WeightsError):
        return error
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    # By name, since the client has changed its http library and may again.
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    status = next((link.response.status_code for link in chain if isinstance(link, errors.HfHubHTTPError)), None)
    what, hub = _at(repo_id, revision), constants.ENDPOINT

    if "OfflineModeIsEnabled" in kinds:
        return WeightsError(f"{what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it")
    if "GatedRepoError" in kinds:
        return WeightsError(f"{repo_id} is gated: accept its terms on {hub} and log in with `hf auth login`")
    if "RevisionNotFoundError" in kinds:
        return WeightsError(f"{repo_id} on {hub} has no revision {revision or 'main'!r}")
    if "RemoteEntryNotFoundError" in kinds:
        return WeightsError(f"{what} on {hub} holds no weights of this kind, or not all: {one_line(error, 2)}")
    if status == 403:
        return WeightsError(f"the token has no permission to write to {repo_id} on {hub}")
    if "RepositoryNotFoundError" in kinds:
        return WeightsError(f"there is no repository {repo_id} on {hub}, or it is private and the token may not see it")
    if status == 401:
        return WeightsError(f"{hub} does not accept the token: run `hf auth login` or set HF_TOKEN")
    if "TimeoutException" in kinds:
        return WeightsError(f"{what}: {hub} did not answer within {timeout:g} s")
    if "NetworkError" in kinds:
        return WeightsError(f"{what}: {hub} cannot be reached ({one_line(chain[-1])})")
    return WeightsError(f"{what}: {one_line(error)}")


def _at(repo_id: str, revision: str | None) -> str:
    return f"{repo_id} at {revision}" if revision else repo_id
