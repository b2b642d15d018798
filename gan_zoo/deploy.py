"""The page as a Hugging Face Space: what it needs of this checkout, uploaded in one commit."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from gan_zoo import hub

FILES = ("app.py", "README.md", "LICENSE", "requirements.txt", "pyproject.toml", "gan_zoo/*", "weights/*", "docs/*")
SILENCE = 60.0  # seconds that the Hub may take to answer
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu\n"


def files_of_space(root: Path, hardware: str) -> dict[str, Path | bytes]:
    """The files by their path in the Space. Raises ValueError if `root` is no checkout of the zoo."""
    if not (root / "app.py").is_file():
        raise ValueError(f"deploy needs a checkout of the zoo: there is no app.py in {root}")
    files: dict[str, Path | bytes] = {}
    for path in sorted(p for pattern in FILES for p in root.glob(pattern.replace("/*", "/**/*")) if p.is_file()):
        name = path.relative_to(root).as_posix()
        if not path.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{name} is a link out of the checkout: a Space gets what is in it")
        if "__pycache__" not in name and "/." not in name:
            files[name] = path
    if hardware.startswith("cpu"):  # the usual wheel of torch would bring gigabytes of CUDA
        files["requirements.txt"] = CPU_WHEELS.encode() + (root / "requirements.txt").read_bytes()
    return files


def deploy(space_id: str, *, hardware: str = "cpu-basic", private: bool = False) -> str:
    """Makes the Space if there is none, brings it to the state of this checkout, and returns its address.

    `hardware` is what a new Space runs on, and decides which wheels of torch are installed. Raises ValueError: no
    checkout, no token, no permission, Hub unreachable.
    """
    files = files_of_space(Path(__file__).resolve().parents[1], hardware)
    if space_id.count("/") != 1:
        raise ValueError(f"a Space is named OWNER/NAME, not {space_id!r}")
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token

    if not get_token():
        raise ValueError("deploying needs a Hugging Face token: run `hf auth login` or set HF_TOKEN")
    api = HfApi()
    try:
        with hub.answering_within(SILENCE):
            api.create_repo(
                space_id,
                repo_type="space",
                space_sdk="gradio",
                space_hardware=None if hardware == "cpu-basic" else hardware,  # pyright: ignore[reportArgumentType]
                private=private or None,
                exist_ok=True,
            )
            there = api.list_repo_files(space_id, repo_type="space")
            # What is no more must go: a plugin that was removed would still be found there.
            gone = [name for name in there if name not in files and any(fnmatch(name, pattern) for pattern in FILES)]
            api.create_commit(
                space_id,
                [
                    *(
                        CommitOperationAdd(name, str(file) if isinstance(file, Path) else file)
                        for name, file in files.items()
                    ),
                    *(CommitOperationDelete(name) for name in gone),
                ],
                commit_message="The zoo's page",
                repo_type="space",
            )
    except Exception as error:  # the Hub client raises errors of many unrelated kinds
        raise hub.explain(error, space_id, None, SILENCE) from None
    return f"{constants.ENDPOINT}/spaces/{space_id}"
