"""Every page in a real Chromium: drawn, live, from a file, by keyboard; and programs with markup stay text."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from view_run import HOSTILE, PROGRAM, write_run, write_step

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
pytest.importorskip("selenium", reason="the browser tests drive Chromium with selenium")

from tools.browser import browser, missing, visit  # noqa: E402

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(missing()), reason=missing())]

PAGES = {
    "runs": "#/runs",
    "compare": "#/compare?runs=one%2Ftwo",
    "overview": "#/overview?run=one",
    "problems": "#/problems?run=one",
    "problem": "#/problem?run=one&task=task%2F0",
    "tree": "#/tree?run=one&step=7&task=task%2F0",
    "samples": "#/samples?run=one",
    "sample": "#/sample?run=one&step=7&row=0",
    "locator": "#/locator?run=one",
    "labels": "#/labels?run=one",
    "cluster": "#/cluster?run=one",
}
SEEN = {
    "runs": "finished",
    "compare": "runs compared",
    "overview": "Where a step's time goes",
    "problems": "task/0",
    "problem": "reference",
    "tree": "1 pass",
    "samples": "filtered",
    "sample": "Credit of",
    "locator": "most frequent place",
    "labels": "the stage label has not run",
    "cluster": "Verdicts per second",
}
"""What each page must say."""


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def served(runs_folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "prl_ray.view", str(runs_folder), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert "2 runs at http://127.0.0.1:" in line
        yield line.split(" at ")[1].split(" ")[0]
    finally:
        process.terminate()
        assert process.wait(20) == 130


@pytest.fixture(scope="module")
def exported(runs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("export") / "page.html"
    command = [sys.executable, "-m", "prl_ray.view", str(runs_folder), "--export", str(path), "--samples", "24"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return path.as_uri()


def text_of(driver: Chrome) -> str:
    return driver.execute_script("return document.body.innerText")


def assert_unharmed(driver: Chrome) -> None:
    """No hostile markup became an element, no script of its ran, and the browser had nothing to complain about."""
    assert driver.execute_script("return window.pwned") is None
    assert driver.execute_script("return document.querySelectorAll('main img, main script, main iframe').length") == 0
    complaints = [entry["message"] for entry in driver.get_log("browser") if "favicon" not in entry["message"]]
    assert not complaints


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_drawn(driver: Chrome, served: str, page: str) -> None:
    visit(driver, served + PAGES[page])
    assert SEEN[page] in text_of(driver) and "cannot be shown" not in text_of(driver)
    assert_unharmed(driver)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "compare"])
def test_each_page_is_drawn_from_a_file_without_a_server(driver: Chrome, exported: str, page: str) -> None:
    visit(driver, exported + PAGES[page])
    assert SEEN[page] in text_of(driver) and "An exported copy: 2 runs" in text_of(driver)
    assert_unharmed(driver)
    fetched = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert not [name for name in fetched if not name.startswith("data:")]


def test_a_program_with_markup_is_shown_as_it_is(driver: Chrome, served: str, exported: str) -> None:
    for base in (served, exported):
        visit(driver, base + PAGES["sample"])
        shown = driver.execute_script("return [...document.querySelectorAll('.lines pre')].map((e) => e.textContent)")
        assert "\n".join(shown[:3]) == PROGRAM
        assert HOSTILE in text_of(driver), "the test's answer and the message"
        assert_unharmed(driver)


def test_markup_in_an_address_and_in_an_error_is_text(driver: Chrome, served: str, exported: str) -> None:
    for base in (served, exported):
        for where in (f"#/problem?run=one&task={HOSTILE}", f"#/{HOSTILE}", f"#/overview?run={HOSTILE}"):
            driver.get("about:blank")
            driver.get(base + where)
            wait_for(driver, "cannot be shown")
            assert driver.execute_script("return window.pwned") is None
            assert driver.execute_script("return document.querySelectorAll('main img, main script').length") == 0


def test_inline_script_does_not_run_even_if_it_gets_in(driver: Chrome, served: str, exported: str) -> None:
    for base in (served, exported):
        visit(driver, base + PAGES["runs"])
        driver.execute_script(
            "const e = document.createElement('div'); e.innerHTML = '<img src=x onerror=\"window.pwned=1\">';"
            "document.body.append(e); const s = document.createElement('script'); s.textContent = 'window.pwned=2';"
            "document.body.append(s);"
        )
        time.sleep(0.3)
        assert driver.execute_script("return window.pwned") is None
        driver.get_log("browser")  # the violations that this caused


def test_a_growing_run_is_followed(driver: Chrome, tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "live", steps=2)
    command = [sys.executable, "-m", "prl_ray.view", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            base = process.stdout.readline().split(" at ")[1].split(" ")[0]
            visit(driver, base + "#/overview?run=live")
            assert "step\n2" in text_of(driver)
            write_step(tracker, 2)
            wait_for(driver, "step\n3", 15)
            visit(driver, base + "#/samples?run=live")
            assert driver.execute_script("return document.querySelector('select').value") == "2"
            write_run(tmp_path / "born", steps=1)
            visit(driver, base + "#/runs")
            wait_for(driver, "born", 15)
        finally:
            process.terminate()


def test_lines_and_pages_are_reached_by_keyboard(driver: Chrome, served: str) -> None:
    visit(driver, served + PAGES["sample"])
    driver.execute_script("document.querySelector('tr[data-line=\"0\"]').focus()")
    press(driver, "ArrowDown")
    assert driver.execute_script("return document.activeElement.dataset.line") == "1"
    press(driver, "Enter")
    assert driver.execute_script("return document.querySelector('tr.chosen').dataset.line") == "1"
    press(driver, "p")
    wait_for(driver, "Problems × steps")
    assert driver.execute_script("return document.querySelector('[aria-current]').textContent") == "Problems"


def test_tokens_are_reached_by_keyboard_and_told_number_by_number(driver: Chrome, served: str) -> None:
    visit(driver, served + PAGES["sample"])
    chosen = "return document.querySelector('.tokens button[aria-pressed=true]').dataset.token"
    driver.execute_script("document.querySelector('.tokens button').focus()")
    first = int(driver.execute_script(chosen))
    press(driver, "ArrowRight")
    assert int(driver.execute_script(chosen)) == first + 1
    assert f"(token {first + 2} of" in text_of(driver) and "advantage in the loss" in text_of(driver)
    assert "log-probability: " in driver.execute_script("return document.activeElement.title")


def test_the_credit_of_a_located_line_is_told_by_its_rule(driver: Chrome, tmp_path: Path) -> None:
    page = tmp_path / "demo.html"
    command = [sys.executable, "-m", "prl_ray.view", "--demo", "--export", str(page), "--samples", "48"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    visit(driver, page.as_uri() + "#/samples?run=demo")
    links = driver.execute_script(
        "return [...document.querySelectorAll('main a[href*=\"sample?\"]')].map((a) => a.getAttribute('href'))"
    )
    rules = {"it alone carries", "the outcome: total minus", "other samples that reach it"}
    missing_rules = set(rules)
    for link in links:
        visit(driver, page.as_uri() + link)
        text = text_of(driver)
        if "Computed again" in text:
            missing_rules -= {rule for rule in rules if rule in text}
        if not missing_rules:
            break
    assert not missing_rules


def test_characters_that_are_not_seen_are_spelled_out(driver: Chrome, served: str) -> None:
    """A program whose order is turned round, or with a zero-width letter, does not look like another one."""
    visit(driver, served + PAGES["runs"])
    script = (
        "const [text, done] = arguments;"
        "import('/static/dom.js').then(({ h }) => { const e = h('pre', { title: text }, text);"
        "done([e.textContent, e.title, e.querySelectorAll('.odd').length]); });"
    )
    odd = "x\u200b = '\u202eabc\u202c'\r\n\ty\x1b[2J\x00é漢"
    shown, title, marks = driver.execute_async_script(script, odd)
    assert shown == title == "x‹U+200B› = '‹U+202E›abc‹U+202C›'‹U+000D›\n\ty‹U+001B›[2J‹U+0000›é漢" and marks == 6


def test_what_a_reader_has_opened_stays_open_while_the_run_grows(driver: Chrome, tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "live", steps=1)
    command = [sys.executable, "-m", "prl_ray.view", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            base = process.stdout.readline().split(" at ")[1].split(" ")[0]
            visit(driver, base + "#/problem?run=live&task=task%2F0")
            driver.execute_script(
                "for (const d of document.querySelectorAll('details')) d.open = d.textContent.startsWith('reference')"
            )
            write_step(tracker, 1)
            wait_for(driver, "Step 1", 15)
            opened = "return [...document.querySelectorAll('details[open] > summary')].map((s) => s.textContent)"
            assert driver.execute_script(opened) == ["reference"]
        finally:
            process.terminate()


def test_colours_of_lines_change_with_the_choice(driver: Chrome, served: str) -> None:
    visit(driver, served + PAGES["sample"])
    colour = "return getComputedStyle(document.querySelector('tr[data-line=\"0\"] .code')).backgroundColor"
    found = set()
    for value in ("score", "verdict", "reward", "advantage", "logprob"):
        driver.execute_script(f"document.querySelector('input[value={value}]').click()")
        found.add(driver.execute_script(colour))
    assert len(found) >= 4
    driver.execute_script("document.querySelector('input[value=score]').click()")


def test_narrow_and_dark_pages_fit(driver: Chrome, served: str) -> None:
    size = driver.get_window_size()
    driver.set_window_size(500, 900)
    try:
        for page in PAGES.values():
            visit(driver, served + page)
            wide, window = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= window, page
        light = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        driver.execute_script("document.querySelector('header button').click()")
        time.sleep(0.3)
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") != light
    finally:
        driver.execute_script("localStorage.clear()")
        driver.set_window_size(size["width"], size["height"])


def wait_for(driver: Chrome, text: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while text not in text_of(driver):
        assert time.monotonic() < end, text_of(driver)[:2000]
        time.sleep(0.1)


def press(driver: Chrome, key: str) -> None:
    """A key on the element that has the focus."""
    driver.execute_script(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))", key
    )
