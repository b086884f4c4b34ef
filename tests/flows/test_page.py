"""Prefect's page in a real browser: what a person sees there, and what a click does."""

import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no browser: apt-get install chromium chromium-driver, or Chrome and its driver",
    ),
]


@pytest.fixture
def page(tmp_path) -> Iterator["Page"]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1200"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'browser'}")
    browser = webdriver.Chrome(options, Service(DRIVER))
    yield Page(browser)
    browser.quit()


class Page:
    """What can be seen and clicked, as soon as it is visible and stands still."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser
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


def test_a_person_starts_a_run_watches_it_and_sees_the_grid(project_with_database, page):
    project = project_with_database
    project.open()
    page.browser.get(f"{project.url}/deployments")
    page.click("restorer-here", "a")
    page.click("Run", "button")
    page.click("Custom run")

    page.type("input[type=text]", "first-try")
    page.see("Which to bring up to date, with all they depend on; none named: all of the restorer.")
    page.see("How many stages may run at the same time; 1 suits one processor or GPU.")
    stages = Select(page.get("select:has(option[value=evaluate])"))
    assert [option.text for option in stages.options] == ["a", "c", "b", "evaluate"]
    stages.select_by_value("evaluate")
    assert page.get("input[type=number]").get_attribute("value") == "1"
    page.type("input[type=number]", "2")
    page.click("Submit", "button")

    page.click("first-try", "a")
    page.see("Retry", "button")
    page.see("Completed", "*[contains(@class, 'badge')]")
    (run,) = project.api("POST", "flow_runs/filter", {})
    assert run["parameters"] == {"stages": ["evaluate"], "side_by_side": 2}
    assert (project.folder / "evaluate.txt").exists()

    page.click("Task Runs")
    for stage in ("a", "b", "c", "evaluate"):
        page.see(stage, "a")
    page.click("Artifacts")
    page.see("evaluate-metrics")
    page.click("evaluate-grid")
    assert int(page.get("img[alt='grid.jpg']").get_attribute("naturalWidth")) > 800
    (curve,) = project.artifacts("evaluate-curve")
    page.browser.get(f"{project.url}/artifacts/artifact/{curve['id']}")
    assert int(page.get("img[alt='curve.svg']").get_attribute("naturalWidth")) == 40
