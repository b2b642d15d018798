"""A stranger's walk: every tab, inner tab, example, preset and main button of the page is clicked, in Chromium.

Nothing may be answered with an error, nothing may fail in the page, and every tab that can shows a picture unasked.
"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from test_page import SECONDS, Visit, browser  # noqa: F401

from gan_zoo import registry
from gan_zoo.ui.looks import Looks

PLUGINS = registry.discover().plugins
BUSY = "[...document.querySelectorAll('.eta-bar, .meta-text, .progress-text')].some((e) => e.offsetParent !== null)"


class Walk(Visit):
    """A visit that notes every error, whatever shows it."""

    def __init__(self, browser: Browser, query: str):  # noqa: F811
        self.refused: list[str] = []
        super().__init__(browser, query, width=1280, watch=self._watch)

    def _watch(self, page: Page) -> None:
        page.on("response", lambda r: self.refused.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def settled(self) -> None:
        """Waits for all that is asked for, and looks for complaints."""
        self.page.wait_for_timeout(400)
        self.page.wait_for_function(f"!({BUSY})", timeout=SECONDS * 4)
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(f"!({BUSY})", timeout=SECONDS * 4)
        assert self.refused == [] and self.errors == []
        toasts = self.page.locator(".toast-body, .toast-text")
        assert toasts.count() == 0, toasts.all_inner_texts()
        assert self.page.locator("span.error:visible").count() == 0, "a red Error stands in the page"


@pytest.mark.parametrize("slug", PLUGINS)
def test_everything_can_be_clicked(browser: Browser, slug: str) -> None:  # noqa: F811
    plugin: Any = PLUGINS[slug]
    walk = Walk(browser, f"?tab={slug}")
    page = walk.page
    expect(page.get_by_role("heading", name=plugin.title.en)).to_be_visible(timeout=SECONDS)
    walk.settled()
    inner = page.locator(".zoo-tasks:visible").get_by_role("tab")
    names = [name.strip() for name in inner.all_inner_texts()] or [None]
    looks = Looks(plugin)
    shown = {task.title.en for task in plugin.tasks().values() if looks.possible(task)}
    for name in names:
        if name is not None:
            page.locator(".zoo-tasks:visible").get_by_role("tab", name=name, exact=True).first.click()
        walk.settled()
        if name in shown and plugin.presets:
            pictures = page.locator(".zoo-results img:visible, .zoo-results video:visible")
            assert pictures.count() > 0, f"{slug}, {name}: nothing to see without a click"
        for example in range(page.locator(".zoo-examples:visible button:visible").count()):
            page.locator(".zoo-examples:visible button:visible").nth(example).click()
            walk.settled()
        for button in page.locator(".zoo-run:visible").all():
            if button.is_enabled():
                button.click()
                walk.settled()
    if len(plugin.presets) > 1 and page.get_by_label("Trained model").locator("visible=true").count():
        if names[0] is not None:
            page.locator(".zoo-tasks:visible").get_by_role("tab", name=names[0], exact=True).first.click()
        for preset in plugin.presets:
            page.get_by_label("Trained model").locator("visible=true").click()
            page.get_by_role("option", name=preset.title.en, exact=True).click()
            walk.settled()
            expect(page.get_by_text(preset.data.en[:40]).locator("visible=true").first).to_be_visible()
            assert page.locator("main img:visible, video:visible, canvas:visible").count() > 0
    walk.close()
