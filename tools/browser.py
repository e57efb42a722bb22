"""A headless Chromium, for the tests of the viewer's pages and for pictures of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
"""No sandbox: Chromium refuses its own as root. The networking flags keep it from calling home."""


def missing() -> str:
    """What is not installed; empty where all is."""
    wanted = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "chromedriver": ("chromedriver",)}
    absent = [name for name, commands in wanted.items() if not any(map(shutil.which, commands))]
    return f"{' and '.join(absent)} not found (on Debian: apt-get install chromium chromium-driver)" if absent else ""


@contextmanager
def browser(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Chrome]:
    """A browser with an empty profile."""
    with TemporaryDirectory(prefix="chromium-") as profile:
        options = ChromeOptions()
        options.binary_location = next(
            path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
        )
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        if dark:
            options.add_argument("--force-dark-mode")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.set_page_load_timeout(60)
            yield driver
        finally:
            driver.quit()


def visit(driver: Chrome, address: str, seconds: float = 30) -> None:
    """Goes to a page and waits until it is drawn, its plots included."""
    driver.get("about:blank")
    driver.get(address)
    fragment = address.partition("#")[2]
    wanted = f"#{fragment}" if fragment else "#/"
    WebDriverWait(driver, seconds, 0.05).until(
        lambda d: d.execute_script(
            "return document.body.dataset.ready === arguments[0] && "
            "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('svg'))",
            wanted,
        )
    )


def picture(driver: Chrome, path: Path, height: int | None = None) -> None:
    """The page as a PNG: the window, or ``height`` pixels of it."""
    size = driver.get_window_size()
    if height:
        driver.set_window_size(size["width"], height)
    driver.save_screenshot(str(path))
    driver.set_window_size(size["width"], size["height"])
