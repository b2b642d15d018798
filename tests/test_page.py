"""The page in a real browser: Chromium, driven by Playwright, against the real server.

Without Chromium these tests are skipped; with GAN_ZOO_REQUIRE_BROWSER=1 its absence is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
import page_server
import pytest
from PIL import Image

from gan_zoo import registry

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SECONDS = 30_000  # generous: the machine may be busy

if CHROMIUM is None and not os.environ.get("GAN_ZOO_REQUIRE_BROWSER"):
    pytest.skip("Chromium is not installed: the page is not tested in a browser", allow_module_level=True)

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "GAN_ZOO_REQUIRE_BROWSER is set, and there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Visit:
    """A page with what it asked for and what it complained of."""

    def __init__(
        self,
        browser: Browser,
        query: str = "",
        locale: str = "en-US",
        width: int = 1200,
        dark: bool = False,
        watch: Callable[[Page], Any] = lambda page: None,
    ):
        self.context = browser.new_context(
            locale=locale, viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(SECONDS)
        watch(self.page)
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(page_server.serve() + query)
        self.page.locator(".zoo-run").first.wait_for(state="attached")

    def close(self) -> None:
        assert self.hosts - {""} == {urlsplit(page_server.serve()).netloc}, "the page asked another host"
        assert self.errors == []
        self.context.close()

    def results(self) -> Locator:
        return self.page.locator(".zoo-result img:visible")

    def drawn(self, picture: Locator) -> np.ndarray:
        """The pixels of a picture as the browser shows it."""
        expect(picture).to_be_visible(timeout=SECONDS)
        self.page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
        return np.asarray(Image.open(BytesIO(picture.screenshot())).convert("RGB")).astype(int)


@pytest.fixture
def visits(browser: Browser) -> Iterator[list[Visit]]:
    opened: list[Visit] = []
    yield opened
    for visit in opened:
        visit.close()


def test_first_look_and_generate(browser: Browser, visits: list[Visit]) -> None:
    """Pictures are there before anyone asks; a new seed gives new ones, and nothing that was typed is lost."""
    visits.append(visit := Visit(browser, "?tab=mirror"))
    page = visit.page
    page.get_by_role("tab", name="Noise").click()
    before = visit.drawn(visit.results().first)
    assert before.std() > 20, "a picture of noise is not one colour"
    source = visit.results().first.get_attribute("src")
    page.get_by_label("Seed").locator("visible=true").fill("12345")
    page.locator(".zoo-run:visible").click()
    expect(visit.results().first).not_to_have_attribute("src", source or "", timeout=SECONDS)
    assert np.abs(visit.drawn(visit.results().first) - before).max() > 20
    expect(page.get_by_label("Seed").locator("visible=true")).to_have_value("12345")


def test_only_the_open_tab_computes_its_first_look_and_only_once(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=anime"))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url) if "queue/join" in request.url else None)
    visit.page.reload()
    visit.drawn(visit.results().first)
    visit.page.wait_for_timeout(500)
    assert len(asked) == 1
    visit.page.get_by_role("tab", name=registry.get("lab").title.en).click()
    visit.page.get_by_role("tab", name=registry.get("anime").title.en).click()
    source = visit.results().first.get_attribute("src")
    visit.page.wait_for_timeout(500)
    assert visit.results().first.get_attribute("src") == source  # what a visitor made is not drawn over


@pytest.mark.parametrize("slug", [slug for slug, plugin in registry.discover().plugins.items() if plugin.presets])
def test_every_plugin_shows_pictures_at_once(browser: Browser, visits: list[Visit], slug: str) -> None:
    plugin = registry.get(slug)
    first = next(iter(plugin.tasks().values()))
    visits.append(visit := Visit(browser, f"?tab={slug}"))
    expect(visit.page.get_by_role("heading", name=plugin.title.en)).to_be_visible(timeout=SECONDS)
    opened = plugin.preset(plugin.opens_on)  # of None, the default one
    expect(visit.page.get_by_text(opened.data.en[:40]).first).to_be_visible(timeout=SECONDS)
    if any(parameter.required for parameter in first.parameters):
        return
    if (own := visit.page.get_by_role("tab", name=first.title.en, exact=True)).count():  # behind something livelier
        own.first.click()
    assert visit.drawn(visit.results().first).std() > 1
    source = visit.results().first.get_attribute("src")
    visit.page.get_by_role("button", name="Random").locator("visible=true").first.click()
    visit.page.locator(".zoo-run:visible").click()
    expect(visit.results().first).not_to_have_attribute("src", source or "", timeout=SECONDS)
    assert visit.drawn(visit.results().first).std() > 1


def test_film_plays(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=mirror"))
    visit.page.get_by_role("tab", name="Fade").click()
    film = visit.page.locator("video:visible").first
    film.wait_for()
    visit.page.wait_for_function("film => film.videoWidth > 0 && film.currentTime > 0", arg=film.element_handle())


def test_spanish_is_whole_and_switching_loses_nothing(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=mirror"))
    page = visit.page
    expect(page.get_by_text("Drop a picture here")).to_be_visible(timeout=SECONDS)
    page.get_by_role("tab", name="Noise").click()
    page.get_by_label("Seed").locator("visible=true").fill("77")
    # Gradio's own progress text follows the browser's language, not ours
    expect(page.get_by_text("Loading", exact=True).locator("visible=true")).to_have_count(0, timeout=SECONDS)
    english = page.locator("body").inner_text()
    assert "Shows what it is <shown>." in english
    page.get_by_role("button", name="Español").click()
    expect(page.get_by_label("Semilla").locator("visible=true")).to_have_value("77", timeout=SECONDS)
    expect(page.get_by_role("button", name="Generar").locator("visible=true")).to_be_visible()
    for name in ("Espejo", "Persiana", "Measure (es)"):  # Gradio draws tabs after fields
        expect(page.get_by_role("tab", name=name, exact=True).first).to_be_visible(timeout=SECONDS)
    spanish = page.locator("body").inner_text()
    same = {line for line in english.splitlines() if line.strip()} & set(spanish.splitlines())
    names = {"GAN Zoo", "English", "Español", "◐", "↗", page_server.BROKEN.name, *map(str, range(1000)), "↺"}
    names |= {t for p in registry.discover().plugins.values() for t in p.title if p.title.en == p.title.es}
    assert {line for line in same if not re.fullmatch(r"[\d.,\s]*", line)} <= names
    assert "Imágenes de vidrio." in spanish
    assert page.evaluate("document.documentElement.lang") == "es"
    assert "lang=es" in page.url
    page.get_by_role("tab", name="Flip").click()
    expect(page.get_by_text("Suelta aquí una imagen")).to_be_visible(timeout=SECONDS)
    page.reload()
    expect(page.get_by_role("button", name="Generar").locator("visible=true")).to_be_visible(timeout=SECONDS)


def test_the_browser_s_language_is_obeyed(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, locale="es-MX"))
    expect(visit.page.get_by_text("Redes generativas")).to_be_visible(timeout=SECONDS)
    expect(visit.page.get_by_text("Generative adversarial networks")).to_be_hidden()
    visits.append(visit := Visit(browser, locale="fr-FR"))
    expect(visit.page.get_by_text("Generative adversarial networks")).to_be_visible(timeout=SECONDS)


def test_a_broken_plugin_s_tab_says_why(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser))
    visit.page.get_by_role("tab", name=page_server.BROKEN.name).click()
    expect(visit.page.get_by_text(page_server.BROKEN.reason)).to_be_visible(timeout=SECONDS)


def test_a_plugin_may_draw_its_own_tab(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=shutter"))
    page = visit.page
    page.get_by_label("Words").locator("visible=true").fill("hush")
    page.get_by_role("button", name="Louder").click()
    expect(page.get_by_label("Words").locator("visible=true")).to_have_value("HUSH", timeout=SECONDS)
    page.locator(".zoo-run:visible").click()
    expect(page.locator(".zoo-result textarea:visible")).to_have_value("HUSH", timeout=SECONDS)
    expect(page.get_by_role("tab", name="Noise")).to_be_hidden()


def test_presets_tell_licence_and_data_and_missing_weights_what_to_do(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=mirror"))
    page = visit.page
    page.get_by_role("tab", name="Echo").click()
    page.get_by_label("Words").locator("visible=true").fill("typed with care")
    expect(page.get_by_text("Pictures of glass.")).to_be_visible(timeout=SECONDS)
    page.get_by_label("Trained model").locator("visible=true").click()
    page.get_by_role("option", name="Lost").click()
    expect(page.get_by_text("Pictures of smoke.")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("research only").locator("visible=true").first).to_be_visible()
    page.locator(".zoo-run:visible").click()
    expect(page.get_by_text("no weights of mirror/lost").first).to_be_visible(timeout=SECONDS)
    expect(page.get_by_label("Words").locator("visible=true")).to_have_value("typed with care")


def test_upload(browser: Browser, visits: list[Visit], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    (tmp_path / "words.png").write_text("not a picture")
    visits.append(visit := Visit(browser, "?tab=mirror"))
    page = visit.page
    page.get_by_role("tab", name="Flip").click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "red.png")
    page.get_by_role("button", name="Remove").or_(page.get_by_label("Clear")).first.wait_for(state="attached")
    page.locator(".zoo-run:visible").click()
    assert (visit.drawn(visit.results().first)[15, 15] == [255, 0, 0]).all()


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overflows_and_text_can_be_read(browser: Browser, visits: list[Visit], dark: bool) -> None:
    visits.append(visit := Visit(browser, "?tab=mirror", width=390, dark=dark))
    visit.page.get_by_role("heading", name="Mirror").wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    colours = visit.page.evaluate(
        """() => [document.querySelector('.zoo-about h2'), document.body]
            .map((element, i) => getComputedStyle(element)[i ? 'backgroundColor' : 'color'])"""
    )
    ink, paper = [np.mean([int(c) for c in re.findall(r"\d+", colour)[:3]]) for colour in colours]
    assert (ink > 150 > 80 > paper) if dark else (ink < 80 < 200 < paper)


def test_the_api_page_opens(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?lang=es"))
    visit.page.get_by_role("link", name="Usar por API").click()
    expect(visit.page.get_by_text("mirror_flip").first).to_be_visible(timeout=SECONDS)


def test_theme_switch(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser))
    assert not visit.page.evaluate("document.body.classList.contains('dark')")
    visit.page.locator("#zoo-theme").click()
    visit.page.wait_for_function("document.body.classList.contains('dark')")
    visit.page.reload()
    visit.page.locator(".zoo-run").first.wait_for(state="attached")
    visit.page.wait_for_function("document.body.classList.contains('dark')")


def test_a_fight_in_the_lab_is_watched(browser: Browser, visits: list[Visit]) -> None:
    """Play moves on and can be stopped; D's step alone counts one; a scene begins anew."""
    visits.append(visit := Visit(browser, "?tab=lab"))
    lab = visit.page.locator("#lab-points")
    count = lab.locator(".step")
    lab.get_by_role("button", name="Play").click()
    expect(count).to_have_text(re.compile(r"^[1-9]\d+$"), timeout=SECONDS)
    lab.get_by_role("button", name="Play").click()
    expect(lab.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")
    visit.page.wait_for_timeout(1500)  # a move that was under way arrives
    made = int(count.inner_text())
    lab.get_by_role("button", name="Step D").click()
    expect(count).to_have_text(str(made + 1), timeout=SECONDS)
    expect(lab.locator(".lesson li.lit")).to_have_count(1)
    expect(lab.locator(".lock-g")).to_be_visible()
    expect(lab.locator(".weights-d")).to_have_class(re.compile("moved"))
    expect(lab.locator(".weights-g")).not_to_have_class(re.compile("moved"))
    assert np.asarray(Image.open(BytesIO(lab.locator(".stage").screenshot()))).std() > 10
    lab.get_by_role("button", name="Mode collapse").click()
    expect(count).to_have_text("0", timeout=SECONDS)
    expect(lab.locator(".note")).to_have_text("")


def test_faces_are_learned_while_one_looks(browser: Browser, visits: list[Visit], tmp_path: Path) -> None:
    visits.append(visit := Visit(browser, "?tab=lab"))
    visit.page.get_by_role("tab", name="Watch faces").click()
    lab = visit.page.locator("#lab-faces")
    lab.get_by_role("button", name="Play").click()
    expect(lab.locator(".step")).to_have_text(re.compile(r"^[1-9]\d*$"), timeout=SECONDS)
    lab.get_by_role("button", name="Play").click()
    expect(lab.locator(".stage")).to_have_attribute("src", re.compile("^data:image/webp"))
    with visit.page.expect_download(timeout=SECONDS) as film:
        lab.get_by_role("button", name="Film").click()
    film.value.save_as(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as made:
        assert len(list(made.decode(video=0))) >= 2


def test_a_skeleton_is_dragged(browser: Browser, visits: list[Visit]) -> None:
    """What the editor shows is what the plain argument holds; undo takes it back; the keyboard moves joints, too."""
    visits.append(visit := Visit(browser, "?tab=pose"))
    page, editor = visit.page, visit.page.locator("#pose-editor")
    page.get_by_role("button", name="In words").locator("visible=true").click()
    pose = page.locator(".zoo-arguments textarea:visible").first
    editor.get_by_role("button", name="arms out").click()
    expect(pose).to_have_value(re.compile("pose_keypoints_2d"), timeout=SECONDS)
    before = pose.input_value()
    wrist = editor.locator("circle[data-joint='4']")
    wrist.scroll_into_view_if_needed()
    box = wrist.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 70, steps=5)
    page.mouse.up()
    expect(pose).not_to_have_value(before, timeout=SECONDS)

    def joint(text: str, number: int) -> list[float]:
        return json.loads(text)["people"][0]["pose_keypoints_2d"][3 * number : 3 * number + 2]

    dragged = pose.input_value()
    assert joint(dragged, 4)[1] < joint(before, 4)[1] - 20 and joint(dragged, 7) == joint(before, 7)
    editor.get_by_role("button", name="undo").click()
    expect(pose).to_have_value(before, timeout=SECONDS)
    wrist.focus()
    page.keyboard.press("ArrowRight")
    expect(pose).not_to_have_value(before, timeout=SECONDS)
    assert joint(pose.input_value(), 4)[0] == joint(before, 4)[0] + 2


def test_joints_found_in_a_picture_are_dragged(browser: Browser, visits: list[Visit]) -> None:
    """They lie over the picture, and a move makes them the plain argument; another picture is searched anew."""
    visits.append(visit := Visit(browser, "?tab=pose"))
    page, found = visit.page, visit.page.locator(".pose-found:visible")
    page.get_by_role("button", name="In words").locator("visible=true").click()
    own = page.locator(".zoo-arguments").get_by_label("Pose in the picture").locator("visible=true")
    shown = found.locator("circle:visible").first
    shown.wait_for(timeout=SECONDS)
    assert str(found.locator("image").get_attribute("href")).startswith("data:image/jpeg")
    expect(own).to_have_value("")
    shown.scroll_into_view_if_needed()
    box = shown.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 25, box["y"] + 25, steps=4)
    page.mouse.up()
    expect(own).to_have_value(re.compile("pose_keypoints_2d"), timeout=SECONDS)
    page.locator(".zoo-examples:visible button:visible").nth(1).click()
    expect(own).to_have_value("", timeout=SECONDS)
    photo = found.locator("svg")
    photo.scroll_into_view_if_needed()
    around = photo.bounding_box()
    assert around is not None
    # Whoever is clicked on is searched for there: beside the joints, on the chest.
    photo.click(position={"x": around["width"] / 2, "y": around["height"] * 0.33})
    expect(own).to_have_value(re.compile("pose_keypoints_2d"), timeout=SECONDS)


def test_a_photo_without_anybody_can_be_told_where_the_person_is(
    browser: Browser, visits: list[Visit], tmp_path: Path
) -> None:
    visits.append(visit := Visit(browser, "?tab=pose"))
    page, found = visit.page, visit.page.locator(".pose-found:visible")
    found.locator("circle:visible").first.wait_for(timeout=SECONDS)
    Image.new("RGB", (200, 150), (90, 120, 90)).save(tmp_path / "meadow.png")
    page.locator("input[type=file]").first.set_input_files(str(tmp_path / "meadow.png"))
    expect(found.get_by_text("Nobody was found")).to_be_visible(timeout=SECONDS)
    assert found.locator("circle:visible").count() == 18


def test_a_drawing_is_painted_from_the_canvas(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=colorize"))
    visit.page.locator("canvas:visible").first.wait_for()
    visit.page.get_by_role("button", name="Paint it").click()
    compared = visit.page.locator(
        ".slider-wrap img:visible, [data-testid='image-slider'] img:visible, img.preview:visible"
    )
    expect(compared.first).to_be_visible(timeout=SECONDS)


def test_a_dab_is_painted_without_asking(browser: Browser, visits: list[Visit]) -> None:
    visits.append(visit := Visit(browser, "?tab=colorize"))
    page = visit.page
    canvas = page.locator("canvas:visible").first
    canvas.wait_for()
    page.wait_for_timeout(1500)  # the editor takes no stroke before it has drawn its sheet
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 12, box["y"] + box["height"] / 2 + 8, steps=4)
    page.mouse.up()
    compared = page.locator("[data-testid='image-slider'] img:visible, .slider-wrap img:visible, img.preview:visible")
    expect(compared.first).to_be_visible(timeout=SECONDS)


def test_weights_with_labels_of_their_own_are_ordered_by_menus(browser: Browser, visits: list[Visit]) -> None:
    """Which menus there are, the weights say; swatches come back with the characters that they are for."""
    visits.append(visit := Visit(browser, "?tab=anime"))
    page = visit.page
    page.get_by_role("tab", name="To order", exact=True).click()
    visit.drawn(visit.results().first)
    swatches = page.locator("#anime-swatches")
    expect(swatches).to_be_visible()

    def choose(model: str) -> None:
        page.get_by_label("Trained model").locator("visible=true").click()
        page.get_by_role("option", name=model).click()

    choose("Anime faces to order, 96 px")
    hair = page.get_by_label("hair", exact=True)
    expect(hair).to_have_value("aqua", timeout=SECONDS)  # as the example says
    expect(swatches).to_be_hidden()
    hair.click()
    page.get_by_role("option", name="pink", exact=True).click()
    page.get_by_role("button", name="In words").locator("visible=true").click()
    wishes = page.get_by_label("Wishes in words").locator("visible=true")
    expect(wishes).to_have_value("eyes=red, hair=pink", timeout=SECONDS)
    choose("Characters to order, 128 px")
    expect(swatches).to_be_visible(timeout=SECONDS)
    expect(hair).to_be_hidden()


def test_a_character_is_ordered_by_swatches_and_varied_by_a_click(browser: Browser, visits: list[Visit]) -> None:
    """A touch of a swatch sets the plain argument in its closed drawer; a click on a face goes on from that face."""
    visits.append(visit := Visit(browser, "?tab=anime"))
    page = visit.page
    page.get_by_role("tab", name="To order", exact=True).click()
    visit.drawn(visit.results().first)
    swatch = page.locator("#anime-swatches [data-name=hair_color][data-value=pink]")
    swatch.click()
    expect(swatch).to_have_attribute("aria-pressed", "true", timeout=SECONDS)
    page.get_by_role("button", name="In words").locator("visible=true").click()
    expect(page.get_by_label("Hair colour").locator("visible=true").first).to_have_value("Pink", timeout=SECONDS)
    page.get_by_role("tab", name="New faces", exact=True).click()
    visit.drawn(visit.results().nth(1))
    visit.results().nth(1).click()
    onward = page.locator(".zoo-onward:visible").get_by_role("button", name="Variations")
    expect(onward).to_be_enabled(timeout=SECONDS)
    onward.click()
    expect(page.get_by_role("tab", name="Variations", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Seed").locator("visible=true")).to_have_value("27", timeout=SECONDS)
    expect(page.get_by_label("Wishes").locator("visible=true")).to_have_value("any", timeout=SECONDS)
