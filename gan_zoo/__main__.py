"""The command line: try, measure, share and extend the zoo.

    python -m gan_zoo list
    python -m gan_zoo infer PLUGIN[.TASK] [--preset P] [--ARG VALUE ...] --out DIR
    python -m gan_zoo new NAME, check NAME

    python -m gan_zoo train PLUGIN [--data D] [--recipe R]

`python -m gan_zoo COMMAND --help` tells more, and `infer PLUGIN --help` and `train PLUGIN --help` what that GAN takes.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_zoo.cli import Parser, author, calls, export, infer, listing, positive, train, weights
from gan_zoo.errors import one_line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 if it worked, 2 after one line `error: ...` on stderr."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"error: {one_line(error, 2, 2000)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = Parser(
        "python -m gan_zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Parser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    _using(command)
    _weights(command)
    _extending(command)
    return parser


def _using(command: Callable[..., Parser]) -> None:
    sub = command("list", listing.list_, "list the GANs, their tasks and presets")
    sub.add_argument("--json", action="store_true", help="everything, for programs")

    sub = command("infer", infer.infer, "run a task of a GAN; `infer PLUGIN --help` lists its arguments")
    sub.add_argument("target", metavar="PLUGIN[.TASK]", help="the first task of the plugin unless named")
    sub.add_argument("rest", metavar="[--preset P] [--ARG VALUE ...] --out DIR", nargs=argparse.REMAINDER)

    sub = command("train", _train, "train a GAN; `train PLUGIN --help` lists its settings")
    sub.add_argument("rest", metavar="PLUGIN[.TRAINING] [--data D] [--recipe R] ...", nargs=argparse.REMAINDER)

    sub = command("app", _app, "open the page on this machine")
    sub.add_argument("--host", help="0.0.0.0 lets other machines in (default GRADIO_SERVER_NAME or 127.0.0.1)")
    sub.add_argument("--port", type=positive, help="default GRADIO_SERVER_PORT or 7860")
    sub.add_argument("--threads", type=positive, help="of the processor (default: all of its cores)")


def _weights(command: Callable[..., Parser]) -> None:
    sub = command("evaluate", weights.evaluate, "score a preset against data held out")
    sub.add_argument("plugin", metavar="PLUGIN")
    sub.add_argument("--preset", metavar="P", help="name, or path of a weights folder or run")
    sub.add_argument(
        "--data", metavar="D", help="Hub dataset id, folder or parquet file; the built-in data if left out"
    )
    sub.add_argument("--count", type=positive, default=2000, metavar="N", help="pictures (default 2000)")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting other than the preset's own"
    )
    sub.add_argument("--json", action="store_true")

    sub = command("push", weights.push, "send the weights of a preset or run, or --all shipped ones, to the Hub")
    sub.add_argument("source", nargs="?", metavar="PRESET_OR_RUN", help="NAME, PLUGIN/NAME, or path of a folder or run")
    sub.add_argument("repo_id", nargs="?", metavar="REPO_ID")
    sub.add_argument("--all", metavar="OWNER", help="every shipped preset, as OWNER/gan-zoo-PLUGIN-NAME (GAN_ZOO_HUB)")
    sub.add_argument("--revision", metavar="R", help="a branch, made if there is none")
    sub.add_argument("--private", action="store_true")

    sub = command("pull", weights.pull, "fetch weights from the Hub, and print where they are")
    sub.add_argument("repo_id", metavar="REPO_ID")
    sub.add_argument("--revision", metavar="R", help="branch, tag or commit")
    sub.add_argument("--out", type=Path, metavar="DIR", help="copy them there (default: stay in the Hub's cache)")

    sub = command("export", export.export, "write the networks of a preset or run as ONNX, for programs without torch")
    sub.add_argument("source", metavar="PRESET_OR_RUN", help="NAME, PLUGIN/NAME, or path of a folder or run")
    sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write")
    sub.add_argument("--precision", choices=["fp32", "fp16"], default="fp32", help="fp16 halves the files")

    sub = command("import", weights.import_, "convert weights that another program trained; `list` names the formats")
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.add_argument("--format", required=True, metavar="F", help="which program's; `list` says which files it takes")
    sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="the weights folder to write")


def _extending(command: Callable[..., Parser]) -> None:
    sub = command("new", author.new, "begin a GAN of your own: a small one that works, to be changed")
    sub.add_argument("name", metavar="NAME", help="a-z, 0-9 and _")
    sub.add_argument(
        "--package", type=Path, metavar="DIR", help="as a package of its own there, to install and to share"
    )
    sub.add_argument("--template", choices=author.TEMPLATES, default="unconditional", help="paired: picture to picture")

    sub = command("check", author.check, "check that a GAN keeps the contract")
    sub.add_argument("name", metavar="NAME")

    sub = command("docs", calls.docs, "write down every endpoint, with ready calls")
    sub.add_argument("--out", type=Path, default=Path("docs/endpoints.md"), metavar="FILE")

    sub = command("boot", calls.boot, "does a running page work? Opens it, and calls every endpoint once")
    sub.add_argument("url", metavar="URL", help="http://127.0.0.1:7860, or the address of a Space")
    sub.add_argument("--seconds", type=positive, default=120, metavar="S", help="for each call (default 120)")

    sub = command("deploy", _deploy, "put the page on Hugging Face Spaces")
    sub.add_argument("space_id", metavar="SPACE_ID", help="OWNER/NAME")
    sub.add_argument(
        "--hardware", default="cpu-basic", metavar="H", help="cpu-basic (default), zero-a10g, t4-small ..."
    )
    sub.add_argument("--private", action="store_true")


def _train(args: argparse.Namespace) -> int:
    return train.main(args.rest)


def _deploy(args: argparse.Namespace) -> None:
    from gan_zoo.deploy import deploy

    print(deploy(args.space_id, hardware=args.hardware, private=args.private))


def _app(args: argparse.Namespace) -> None:
    gc.disable()  # until the page is open: half a million objects come to stay, and counting them is a quarter of it
    from gan_zoo import ui

    _check_address(args.host, args.port)
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    ui.launch(host=args.host, port=args.port)


def _check_address(host: str | None, port: int | None) -> None:
    """Raises ValueError where the page could not be opened there, before seconds go into building it."""
    import socket

    from gan_zoo import gate

    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"--port: expected 1 to 65535, got {port}")
    host = gate.address(host)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ValueError(f"the page cannot be opened on {host}, port {port or 'any'}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
