"""The leaderboard page in a browser: it sorts, filters, plots and opens runs, and asks no network.

Needs a Chromium on the path; elsewhere these tests are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    Route,
    expect,
)

from i2i_bench.records import record
from i2i_bench.report.site import page as site
from i2i_bench.report.site.samples import Folders

COMMITTED = Path(__file__).parents[3] / "results"
MODELS, SMALL = ("attentiongan", "cyclegan", "ugatit-light", "unit"), "preset=small"
STRIPES = 'article.board[data-direction="a2b"]:has(#stripes-a2b-i2i-small)'
TINY = '.task:has(h2[id^="folder-tiny"])'
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(_finished: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the page of committed records of four models, and of finished runs with samples."""
    committed = [
        r for r in record.read_records(COMMITTED) if r.model in MODELS and r.variant == SMALL
    ]
    records = [*committed, *record.read_records(_finished / "results")]
    output = tmp_path_factory.mktemp("page")
    folders = Folders(_finished / "runs", _finished / "data")
    return site.write_page(records, output, folders).as_uri()


@dataclass
class Watched:
    """What must not happen on a page."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def guard(self, route: Route) -> None:
        if route.request.url.startswith(("file://", "data:")):
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()

    def fail(self, request: Request) -> None:
        """Note what is not there; an image that is left while it loads is no complaint."""
        if request.failure != "net::ERR_ABORTED":
            self.said.append(f"failed: {request.url}, {request.failure}")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    found.set_default_timeout(60_000)
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """Open the page; whatever a test does, nothing is complained of and no network asked."""
    watched, opened = Watched(), context.new_page()
    context.route("**/*", watched.guard)
    opened.on("console", lambda message: watched.said.append(message.text))
    opened.on("pageerror", lambda error: watched.said.append(str(error)))
    opened.on("requestfailed", watched.fail)
    opened.goto(address)
    yield opened
    opened.wait_for_load_state("networkidle")
    assert not watched.said
    assert not watched.asked


def column(page: Page, header: str) -> list[str]:
    """Give what a column of the table shows, in its order."""
    board = page.locator(STRIPES)
    titles = board.locator("thead tr").last.locator("th").all_inner_texts()
    index = next(i for i, title in enumerate(titles) if " ".join(title.split()).startswith(header))
    rows = board.locator("tbody.ranked tr:visible")
    return [row.locator("td, th").nth(index).inner_text() for row in rows.all()]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.split()[0].rstrip("†")) for cell in cells if cell[0].isdigit()]


# --- sorting


def test_header_sorts_by_numbers_best_first_and_the_other_way_next(page):
    board = page.locator(STRIPES)
    before = numbers(column(page, "training"))
    assert before != sorted(before)
    button = board.get_by_role("button", name="training")
    button.click()
    assert numbers(column(page, "training")) == sorted(before)
    header = board.locator("[aria-sort]")
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(header).to_contain_text("training")
    button.press("Enter")  # it has the focus
    assert numbers(column(page, "training")) == sorted(before, reverse=True)
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("status")).to_contain_text("descending")


def test_higher_is_on_top_first_where_it_is_better_and_nothing_is_last(page):
    page.locator(STRIPES).get_by_role("button", name="mask IoU").click()
    cells = column(page, "mask IoU")
    assert numbers(cells) == sorted(numbers(cells), reverse=True)
    assert cells[0][0].isdigit()
    assert not cells[-1][0].isdigit()


def test_names_sort_by_letter_and_rank_gives_the_first_order_back(page):
    board = page.locator(STRIPES)
    ranked = column(page, "model")
    board.get_by_role("button", name="model").press(" ")
    board.get_by_role("button", name="model").press(" ")
    assert column(page, "model") == sorted(ranked, reverse=True)
    board.get_by_role("button", name="rank").click()
    assert column(page, "model") == ranked


# --- filters


def test_text_leaves_the_rows_that_hold_it_and_reset_brings_all_back(page):
    task = page.locator(".task:has(#stripes)")
    everything = column(page, "model")
    task.get_by_label("Model").fill("GAN")
    assert column(page, "model") == [name for name in everything if "gan" in name]
    expect(page.locator(STRIPES).locator(".count")).to_have_text("2 of 4 models shown.")
    task.get_by_role("button", name="Show all").click()
    assert column(page, "model") == everything
    expect(page.locator(STRIPES).locator(".count")).to_be_hidden()


def test_direction_leaves_its_tables_and_samples(page):
    task = page.locator(TINY)
    task.get_by_label("Direction").select_option("b2a")
    expect(task.locator("article.board:visible")).to_have_count(1)
    expect(task.locator("section.gallery:visible")).to_have_count(1)
    other = page.locator(".task:has(#stripes) article.board:visible")
    expect(other).to_have_count(2)


def test_number_of_seeds_leaves_rows_of_so_many(page):
    task = page.locator(TINY)
    expect(task.locator("tbody:not(.baselines) tr[data-name]:visible")).to_have_count(4)
    task.get_by_label("Seeds at least").fill("3")
    expect(task.locator("tbody:not(.baselines) tr[data-name]:visible")).to_have_count(0)
    expect(task.locator("tr.reason:visible")).to_have_count(0)


# --- plots


def test_cost_of_the_plot_is_chosen(page):
    board = page.locator(STRIPES)
    expect(board.locator("svg.drawing:visible")).to_have_count(1)
    board.get_by_label("Cost").select_option("parameters")
    drawn = board.locator("svg.drawing:visible")
    expect(drawn).to_have_accessible_name("PSNR fg against params")
    assert drawn.locator(".point").count() == 4


def test_points_stand_in_the_order_of_their_values(page):
    board = page.locator(STRIPES)
    places = {}
    for point in board.locator("svg.drawing:visible .point").all():
        name = (point.locator("title").text_content() or "").split(":")[0]
        places[name] = point.locator(".mark").bounding_box() or {}
    assert sorted(places, key=lambda name: places[name]["y"]) == column(page, "model")
    board.get_by_role("button", name="training").click()
    assert sorted(places, key=lambda name: places[name]["x"]) == column(page, "model")


# --- runs


def test_model_opens_its_run_by_keyboard(page):
    link = page.locator(STRIPES).get_by_role("link", name="cyclegan")
    link.focus()
    page.keyboard.press("Enter")
    detail = page.locator("details.run[open]")
    expect(detail).to_have_count(1)
    expect(detail.locator("code")).to_contain_text("i2i-bench run --model cyclegan --task stripes")
    expect(detail.locator("summary").first).to_be_focused()
    expect(detail).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("details.run[open]")).to_have_count(0)
    link.click()  # the address stays the same
    expect(page.locator("details.run[open]")).to_have_count(1)


def test_address_of_a_run_opens_it(context, page, address):
    page.goto(f"{address}#run-stripes-unit-preset-small")
    page.reload()
    detail = page.locator("details.run[open]")
    expect(detail.locator("summary").first).to_have_text("unit+preset=small")
    detail.get_by_text("seed 1", exact=True).last.click()
    expect(detail.locator("pre.record:visible")).to_contain_text('"seed": 1')


# --- samples


def wiped(page: Page) -> str:
    shown = page.locator(TINY).locator(".wiped img:nth-child(2)").first
    return shown.evaluate("image => getComputedStyle(image).clipPath")


def test_slider_wipes_translations_over_sources_by_keyboard(page):
    slider = page.locator(TINY).get_by_role("slider").first
    assert wiped(page) in ("inset(0px)", "inset(0px 0% 0px 0px)")
    slider.focus()
    page.keyboard.press("Home")
    assert wiped(page) == "inset(0px 100% 0px 0px)"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert wiped(page) == "inset(0px 97% 0px 0px)"
    assert slider.get_attribute("aria-valuetext") == "3 % translation"


def test_translation_lies_exactly_over_its_source(page):
    both = page.locator(TINY).locator(".wiped").first.locator("img")
    both.first.scroll_into_view_if_needed()
    first, second = (image.bounding_box() for image in both.all())
    assert first == second
    assert first and first["width"] >= 100


def test_every_image_is_there(page):
    images = page.locator("img")
    for image in images.all():
        image.evaluate("image => { image.loading = 'eager'; return image.decode(); }")
    assert images.count() >= 2 * (2 + 2 * 2 * 2)


# --- readers and devices


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for selector in ("h1", ".legend", ".notes li", ".spread", ".ranking a", ".filters label"):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page: Page, selector: str) -> float:
    """Give the contrast of a text with the page (WCAG 2, relative luminance)."""
    colours = page.locator(selector).first.evaluate(
        "each => [getComputedStyle(each).color, getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_page_is_never_wider_than_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 700})
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_with_a_name_for_readers_has_one(page):
    tree = page.locator("body").aria_snapshot()
    assert 'search "Filter stripes"' in tree
    assert "slider" in tree
    for role in ("button", "link", "combobox", "searchbox", "spinbutton", "slider", "img"):
        for each in page.get_by_role(role).all():
            expect(each).to_have_accessible_name(re.compile(r"\w"))


def test_page_is_whole_without_its_script(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.locator(STRIPES).locator("tbody.ranked tr")).to_have_count(4)
    expect(page.locator(".filters:visible, .controls:visible, .copy:visible")).to_have_count(0)
    expect(page.locator(STRIPES).locator("svg.drawing:visible")).to_have_count(1)
    context.close()
