"""The page in a real browser: Debian's Chromium, driven by Playwright, judged by axe-core.

Where there is none, these tests are skipped; with DLBENCH_BROWSER=required they fail instead.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

DESK, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}

MODES: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True},
}

PAGES = ("small", "empty", "one", "failed", "many")


@dataclass
class Seen:
    """A page that is open, and what the browser had to say of it."""

    page: Page
    said: list[str] = field(default_factory=list)
    """Every word on the console: errors, and what the page's own policy forbade."""
    asked: list[str] = field(default_factory=list)
    """Every address that was asked for, but for what the page itself carries."""

    def dismiss(self, dialog: Dialog) -> None:
        """Note that something asked the reader, and answer it."""
        self.said.append("a dialog")
        dialog.dismiss()

    def run(self, script: str) -> Any:
        """Return what a function in JavaScript finds on the page."""
        return self.page.evaluate(script)


pytestmark = pytest.mark.usefixtures("chromium")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; without one, or what drives it, no page needs to be made."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    missing = "" if path else "Chromium (apt-get install chromium)"
    if find_spec("axe_playwright_python") is None:
        missing = "Playwright (pip install --group browser)"
    if missing and os.environ.get("DLBENCH_BROWSER") == "required":
        pytest.fail(f"a browser is required, and there is no {missing}")
    if missing:
        pytest.skip(f"there is no {missing}")
    return str(path)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def see(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """A function that opens a page and returns what is seen."""
    contexts = []

    def opened(path: Path, mode: str = "light", **changes: Any) -> Seen:
        context = browser.new_context(**MODES[mode] | changes)
        context.set_default_timeout(20_000)
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        seen.page.on("dialog", seen.dismiss)
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.goto(path.as_uri())
        seen.asked = [address for address in seen.asked if not address.startswith("data:")]
        return seen

    yield opened
    for context in contexts:
        context.close()


def test_nothing_is_asked_for_and_nothing_goes_wrong(
    pages: dict[str, Path], see: Callable[..., Seen]
) -> None:
    """A page opens without a word on the console, and asks no one for anything but itself."""
    for path in pages.values():
        seen = see(path)
        assert seen.said == []
        assert seen.asked == [path.as_uri()]


def test_what_a_page_could_do_is_seen(see: Callable[..., Seen], tmp_path: Path) -> None:
    """A page that runs a hostile script, asks for a picture and fails is told from one that does not."""
    path = tmp_path / "index.html"
    path.write_text(
        "<img src='missing.png'><script>window.harmed = 1; alert(1); fail()</script>",
        encoding="utf-8",
    )
    seen = see(path)
    assert seen.run("() => window.harmed") == 1
    assert "a dialog" in seen.said
    assert any("fail is not defined" in said for said in seen.said)
    assert (tmp_path / "missing.png").as_uri() in seen.asked


@pytest.mark.parametrize("bypass_csp", [False, True])
def test_hostile_texts_do_nothing(
    pages: dict[str, Path], see: Callable[..., Seen], bypass_csp: bool
) -> None:
    """No script of a test's id, caption, docstring or message runs, even where the policy is off."""
    seen = see(pages["small"], bypass_csp=bypass_csp)
    assert seen.page.locator("tbody[id]", has_text="window.harmed").count() >= 6
    assert seen.page.locator(".message", has_text="window.harmed").count() >= 6
    assert seen.page.locator("figcaption", has_text="window.harmed").count() >= 6
    seen.page.wait_for_load_state("networkidle")
    assert seen.run("() => window.harmed") is None
    assert seen.said == []
    assert seen.asked == [pages["small"].as_uri()]
    assert set(seen.run("() => [...document.links].map((link) => link.protocol)")) == {"file:"}


COLUMN = "(table) => [...table.tBodies].map((body) => body.rows[0].cells[0].textContent)"
VALUES = "(table) => [...table.tBodies].map((body) => body.rows[0].cells[{}].dataset.sort)"
SORTED = "(table) => [...table.tHead.rows[0].cells].map((head) => head.ariaSort)"
RATES = ["0.001", "0.01", "0.1", "1", "2", "10", "1e+05"]


def test_tables_sort(pages: dict[str, Path], see: Callable[..., Seen]) -> None:
    """A click, Enter or Space on a head sorts by it, numbers as numbers; the next one turns it."""
    seen = see(pages["small"])
    table = seen.page.locator("table.cases", has=seen.page.locator("caption", has_text="Rate:"))
    rates, accuracies = (
        table.get_by_role("button", name=name) for name in ("learning rate", "validation accuracy")
    )
    assert table.evaluate(SORTED) == [None] * table.locator(":scope > thead th").count()
    accuracies.click()
    place = table.evaluate(SORTED).index("ascending")
    values = [float(value) for value in table.evaluate(VALUES.format(place))]
    assert values == sorted(values)
    assert len(set(values)) > 2
    rates.click()
    assert table.evaluate(COLUMN) == RATES
    assert table.evaluate(SORTED)[0] == "ascending"
    rates.press("Enter")
    assert table.evaluate(COLUMN) == RATES[::-1]
    assert table.evaluate(SORTED)[0] == "descending"
    rates.press("Space")
    assert table.evaluate(COLUMN) == RATES
    assert [one for one in table.evaluate(SORTED) if one] == ["ascending"]


def test_tables_filter(pages: dict[str, Path], see: Callable[..., Seen]) -> None:
    """Words in the field leave the rows that have them all, and say how many; without any all are back."""
    seen = see(pages["many"])
    rows = seen.page.locator("table.cases tbody:visible")
    assert rows.count() == 500
    search = seen.page.get_by_role("searchbox", name="Filter")
    search.fill("7 converged")
    shown = rows.evaluate_all("(rows) => rows.map((row) => row.rows[0].innerText)")
    assert 0 < len(shown) < 500
    assert all("7" in row and "converged" in row for row in shown)
    assert seen.page.locator("output").inner_text() == f"{len(shown)} of 500"
    search.fill("")
    assert rows.count() == 500


WIDEST = "() => document.documentElement.scrollWidth"
SMALLEST = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || parent.closest("math, script")) continue;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (size < 12) small.push(`${size}: ${walker.currentNode.textContent}`);
  }
  return small;
}"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_can_be_read(
    pages: dict[str, Path], see: Callable[..., Seen], name: str, mode: str
) -> None:
    """No page is wider than its window, has a text below 12 pixels, or a serious finding of axe's.

    Of a table axe sees its first rows: the others are made as they are.
    """
    from axe_playwright_python.sync_playwright import Axe

    seen = see(pages[name], mode)
    assert seen.run(WIDEST) == MODES[mode]["viewport"]["width"]
    assert seen.run(SMALLEST) == []
    seen.run(
        "() => document.querySelectorAll('tbody:nth-of-type(n + 12)').forEach((one) => one.remove())"
    )
    found = Axe().run(seen.page)
    assert len(found.response["passes"]) > 10
    assert [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ] == []


def test_dark_is_dark(pages: dict[str, Path], see: Callable[..., Seen]) -> None:
    """The page takes the colours that the reader's system asks for."""
    paint = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    light, dark = (see(pages["one"], mode).run(paint) for mode in ("light", "dark"))
    assert min(light) > 240
    assert max(dark) < 40


FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const onScreen = box.width > 4 && box.bottom > 0 && box.top < innerHeight;
  const words = (one.getAttribute("aria-label") || one.textContent).trim().slice(0, 60);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return {tag: one.tagName, words: words, visible: onScreen && ring};
}"""


@pytest.mark.parametrize("mode", ["light", "phone"])
def test_the_keyboard_reaches_everything(
    pages: dict[str, Path], see: Callable[..., Seen], mode: str
) -> None:
    """Tab leads to the way past the contents first, then to every control, each with a ring seen."""
    seen = see(pages["small"], mode)
    reached: list[dict[str, Any]] = []
    while len(reached) < 1000:
        seen.page.keyboard.press("Tab")
        reached.append(seen.run(FOCUSED))
        if reached[-1]["tag"] == "BODY":
            break
    reached.pop()
    assert reached[0]["words"] == "To the content"
    assert [one for one in reached if not one["visible"]] == []
    controls = "a[href], thead button, summary, input"
    assert len([one for one in reached if one["tag"] in {"A", "BUTTON", "SUMMARY", "INPUT"}]) == (
        seen.page.locator(controls).count()
    )


def test_only_what_scrolls_is_a_stop_of_its_own(
    pages: dict[str, Path], see: Callable[..., Seen]
) -> None:
    """Figures, formulas, code and tables take the focus where they are wider than the window only."""
    wide = """() => [...document.querySelectorAll(".scroll, .picture, pre, .math.block")].filter(
      (one) => one.checkVisibility()).map((one) => [one.scrollWidth > one.clientWidth, one.tabIndex === 0])"""
    desk, phone = (see(pages["small"], mode).run(wide) for mode in ("light", "phone"))
    for found in (desk, phone):
        assert all(scrolls == stops for scrolls, stops in found)
    assert any(scrolls for scrolls, _ in phone)
    assert sum(stops for _, stops in desk) < sum(stops for _, stops in phone)
