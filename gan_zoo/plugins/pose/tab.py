"""The tab: a skeleton to drag in front of the plain arguments of `transfer`; films; the pose of a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from gan_zoo import images
from gan_zoo.plugin import Page, Panel, Text
from gan_zoo.plugins.pose import poses, skeleton

HERE = Path(__file__).parent
TITLES = {"transfer": Text("Pose", "Postura"), "animate": Text("Film", "Película"), "estimate": Text("Find", "Buscar")}
GUIDE = Text(
    "Drag the joints, or move one with the arrow keys; or begin with a pose.",
    "Arrastra las articulaciones o mueve una con las flechas; o empieza con una postura.",
)
NAMES = {
    "standing": Text("standing", "de pie"),
    "walking": Text("walking", "andando"),
    "running": Text("running", "corriendo"),
    "waving": Text("waving", "saludando"),
    "arms_up": Text("arms up", "brazos arriba"),
    "arms_out": Text("arms out", "brazos en cruz"),
    "side": Text("from the side", "de lado"),
    "back": Text("from behind", "de espaldas"),
}
FOUND = Text(
    "These joints were found in the picture. Drag the ones that are wrong.",
    "Estas articulaciones se han encontrado en la imagen. Arrastra las que estén mal.",
)
SHOWN = 512  # longer side of the photo under them
MOVED = """(value) => {
    const moved = value ? JSON.parse(value).moved : null;
    return moved ? JSON.stringify(moved) : '';
}"""
MIRROR, UNDO = Text("mirror", "reflejar"), Text("undo", "deshacer")
MISUSE = Text(
    "Use only pictures of people who agree to it, and say that the result was generated.",
    "Usa solo imágenes de personas que estén de acuerdo y di que el resultado es generado.",
)
CSS = """
.both { display: flex; gap: 8px; }
svg { flex: 1 1 140px; min-width: 0; max-width: 180px; aspect-ratio: 1 / 2; touch-action: none; overflow: visible;
      border-radius: 8px; display: block; background: var(--background-fill-secondary); }
circle { cursor: grab; } circle:focus-visible { outline: none; stroke: var(--color-accent); stroke-width: 3; }
.row { display: flex; flex-direction: column; gap: 4px; flex: 0 0 auto; }
button { padding: 2px 8px; border-radius: 6px; border: 1px solid var(--border-color-primary); cursor: pointer;
         background: var(--button-secondary-background-fill); color: var(--body-text-color); font-size: 13px; }
"""


def draw_tab(page: Page) -> None:
    import gradio as gr

    page.header()
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, title in TITLES.items():
            with page.make(gr.Tab, label=title, id=name):
                if name == "estimate":
                    page.panel(name)
                    continue
                edited = name == "transfer"
                behind = ["source_pose", *["pose"] * edited]
                panel = page.panel(name, editor=(lambda: _target(page)) if edited else None, behind=behind)
                _join_found(page, panel, _editor(page, FOUND, _button(UNDO, "undo"), photo=True))
                if edited:
                    panel.editor.change(None, panel.editor, panel.inputs["pose"], js="(pose) => pose")
    page.make(gr.Markdown, value=MISUSE)


def _target(page: Page) -> Any:
    buttons = "".join(_button(text, "pose", name) for name, text in NAMES.items())
    return _editor(page, GUIDE, f"{buttons}{_button(MIRROR, 'mirror')}{_button(UNDO, 'undo')}", photo=False)


def _editor(page: Page, guide: Text, buttons: str, photo: bool) -> Any:
    """A `gr.HTML` whose value is a pose as editor.js says; "change" follows each move."""
    import gradio as gr

    from gan_zoo.ui.words import both

    built_in = {name: _pixels(name) for name in poses.POSES}
    constants = {
        "PHOTO": photo, "POSES": built_in, "LIMBS": skeleton.LIMBS, "NAMES": skeleton.JOINTS, "MIRROR": skeleton.MIRROR,
    }  # fmt: skip
    script = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in constants.items())
    return page.make(
        gr.HTML,
        value="",
        html_template=f'{both(guide, "p")}<div class="both"><svg viewBox="0 0 128 256"></svg>'
        f'<div class="row">{buttons}</div></div>',
        css_template=CSS,
        js_on_load=script + (HERE / "editor.js").read_text(encoding="utf-8"),
        elem_id=None if photo else "pose-editor",
        elem_classes="pose-found" if photo else "zoo-beside",
    )


def _join_found(page: Page, panel: Panel, found: Any) -> None:
    """Another picture is searched for joints; those that are moved are the argument `source_pose`."""

    def search(image: str | None, preset: str | None) -> tuple[str, str]:
        return (_found(page, image, preset) if image else ""), ""

    image, source_pose = panel.inputs["image"], panel.inputs["source_pose"]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    image.change(search, [image, page.preset], [found, source_pose], **quiet)
    page.preset.change(search, [image, page.preset], [found, source_pose], **quiet)
    found.change(None, found, source_pose, js=MOVED)


def _found(page: Page, image: str, preset: str | None) -> str:
    """What editor.js shows of a picture: itself, small, and its joints in pixels; of one without anybody, nothing."""
    import gradio as gr

    try:
        pose = page.infer("estimate", preset, image=image).pose
    except gr.Error:
        return ""
    width, height = pose["canvas_width"], pose["canvas_height"]
    numbers = pose["people"][0]["pose_keypoints_2d"]
    picture = images.on_white(images.read_image(image))
    picture.thumbnail((SHOWN, SHOWN))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    joints = [numbers[i : i + 3] for i in range(0, 54, 3)]
    told = {"picture": images.data_address(data.getvalue(), "image/jpeg"), "size": [width, height], "joints": joints}
    return json.dumps(told)


def _button(text: Text, action: str, pose: str = "") -> str:
    from gan_zoo.ui.words import both

    return f'<button type="button" data-do="{action}" data-pose="{pose}">{both(text)}</button>'


def _pixels(name: str) -> list[list[float]]:
    """A built-in pose in pixels of 128 x 256."""
    return [[round(float(x) * 128, 1), round(float(y) * 256, 1), float(there)] for x, y, there in poses.POSES[name]()]
