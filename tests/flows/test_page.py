"""Prefect's page in a real browser: what a person sees there, and what a click does."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.support.ui import Select

from tests.browser import Tab, needs_browser, open_browser

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture
def page(tmp_path) -> Iterator[Tab]:
    with open_browser(tmp_path) as tab:
        yield tab


def test_a_person_starts_a_run_watches_it_and_sees_the_grid(project_with_database, page):
    project = project_with_database
    project.open()
    page.browser.get(project.entrance)
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
