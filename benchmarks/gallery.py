"""The pictures of the README and its table of weights, from what is shipped: make gallery.

Only what is ours to show: generated pictures, open photographs (their credits lie beside them) and rendered people.
"""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

import gan_zoo
from gan_zoo import hub, images
from gan_zoo.weights import read_manifest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "gan_zoo" / "plugins"
OUT = ROOT / "docs" / "gallery"
SIDE = 192
ROW = re.compile(r"^\| (\w+) \| ([-+\d.e]+) \|$", re.M)
# The scores that tell most, by the preset's plugin: {its name on the card: what the table calls it}.
TOLD = {
    "anime": {"kid_x1000": "KID", "recall": "recall", "read_back": "attributes read back"},
    "colorize": {"kid_x1000": "KID", "hints_ciede2000": "hints CIEDE2000"},
    "cyclegan": {},
    "lab": {"js": "JS", "kid_x1000": "KID"},
    "pose": {"ssim": "SSIM", "mask_ssim": "mask-SSIM", "kid_x1000": "KID"},
}


def strip(pictures: list[Image.Image], columns: int | None = None) -> Image.Image:
    """Pictures of one height side by side."""
    made = [
        p.convert("RGB").resize((round(p.width * SIDE / p.height), SIDE), Image.Resampling.LANCZOS) for p in pictures
    ]
    return images.grid(made, columns or len(made), gap=6)


def anime() -> Image.Image:
    zoo = gan_zoo.load("anime")
    drawn = [*zoo(seed=26, count=4), *zoo.run("change", to="hair_color=blue", seed=26)]
    tagged = gan_zoo.load("anime", "tagged")
    ordered = [tagged.run("order", wishes=f"hair={hair}", seed=30, count=2) for hair in ("aqua", "pink", "black")]
    return strip([*drawn, *(face for pair in zip(*ordered) for face in pair)], columns=6)


def colorize() -> Image.Image:
    from gan_zoo.plugins.colorize.drawn import draw_character

    zoo, shown = gan_zoo.load("colorize"), []
    for seed in (4, 11):
        character = images.to_images(draw_character(seed, 256)[0][None] * 2 - 1)[0]
        lines = zoo.run("extract", image=character)
        shown += [lines, zoo(lines), zoo(lines, hints=[{"x": 128, "y": 40, "color": "#3a6fd8"}])]
    return strip(shown)


def cyclegan() -> Image.Image:
    examples, shown = PLUGINS / "cyclegan" / "examples", []
    for preset, name, way in (
        ("horse2zebra", "horse", "zebra"), ("horse2zebra", "zebra", "horse"), ("monet", "lake", ""),
        ("vangogh", "tea-gardens", ""),
    ):  # fmt: skip
        before = images.read_image(examples / f"{name}.jpg")
        shown += [before, gan_zoo.load("cyclegan", preset)(before, direction=way).translated]
    return strip(shown, 4)


def lab() -> Image.Image:
    zoo = gan_zoo.load("lab")
    points = [zoo.run("step", times=times).picture for times in (20, 200, 500)]
    return strip([*points, *(zoo.run("step_faces", times=times).picture for times in (20, 200))])


def pose() -> Image.Image:
    zoo, person = gan_zoo.load("pose"), PLUGINS / "pose" / "people" / "ada.png"
    made = [zoo(person, pose=pose) for pose in ("walking", "arms_up", "waving")]
    return strip([Image.open(person), *(x for m in made for x in (m.skeleton, m.refined))])


def film() -> None:
    """A walk, as an animated WebP."""
    zoo = gan_zoo.load("pose")
    frames = zoo.run("animate", image=PLUGINS / "pose" / "people" / "ada.png", sequence="walk", frames=16).frames
    small = [f.resize((round(f.width * 256 / f.height), 256), Image.Resampling.LANCZOS) for f in frames]
    small[0].save(OUT / "walk.webp", save_all=True, append_images=small[1:], duration=83, loop=0, quality=70)


def table() -> str:
    """Every shipped preset: its licence, its scores and the hours that it took."""
    lines = ["| weights | licence | scores, on data held out | hours of one core |", "|---|---|---|---|"]
    for plugin in gan_zoo.plugins().values():
        for preset in plugin.presets:
            folder = hub.weights_root() / plugin.slug / preset.name
            card = (folder / "README.md").read_text(encoding="utf-8")
            scores = {name: float(value) for name, value in ROW.findall(card)}
            told = [f"{text} {scores[name]:.3g}" for name, text in TOLD.get(plugin.slug, {}).items() if name in scores]
            for name, value in scores.items():
                if (untouched := scores.get(f"{name}_untouched")) is not None:
                    way = name.removeprefix("kid_x1000_").replace("2", " → ")
                    told.append(f"{way} KID {value:.3g} (untouched {untouched:.3g})")
            hours = re.search(r"\| Hours \| ([\d.]+)", card)
            licence = preset.licence_id if preset.licence == "open" else "research only"
            link = f"[{plugin.slug}/{read_manifest(folder).preset}](weights/{plugin.slug}/{preset.name}/README.md)"
            lines.append(f"| {link} | {licence} | {', '.join(told)} | {hours[1] if hours else ''} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (anime, colorize, cyclegan, lab, pose):
        make().save(OUT / f"{make.__name__}.webp", quality=82)
        print(OUT / f"{make.__name__}.webp", flush=True)
    film()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- weights -->\n")
    _, _, after = rest.partition("<!-- /weights -->\n")
    readme.write_text(f"{before}<!-- weights -->\n{table()}<!-- /weights -->\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
