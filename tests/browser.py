"""Pages in a real browser without a window: what a person sees there, and what a click does."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no browser: apt-get install chromium chromium-driver, or Chrome and its driver",
)


@contextmanager
def open_browser(folder: Path, width: int = 1400) -> Iterator["Tab"]:
    """A browser whose profile lies in `folder`; narrower than 500 pixels it is a phone's."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    size = f"window-size={max(width, 500)},1200"
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", size):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={folder / 'browser'}")
    downloads = {"download.default_directory": str(folder / "downloads")}
    options.add_experimental_option("prefs", downloads)
    browser = webdriver.Chrome(options, Service(DRIVER))
    try:
        if width < 500:
            screen: dict[str, Any] = {"width": width, "height": 900, "deviceScaleFactor": 1}
            screen["mobile"] = True
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        yield Tab(browser, folder / "downloads")
    finally:
        browser.quit()


class Tab:
    """What can be seen and clicked, as soon as it is visible and stands still."""

    def __init__(self, browser: webdriver.Chrome, downloads: Path) -> None:
        self.browser, self.downloads = browser, downloads
        self.wait = WebDriverWait(browser, 60, ignored_exceptions=[WebDriverException])

    def see(self, text: str, element: str = "*") -> WebElement:
        """The innermost element with this text."""
        path = f"{element}[normalize-space(.)={text!r}]"
        locator = (By.XPATH, f"//{path}[not(.//{path})]")
        return self.wait.until(expect.visibility_of_element_located(locator), text)

    def click(self, text: str, element: str = "*") -> None:
        """Click on the element with this text."""
        self.wait.until(lambda _: self.see(text, element).click() or True, text)

    def get(self, css: str) -> WebElement:
        """The element of a CSS selector."""
        return self.wait.until(expect.visibility_of_element_located((By.CSS_SELECTOR, css)), css)

    def type(self, css: str, text: str) -> None:
        """Replace the text of a field."""
        self.get(css).send_keys(Keys.CONTROL + "a", Keys.NULL, text)
