"""A study taken in a browser as a person would, from the server and from disk.

Needs a Chromium on the path; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
)
from study_folders import small_study

from i2i_bench.study.answers import collect_answers
from i2i_bench.study.page import write_single_page
from i2i_bench.study.plan import ANSWERS, Study
from i2i_bench.study.store import read_links

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
TRIALS = 1 + 4 + 1  # practice, scored, catch
pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(
        tmp_path / "own",
        people=2,
        practice=1,
        trials=4,
        catch=1,
        enlarge=4,
        asked=["Age group"],
    )


def context_of(browser: Browser, *, touch: bool = False, language: str = "en-US") -> BrowserContext:
    context = browser.new_context(
        viewport=PHONE if touch else WIDE, has_touch=touch, is_mobile=touch, locale=language
    )
    context.set_default_timeout(60_000)
    return context


class Server:
    """A server in a process of its own, on one port however often it starts."""

    def __init__(self, study: Study) -> None:
        self.folder = study.folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "i2i_bench", "study", "serve", str(self.folder)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        assert "serving" in self.process.stdout.readline()

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate(timeout=30)
            self.process = None

    def link(self, study: Study, session: int) -> str:
        return f"http://127.0.0.1:{self.port}/s/{read_links(study)[session][0]}/"


@pytest.fixture
def server(study: Study) -> Iterator[Server]:
    found = Server(study)
    found.start()
    yield found
    found.kill()


def agree(page: Page) -> None:
    """Read, tell, agree and start, by keyboard only."""
    field = page.get_by_role("textbox").first
    field.focus()
    page.keyboard.type("30 to 39")
    expect(page.get_by_role("button", name="Begin")).to_be_disabled()
    page.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Begin").press("Enter")
    start(page)


def start(page: Page) -> None:
    """Start the trials by keyboard, once images are loaded."""
    button = page.get_by_role("button", name="Start")
    expect(button).to_be_enabled()
    button.press("Enter")


def answerable(page: Page) -> None:
    """Wait until an answer is possible."""
    expect(page.locator("button.option:enabled").first).to_be_visible()


def test_session_by_keyboard_with_the_server_killed_in_the_middle(browser, study, server):
    context = context_of(browser)
    page = context.new_page()
    page.goto(server.link(study, 0))
    agree(page)
    pressed = []
    for number in range(TRIALS):
        expect(page.locator(".meter progress")).to_have_attribute("value", str(number))
        answerable(page)
        if number == 3:
            server.kill()
        key = ("1", "ArrowRight", "2", "ArrowLeft", "2", "1")[number]
        pressed.append({"1": 0, "2": 1, "ArrowLeft": 0, "ArrowRight": 1}[key])
        page.keyboard.press(key)
        if number == 3:
            expect(page.get_by_text("not saved yet").last).to_be_visible()
            server.start()
        if number == 0:
            page.get_by_role("button", name="Next").press("Enter")
        if number == 1:
            expect(page.locator(".meter progress")).to_have_attribute("value", "2")
            page.reload()
            start(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert page.locator(".code").inner_text() == read_links(study)[0][1]
    server.kill()
    given, twice = collect_answers(study)
    assert not twice
    assert [each.choice for each in given[0].answers] == pressed
    assert given[0].asked == {"Age group": "30 to 39"}
    for each in given[0].answers:
        assert each.shown_ms is not None
        assert abs(each.shown_ms - 1000) < 60  # a few frames of a busy machine
        assert each.ms >= each.shown_ms
    context.close()


def test_session_by_touch_on_a_telephone_in_german(browser, study, server):
    context = context_of(browser, touch=True, language="de-DE")
    page = context.new_page()
    page.goto(server.link(study, 1))
    page.get_by_role("textbox").fill("30")
    page.get_by_role("checkbox").tap()
    page.get_by_role("button", name="Beginnen").tap()
    page.get_by_role("button", name="Los").tap()
    tapped = []
    for number in range(TRIALS):
        answerable(page)
        choice = number % 2
        tapped.append(choice)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.locator("button.option").nth(choice).tap()
        if number == 0:
            page.get_by_role("button", name="Weiter").tap()
        if number + 1 < TRIALS:
            expect(page.locator(".meter progress")).to_have_attribute("value", str(number + 1))
    expect(page.get_by_role("heading", name="Danke")).to_be_visible()
    server.kill()
    given, _ = collect_answers(study)
    assert [each.choice for each in given[1].answers] == tapped
    assert given[1].language == "de"
    context.close()


def test_second_window_cannot_answer_again(browser, study, server):
    context = context_of(browser)
    address = server.link(study, 0)
    first, second = context.new_page(), context.new_page()
    first.goto(address)
    agree(first)
    answerable(first)
    second.goto(address)
    second.get_by_role("button", name="Start").click()
    answerable(second)
    first.bring_to_front()
    first.keyboard.press("1")
    expect(first.get_by_role("button", name="Next")).to_be_visible()
    second.bring_to_front()
    second.keyboard.press("2")
    expect(second.get_by_text("another window")).to_be_visible()
    server.kill()
    assert len(collect_answers(study)[0][0].answers) == 1
    context.close()


def test_page_from_disk_goes_on_after_a_reload_and_gives_a_file(browser, study, tmp_path):
    context = context_of(browser)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((study.folder / "page" / "index.html").as_uri() + "#2")
    agree(page)
    for number in range(TRIALS):
        answerable(page)
        page.locator("button.option").nth(number % 2).click()
        if number == 0:
            page.get_by_role("button", name="Next").click()
        if number == 2:
            expect(page.locator(".meter progress")).to_have_attribute("value", "3")
            page.on("dialog", lambda dialog: dialog.accept())
            page.reload()
            page.get_by_role("button", name="Start").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save your answers").click()
    path = study.folder / ANSWERS / "sent.json"
    download.value.save_as(path)
    given, _ = collect_answers(study)
    assert [each.choice for each in given[1].answers] == [k % 2 for k in range(TRIALS)]
    assert json.loads(path.read_text())["check"] == page.locator(".code").inner_text()
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    context.close()


def test_file_of_one_session_holds_all_it_needs(browser, study, tmp_path):
    path = tmp_path / "one.html"
    write_single_page(study, 0, path)
    context = context_of(browser)
    page = context.new_page()
    page.goto(path.as_uri())
    agree(page)
    answerable(page)
    page.keyboard.press("1")
    expect(page.get_by_text("That was ").last).to_be_visible()
    context.close()


@pytest.mark.parametrize("scale", [1, 2])
def test_images_are_shown_pixel_by_pixel(browser, tmp_path, scale):
    made = small_study(tmp_path / "own", "nway-ugatit", ("a", "b", "c"), people=1, trials=2)
    context = browser.new_context(viewport=WIDE, device_scale_factor=scale)
    page = context.new_page()
    page.goto((made.folder / "page" / "index.html").as_uri() + "#1")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Start").click()
    answerable(page)
    images = page.locator(".frame img")
    assert images.count() == 4  # the input and three options
    for image in images.all():
        box = image.bounding_box()
        assert box
        assert (box["width"], box["height"]) == (16, 16)
        assert image.evaluate("each => each.naturalWidth") == 16
        assert image.get_attribute("alt")
    tree = page.locator("main").aria_snapshot()
    assert 'heading "Which result is best?"' in tree
    assert tree.count("button") == 3
    context.close()
