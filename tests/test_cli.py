"""The command line: what it writes, and one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import av
import loopback_hub
import numpy as np
import pytest
from loopback_hub import LoopbackHub
from PIL import Image

from gan_zoo import images, registry
from gan_zoo.__main__ import main
from gan_zoo.plugin import Arg, Evaluation, Film, ImageFile, Preset, Seed, Text, task
from gan_zoo.template.plugin import Template

ROOT = Path(__file__).parents[1]
TEXT = Text("x 100%", "x 100%")


class Parts(NamedTuple):
    picture: Image.Image
    film: Film
    note: str
    numbers: dict


class Probe(Template):
    """A plugin whose tasks need no network, one for each kind of argument and result."""

    slug = "probe"
    presets = (Preset("plain", TEXT, "open", TEXT), Preset("twin", TEXT, "research", TEXT))
    loads = 0

    def load(self, preset: str | None = None, **options: Any) -> Any:
        type(self).loads += 1
        return None

    def evaluate(self, pipeline: Any, data: Any, count: int) -> Evaluation:
        return Evaluation({"distance": 1.25, "recall": 0.5}, "Counted by hand.")

    @task(TEXT, TEXT, name="generate")
    def generate_task(
        self,
        pipeline: Any,
        *,
        seed: Seed = 0,
        count: Annotated[int, Arg(TEXT, minimum=1, maximum=2, cli_maximum=9)] = 2,
    ) -> list[Image.Image]:
        return [Image.new("RGB", (4, 4), (seed + i, 0, 0)) for i in range(count)]

    @task(TEXT, TEXT)
    def stream(self, pipeline: Any, *, folder: Annotated[str, Arg(TEXT)]) -> list[Image.Image]:
        def pictures() -> Iterator[Image.Image]:
            for i in range(3):
                assert len(list(Path(folder).glob("*.png"))) == i  # those before are on disk, and no longer held
                yield Image.new("RGB", (4, 4))

        return pictures()  # pyright: ignore[reportReturnType]

    @task(TEXT, TEXT)
    def tint(
        self,
        pipeline: Any,
        *,
        image: Annotated[ImageFile, Arg(TEXT)],
        back_ground: Annotated[ImageFile, Arg(TEXT)] = ImageFile(""),
        amount: Annotated[float, Arg(TEXT, minimum=0, maximum=1)] = 0.5,
        colour: Annotated[Literal["red", "blue"], Arg(TEXT)] = "red",
        strong: Annotated[bool, Arg(TEXT)] = False,
    ) -> Image.Image:
        value = int(100 * amount) + (100 if strong else 0)
        return Image.new("RGB", images.read_image(image).size, (value, 0, 0) if colour == "red" else (0, 0, value))

    @task(TEXT, TEXT)
    def film(self, pipeline: Any) -> Film:
        return Film([Image.new("RGB", (16, 16), (40 * i, 0, 0)) for i in range(5)], fps=10)

    @task(TEXT, TEXT)
    def parts(self, pipeline: Any, *, image: Annotated[ImageFile, Arg(TEXT)]) -> Parts:
        return Parts(Image.new("RGB", (4, 4)), self.film(pipeline), "ñ", {"a": [1, 2]})


@pytest.fixture(autouse=True)
def only_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry.collect([registry.Source("probe", "tests.probe", lambda: Probe)])
    found.broken.append(registry.Broken("torn", "No module named 'x'"))
    monkeypatch.setattr(registry, "discover", lambda: found)
    Probe.loads = 0


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must work, and returns what it printed."""

    def run(*arguments: Any) -> str:
        code = main([str(a) for a in arguments])
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return run


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must fail with one line, and returns that."""

    def fail(*arguments: Any) -> str:
        assert main([str(a) for a in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return fail


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# ---------------------------------------------------------------------------------------------------------------------
# infer


def test_pictures_are_numbered(run: Run, tmp_path: Path) -> None:
    assert (
        run("infer", "probe", "--seed", 7, "--count", 3, "--out", tmp_path / "a/b")
        == f"wrote 3 files to {tmp_path}/a/b\n"
    )
    assert names(tmp_path / "a/b") == ["00000.png", "00001.png", "00002.png"]
    assert Image.open(tmp_path / "a/b/00002.png").getpixel((0, 0)) == (9, 0, 0)


def test_pictures_that_are_generated_one_by_one_are_written_one_by_one(run: Run, tmp_path: Path) -> None:
    run("infer", "probe.stream", "--folder", tmp_path, "--out", tmp_path)
    assert len(names(tmp_path)) == 3


def test_a_picture_gives_its_name_to_the_result(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (6, 8)).save(tmp_path / "cat.jpg")
    flags = ("--amount", "0.25", "--colour", "blue", "--strong")
    run("infer", "probe.tint", "--image", tmp_path / "cat.jpg", *flags, "--out", tmp_path / "out")
    result = Image.open(tmp_path / "out/cat.png")
    assert result.size == (6, 8)
    assert result.getpixel((0, 0)) == (0, 0, 125)


def test_a_folder_gives_a_result_per_picture(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png", "b.JPG", "c.webp"):
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    assert run("infer", "probe.tint", "--image", folder, "--out", tmp_path / "out").startswith("wrote 4 files")
    assert names(tmp_path / "out") == ["a.png", "b.JPG.png", "b.png.png", "c.png"]
    assert Probe.loads == 1


def test_folders_within_hidden_files_and_long_names(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "day1").mkdir(parents=True)
    long = "m" * 245
    for name in ("a.png", "day1/a.png", f"{long}.png", f"{long[:-1]}n.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder / "._a.png").write_bytes(b"\0\5\x16\7")
    (folder / "raw.cr2").write_bytes(b"II")
    told = run("infer", "probe.tint", "--image", folder, "--out", tmp_path / "out")
    assert told.strip().endswith("; left out 1 .cr2") and told.startswith("wrote 4 files")
    assert names(tmp_path / "out") == ["a.png", "day1-a.png", f"{'m' * 120}-2.png", f"{'m' * 120}-3.png"]


def test_one_bad_picture_of_a_folder_costs_no_other(fail: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "b.png")
    (folder / "a.png").write_bytes(b"no picture")
    assert "a.png" in fail("infer", "probe.tint", "--image", folder, "--out", tmp_path / "out")
    assert names(tmp_path / "out") == ["b.png"]


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_films(run: Run, tmp_path: Path, suffix: str) -> None:
    run("infer", "probe.film", "--out", tmp_path, "--format", suffix)
    assert names(tmp_path) == [f"film.{suffix}"]
    with av.open(str(tmp_path / f"film.{suffix}")) as film:
        assert len(list(film.decode(video=0))) == 5


def test_a_named_tuple_gives_a_file_per_field(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (6, 8)).save(tmp_path / "cat.png")
    run("infer", "probe.parts", "--image", tmp_path / "cat.png", "--out", tmp_path / "out")
    assert names(tmp_path / "out") == ["cat-film.mp4", "cat-note.txt", "cat-numbers.json", "cat-picture.png"]
    assert (tmp_path / "out/cat-note.txt").read_text() == "ñ\n"
    assert json.loads((tmp_path / "out/cat-numbers.json").read_text()) == {"a": [1, 2]}


def test_flags_with_underscores_may_be_written_with_hyphens(fail: Run, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for flag in ("--back_ground", "--back-ground"):
        line = fail(
            "infer", "probe.tint", "--image", tmp_path / "a.png", flag, "nowhere.png", "--out", tmp_path / "out"
        )
        assert line == "--back_ground: there is no file or folder 'nowhere.png'"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nope --out o", "there is no plugin 'nope'; there are: probe"),
        ("torn --out o", "plugin 'torn' cannot be used: No module named 'x'"),
        ("probe.nope --out o", "probe has no task 'nope'; there are: generate, stream, tint, film, parts"),
        ("probe", "the following arguments are required: --out"),
        ("probe --out o --count 10", "count: expected a whole number from 1 to 9, got 10"),
        ("probe --out o --count 0", "count: expected a whole number from 1 to 9, got 0"),
        ("probe --out o --count 1.5", "argument --count: expected a whole number, got '1.5'"),
        ("probe --out o --seed -1", "seed: expected a whole number from 0 to 4294967295, got -1"),
        ("probe --out o --colour red", "unrecognized arguments: --colour red"),
        ("probe --out o --preset nope", "probe has no preset 'nope'; there are: plain, twin"),
        ("probe --out o --preset runs/nope", "there is no weights folder or finished run at 'runs/nope'"),
        ("probe.film --out o --format avi", "argument --format: invalid choice: 'avi' (choose from 'mp4', 'gif')"),
        ("probe.tint --out o", "the following arguments are required: --image"),
        ("probe.tint --out o --image nope.png", "--image: there is no file or folder 'nope.png'"),
        (
            "probe.tint --out o --image .",
            "--image: the folder '.' holds no pictures (.avif, .bmp, .gif, .heic,",
        ),
        (
            "probe.tint --out o --image . --back-ground .",
            "--image and --back_ground are both folders: give at most one",
        ),
        ("probe.tint --out o --image a.txt --amount nan", "amount: expected a number from 0 to 1, got nan"),
        ("probe.tint --out o --image a.txt --amount x", "argument --amount: expected a number, got 'x'"),
        ("probe.tint --out o --image a.txt --colour red --colour green", "argument --colour: invalid choice: 'green'"),
        ("probe.tint --out o --image a.txt", "a.txt: "),
        ("probe --out a.txt", "[Errno 17] File exists: 'a.txt'"),
    ],
)
def test_infer_tells_mistakes_in_one_line(
    fail: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("no picture")
    assert fail("infer", *arguments.split()).startswith(line)
    assert not list(Path().glob("o/*"))


# ---------------------------------------------------------------------------------------------------------------------
# The rest


def test_list(run: Run) -> None:
    printed = run("list")
    assert "probe.tint --image [--back_ground] [--amount]" in printed
    assert "--preset twin  (research)" in printed
    assert "torn: cannot be used: No module named 'x'" in printed
    described = json.loads(run("list", "--json"))
    (plugin,) = described["plugins"]
    assert [t["endpoint"] for t in plugin["tasks"]][:2] == ["/probe_generate", "/probe_stream"]
    count = plugin["tasks"][0]["arguments"][1]
    assert count == count | {
        "name": "count",
        "type": "int",
        "default": 2,
        "minimum": 1,
        "maximum": 9,
        "required": False,
    }
    assert [p["name"] for p in plugin["presets"] if p["default"]] == ["plain"]
    assert described["broken"] == [{"name": "torn", "reason": "No module named 'x'"}]


def test_evaluate(run: Run) -> None:
    assert run("evaluate", "probe", "--count", 5).startswith(
        "distance  1.25\nrecall    0.5\n5 pictures asked for, 1000 "
    )
    measured = json.loads(run("evaluate", "probe", "--preset", "twin", "--count", 5, "--json"))
    assert measured["scores"] == {"distance": 1.25, "recall": 0.5}
    assert (measured["preset"], measured["count"], measured["rows"]) == ("twin", 5, 1000)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("nope", "argument COMMAND: invalid choice: 'nope'"),
        ("evaluate nope", "there is no plugin 'nope'"),
        ("evaluate probe --data nowhere", "template has only its built-in data"),
        ("evaluate probe --count 0", "argument --count: expected at least 1, got 0"),
        (
            "push nope ana/x",
            "'nope' is neither a run nor a weights folder nor a preset; presets: probe/plain, probe/twin",
        ),
        ("push plain ana/x", "no weights of probe/plain in "),
        ("pull ana/x --out .", "--out: . exists and is not an empty folder"),
        ("new 9rings", "'9rings' cannot be a plugin's name"),
        ("new class", "'class' cannot be a plugin's name"),
        ("new ../x", "'../x' cannot be a plugin's name"),
        ("check nope", "there is no plugin 'nope'"),
        ("app --port 0", "argument --port: expected at least 1, got 0"),
    ],
)
def test_commands_tell_mistakes_in_one_line(
    fail: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("something").touch()
    assert fail(*arguments.split()).startswith(line)


def test_new_gives_a_gan_that_checks_trains_draws_and_measures(tmp_path: Path) -> None:
    """What docs/add-a-plugin.md promises, in a copy of the checkout, all commands in one process to save time."""
    for name in ("gan_zoo", "train"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    script = """
import sys
import gan_zoo.cli.train, gan_zoo.__main__
def zoo(line):
    print("$", line, flush=True)
    code = gan_zoo.__main__.main(line.split())
    assert code == 0, code
zoo("new two_rings")
zoo("check two_rings")
assert gan_zoo.cli.train.main("two_rings --recipe two_rings --steps 20 --batch-size 8 --out runs/first".split()) == 0
zoo("infer two_rings --preset runs/first --count 2 --out few")
zoo("infer two_rings.generate --preset runs/first/weights --count 5 --out many")
zoo("evaluate two_rings --preset runs/first --count 50 --json")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two_rings keeps the contract" in done.stdout
    assert "FAIL" not in done.stdout
    text = "".join(
        p.read_text() for p in [*tmp_path.glob("gan_zoo/plugins/two_rings/*.py"), *tmp_path.glob("tests/*.py")]
    )
    assert "class TwoRings(Plugin[Settings, TwoRingsPipeline])" in text
    assert "emplate" not in text
    assert names(tmp_path / "tests") == ["test_two_rings.py"]
    assert names(tmp_path / "few") == ["00000.png", "00001.png"]
    assert len(names(tmp_path / "many")) == 5
    for name in names(tmp_path / "few"):
        few, many = (np.asarray(Image.open(tmp_path / kind / name)) for kind in ("few", "many"))
        assert np.array_equal(few, many)


def test_check_tells_what_breaks_the_contract(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cheat(Template):
        """D's half trains the generator too, and pictures are never twice the same."""

        slug = "probe"
        drawn = 0

        def discriminator_loss(self, nets, batch, fakes, step):
            for p in nets["generator"].parameters():
                p.data.add_(1)
            return super().discriminator_loss(nets, batch, fakes, step)

        @task(TEXT, TEXT, name="generate")
        def generate_task(self, pipeline: Any, *, count: Annotated[int, Arg(TEXT)] = 1) -> list[Image.Image]:
            Cheat.drawn += 9
            return [Image.new("RGB", (4, 4), (Cheat.drawn, 0, 0))] * count

    monkeypatch.setattr(registry, "get", lambda slug: Cheat())
    assert main(["check", "probe"]) == 2
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(wrong) == 4
    assert wrong[0].endswith("'count' has no minimum and maximum: a stranger may ask for 10**9")
    assert wrong[1].endswith("the D half changed ['generator']")
    assert wrong[2].endswith("task generate gave another result for the same arguments")
    assert wrong[3].endswith("the first pictures depend on how many are asked for")


# ---------------------------------------------------------------------------------------------------------------------
# deploy: over HTTP, in a process of its own, since the client reads its settings when it is imported


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with an app, weights, and things that do not belong on a Space."""
    root = tmp_path / "checkout"
    for name in (
        "gan_zoo/__init__.py",
        "gan_zoo/__main__.py",
        "gan_zoo/deploy.py",
        "gan_zoo/hub.py",
        "requirements.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for name in ("app.py", "weights/probe/plain/generator/net.safetensors", "weights/.new/x", "runs/x.txt", ".env"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "README.md").write_text("---\nlicense: mit\nsdk: gradio\n---\n")
    return root


def deploy(checkout: Path, environment: dict[str, str], *flags: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "gan_zoo", "deploy", "ana/zoo", *flags]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout or done.stderr


def test_deploy_brings_a_space_to_the_state_of_the_checkout(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = loopback_hub.REPO
    routes = [(m, p.replace("/api/models/", "/api/spaces/"), action) for m, p, action in loopback_hub.ROUTES]
    routes = [(m, p.replace(rf"/{repo}\.git", rf"/(?:spaces/)?{repo}\.git"), action) for m, p, action in routes]
    monkeypatch.setattr(loopback_hub, "ROUTES", routes)
    with LoopbackHub() as server:
        environment = server.environment(tmp_path / "home", token="hf_owner")
        assert deploy(checkout, environment) == (0, f"{server.url}/spaces/ana/zoo\n")

        def files() -> dict[str, bytes]:
            repo = server.repos["ana/zoo"]
            stored = repo.commits[repo.branches["main"]]
            return {name: file.data for name, file in stored.items() if name != ".gitattributes"}

        first = files()
        assert first["requirements.txt"].startswith(b"--extra-index-url ")
        assert (
            first["weights/probe/plain/generator/net.safetensors"] == b"weights/probe/plain/generator/net.safetensors"
        )
        assert {name.split("/")[0] for name in first} == {
            "app.py",
            "README.md",
            "requirements.txt",
            "gan_zoo",
            "weights",
        }
        assert "weights/.new/x" not in first

        shutil.rmtree(checkout / "weights/probe")
        assert deploy(checkout, environment, "--hardware", "zero-a10g")[0] == 0
        assert set(first) - set(files()) == {"weights/probe/plain/generator/net.safetensors"}
        assert files()["requirements.txt"] == (ROOT / "requirements.txt").read_bytes()


def test_deploy_tells_in_one_line_what_is_missing(checkout: Path, tmp_path: Path) -> None:
    with LoopbackHub() as server:
        environment = server.environment(tmp_path / "home")
        reader = server.environment(tmp_path / "home", token="hf_reader")
        assert deploy(checkout, environment) == (
            2,
            "error: deploying needs a Hugging Face token: run `hf auth login` or set HF_TOKEN\n",
        )
        code, line = deploy(checkout, reader)
        assert code == 2
        assert line.startswith("error: the token has no permission to write to ana/zoo")
    (checkout / "app.py").unlink()
    code, line = deploy(checkout, environment)
    assert code == 2
    assert line.startswith("error: deploy needs a checkout of the zoo: there is no app.py in ")
