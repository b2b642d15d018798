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
    "These joints were found in the picture. Drag the ones that are wrong, or click on somebody else.",
    "Estas articulaciones se han encontrado en la imagen. Arrastra las que estén mal o pulsa sobre otra persona.",
)
NOBODY = Text(
    "Nobody was found: drag these joints onto the person.",
    "No se ha encontrado a nadie: arrastra estas articulaciones hasta la persona.",
)
SHOWN = 512  # longer side of the photo under them
MOVED = """(value, known) => {
    const told = value ? JSON.parse(value) : {};
    if (told.moved) return JSON.stringify(told.moved);
    return told.chosen || told.asked ? known : '';
}"""
ASKED = "(value) => { const asked = value ? JSON.parse(value).asked : null; return asked ? asked.join(', ') : ''; }"
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
        html_template=f'<div class="found">{both(guide, "p")}</div><div class="none" hidden>{both(NOBODY, "p")}</div>'
        f'<div class="both"><svg viewBox="0 0 128 256"></svg><div class="row">{buttons}</div></div>',
        css_template=CSS,
        js_on_load=script + (HERE / "editor.js").read_text(encoding="utf-8"),
        elem_id=None if photo else "pose-editor",
        elem_classes="pose-found" if photo else "zoo-beside",
    )


def _join_found(page: Page, panel: Panel, found: Any) -> None:
    """Another picture is searched for joints; those that are moved are the argument `source_pose`."""

    import gradio as gr

    def search(image: str | None, preset: str | None) -> tuple[str, str]:
        return (_found(page, image, preset)[0] if image else ""), ""

    def choose(image: str | None, preset: str | None, asked: str) -> tuple[Any, Any]:
        if not (image and asked):
            return gr.skip(), gr.skip()
        return _found(page, image, preset, asked)

    image, source_pose = panel.inputs["image"], panel.inputs["source_pose"]
    asked = gr.Textbox(visible=False)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    image.change(search, [image, page.preset], [found, source_pose], **quiet)
    page.preset.change(search, [image, page.preset], [found, source_pose], **quiet)
    found.change(None, [found, source_pose], source_pose, js=MOVED)
    found.change(None, found, asked, js=ASKED)
    asked.change(choose, [image, page.preset, asked], [found, source_pose], **quiet)


def _found(page: Page, image: str, preset: str | None, at: str = "") -> tuple[str, str]:
    """What editor.js shows of a picture: itself, small, and its joints in pixels, of one without anybody those of a
    standing figure; and the pose of whom is at a place, as JSON. Nothing of a file that is no picture.
    """
    import gradio as gr

    told: dict[str, Any] = {}
    try:
        picture = images.on_white(images.read_image(image))
    except ValueError:
        return "", ""
    try:
        pose = page.infer("estimate", preset, image=image, at=at).pose
        told |= {"chosen": True} if at else {}
    except gr.Error:
        pose = poses.to_json(poses.POSES["standing"](), picture.size)
        told |= {"nobody": True}
    width, height = pose["canvas_width"], pose["canvas_height"]
    numbers = pose["people"][0]["pose_keypoints_2d"]
    picture.thumbnail((SHOWN, SHOWN))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    joints = [numbers[i : i + 3] for i in range(0, 54, 3)]
    told |= {"picture": images.data_address(data.getvalue(), "image/jpeg"), "size": [width, height], "joints": joints}
    return json.dumps(told), json.dumps(pose) if "chosen" in told else ""


def _button(text: Text, action: str, pose: str = "") -> str:
    from gan_zoo.ui.words import both

    return f'<button type="button" data-do="{action}" data-pose="{pose}">{both(text)}</button>'


def _pixels(name: str) -> list[list[float]]:
    """A built-in pose in pixels of 128 x 256."""
    return [[round(float(x) * 128, 1), round(float(y) * 256, 1), float(there)] for x, y, there in poses.POSES[name]()]
