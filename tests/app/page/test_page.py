"""The page in a real browser, at the width of a desk and of a phone."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_core_python
import numpy as np
import pytest
import yaml
from PIL import Image
from selenium.webdriver.common.keys import Keys

from lessonpipe.crappify import Recipe
from lessonpipe.inference.batch import restore_file
from lessonpipe.inference.metadata import parse_software
from lessonpipe.inference.restorer import Restorer
from tests.app.page.conftest import Started
from tests.browser import Tab, needs_browser, open_browser
from tests.conftest import make_picture, until

pytestmark = [pytest.mark.slow, needs_browser]
AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text("utf-8")
INPUT = "#pictures input[type=file]"


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def tab(request: pytest.FixtureRequest, page: Started, tmp_path: Path) -> Iterator[Tab]:
    with open_browser(tmp_path, request.param) as tab:
        tab.browser.get(page.url)
        yield tab


def photo(folder: Path, name: str, seed: int = 0) -> Path:
    """A photo with a comment of its own in its EXIF."""
    path = folder / name
    exif = Image.Exif()
    exif[0x010E] = f"photo {seed}"
    make_picture(96, 64, seed).save(path, quality=90, exif=exif)
    return path


def choose(tab: Tab, *files: Path) -> None:
    """Choose files, as soon as the page listens: it shows its fields a little before."""

    def chosen() -> bool:
        tab.browser.find_element("css selector", INPUT).send_keys("\n".join(map(str, files)))
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if files[-1].stem in tab.get("#pictures").text:
                return True
            time.sleep(0.2)
        return False

    until(lambda: tab.browser.find_elements("css selector", INPUT))
    until(chosen)


def press_restore(tab: Tab, count: int) -> str:
    """Press the button; what the list says when all is done."""
    tab.get("#restore").click()
    done = f"{count} of {count} done"
    tab.wait.until(lambda _: done in tab.get("#status").text, done)
    return tab.get("#items").text


def download(tab: Tab, button: str) -> bytes:
    """What a click on a button downloads."""
    link = tab.get(f"a:has({button}), {button} a, {button}")

    def whole() -> set[Path]:
        return {p for p in tab.downloads.glob("[!.]*") if p.suffix != ".crdownload"}

    before = whole()
    link.click()
    (path,) = until(lambda: whole() - before)
    until(lambda: path.stat().st_size > 0)
    return path.read_bytes()


def script(tab: Tab, text: str, *words: Any) -> Any:
    return tab.browser.execute_script(text, *words)


def test_a_picture_is_restored_compared_and_downloaded_with_all_that_belongs_to_it(
    tab: Tab, page: Started, tmp_path: Path
) -> None:
    source = photo(tmp_path, "aunt.jpg", seed=3)
    choose(tab, source)
    assert "aunt.jpg" in press_restore(tab, 1)
    sizes = until(
        lambda: script(
            tab,
            "const i = [...document.querySelectorAll('#slider img')];"
            "return i.length > 1 && i.every(x => x.naturalWidth)"
            " && i.map(x => [x.naturalWidth, x.naturalHeight])",
        )
    )
    assert sizes == [[96, 64]] * 2
    content = download(tab, "#one")

    expected = tmp_path / "expected.jpg"
    restore_file(Restorer(page.folder / "models/fit_pixel"), source, expected)
    got = Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(np.asarray(got), np.asarray(Image.open(expected)))
    assert got.getexif()[0x010E] == "photo 3"
    assert parse_software(got.getexif()[0x0131])

    addresses = script(tab, "return performance.getEntries().map(e => e.name)")
    web = [a for a in addresses if a.startswith("http") and not a.startswith(page.url)]
    assert web == []  # nothing is asked of another machine
    assert script(tab, "return document.documentElement.scrollWidth <= window.innerWidth")


def test_axe_finds_no_serious_fault_before_and_after_in_light_and_dark(
    tab: Tab, tmp_path: Path
) -> None:
    until(lambda: tab.browser.find_elements("css selector", INPUT))
    faults = serious(tab)
    choose(tab, photo(tmp_path, "a.jpg"))
    press_restore(tab, 1)
    tab.get("#slider")
    assert faults == [] and serious(tab) == []
    script(tab, "document.body.classList.add('dark')")
    time.sleep(1)  # colours fade into each other
    assert serious(tab) == []


def serious(tab: Tab) -> list[str]:
    """The serious and critical faults that axe finds, and where."""
    script(tab, AXE)
    found = tab.browser.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[0])"
    )
    return [
        f"{fault['id']}: {json.dumps(node['html'])} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def test_of_twenty_files_a_broken_and_a_huge_one_are_told_and_the_rest_is_in_the_zip(
    page: Started, tmp_path: Path
) -> None:
    files = [photo(tmp_path, f"photo-{i:02d}.jpg", seed=i) for i in range(18)]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(files[0].read_bytes()[:300])
    huge = tmp_path / "huge.png"
    Image.new("1", (30_000, 30_000)).save(huge)
    with open_browser(tmp_path, 1280) as tab:
        tab.browser.get(page.url)
        choose(tab, *files, broken, huge)
        said = press_restore(tab, 20)
        assert said.count("not restored") == 2
        assert "cannot be read" in said and "too many pixels; shrink it first" in said
        archive = zipfile.ZipFile(io.BytesIO(download(tab, "#all")))
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [file.name for file in files]

        tab.get("#shown input").send_keys(Keys.CONTROL + "a", Keys.NULL, "photo-05", Keys.ENTER)
        tab.see("photo-05.jpg: before, after")
        one = Image.open(io.BytesIO(download(tab, "#one")))
        assert one.getexif()[0x010E] == "photo 5"


def test_pictures_are_added_to_those_chosen_and_the_keyboard_moves_the_slider(
    tab: Tab, tmp_path: Path
) -> None:
    choose(tab, photo(tmp_path, "aunt.jpg"))
    more = photo(tmp_path, "uncle.jpg", seed=1)
    until(lambda: tab.get("#add").is_displayed())
    tab.browser.find_element("css selector", "input:has(+ #add)").send_keys(str(more))
    tab.wait.until(lambda _: "uncle" in tab.get("#pictures").text, "the second one")
    assert "aunt.jpg" in press_restore(tab, 2)
    assert len(until(lambda: pictures(tab, "slider"))) == 2
    handle = until(lambda: tab.browser.find_elements("css selector", "#slider [role=slider]"))[0]
    tab.wait.until(lambda _: value(tab) == 50, "the middle")
    handle.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert until(lambda: abs(value(tab) - 40) <= 1)
    handle.send_keys(Keys.END)
    assert until(lambda: value(tab) >= 99)
    told = handle.get_attribute("aria-valuetext")
    assert told.endswith("% before, the rest after")
    names = script(tab, "return [...document.querySelectorAll('#slider img')].map(i => i.alt)")
    assert names == ["before", "after"]


def value(tab: Tab) -> int:
    """How far, in percent, a screen reader is told that the slider of the result is."""
    return int(tab.get("#slider [role=slider]").get_attribute("aria-valuenow"))


def test_an_example_is_chosen_by_a_click_and_a_pasted_picture_is_taken(
    page: Started, tmp_path: Path
) -> None:
    with open_browser(tmp_path, 1280) as tab:
        tab.browser.get(page.url)
        tab.see("Model")
        time.sleep(3)  # Gradio listens a little later than it shows
        tab.get("#examples button:has(img)").click()
        tab.wait.until(lambda _: "old-portrait" in tab.get("#pictures").text, "the example")
        press_restore(tab, 1)
        tab.browser.get(page.url)
        until(lambda: tab.browser.find_elements("css selector", INPUT))
        time.sleep(3)
        script(
            tab,
            "const c = document.createElement('canvas'); c.width = c.height = 64;"
            "c.toBlob(b => { const d = new DataTransfer();"
            "d.items.add(new File([b], 'pasted.png', {type: 'image/png'}));"
            "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: d})); });",
        )
        tab.wait.until(lambda _: "pasted" in tab.get("#pictures").text, "what was pasted")
        press_restore(tab, 1)


def test_stop_keeps_what_is_done_and_a_reload_in_the_middle_ends_the_work(
    page: Started, tmp_path: Path
) -> None:
    files = [tmp_path / f"large-{i}.png" for i in range(30)]
    for i, file in enumerate(files):
        make_picture(700, 600, seed=i).save(file)
    with open_browser(tmp_path, 1280) as tab:
        tab.browser.get(page.url)
        choose(tab, *files)
        tab.get("#restore").click()
        tab.wait.until(lambda _: "2 of 30 done" in tab.get("#status").text, "two of them")
        tab.get("#stop").click()
        tab.wait.until(lambda _: "stopped" in tab.get("#items").text, "stopped")
        archive = zipfile.ZipFile(io.BytesIO(download(tab, "#all")))
        assert 2 <= len(archive.namelist()) < 30
        tab.get("#restore").click()
        tab.wait.until(lambda _: "1 of 30 done" in tab.get("#status").text, "a first one again")
        tab.browser.refresh()
        until(lambda: tab.browser.find_elements("css selector", INPUT))
        choose(tab, photo(tmp_path, "after.jpg"))
        assert "after.jpg" in press_restore(tab, 1)
    until(lambda: not list(page.folder.glob("lessonpipe-page-*/results/*")))  # all have left


def test_a_recipe_is_built_by_a_few_clicks_and_its_yaml_is_one_that_trains(
    tab: Tab, tmp_path: Path
) -> None:
    tab.click("Damage", "button[@role='tab']")
    before = until(lambda: pictures(tab, "damaged"))
    tab.get("#add-step").click()
    tab.wait.until(lambda _: "- scratch" in tab.get("#yaml .cm-content").text.splitlines()[-1], "")
    after = until(lambda: (now := pictures(tab, "damaged")) != before and now)
    assert after[0] == before[0] and after[1] != before[1]  # the same photo, damaged anew
    assert len(until(lambda: pictures(tab, "undone"))) == 2

    opened = tab.browser.find_elements("css selector", "#steps button.label-wrap")
    count = len(opened)
    opened[-1].click()
    until(lambda: tab.browser.find_elements("css selector", "#steps button.sm"))[-1].click()
    tab.wait.until(
        lambda _: len(tab.browser.find_elements("css selector", "#steps button.label-wrap")) < count
    )
    recipe = yaml.safe_load(tab.get("#yaml .cm-content").text)["recipes"]["mine"]
    Recipe(recipe)
    assert len(recipe) == count - 1 and serious(tab) == []


def test_a_number_that_is_drawn_for_each_picture_has_a_slider_once_it_is_set(
    page: Started, tmp_path: Path
) -> None:
    with open_browser(tmp_path, 1280) as tab:
        tab.browser.get(page.url)
        tab.click("Damage", "button[@role='tab']")
        until(lambda: pictures(tab, "damaged"))
        tab.browser.find_elements("css selector", "#steps button.label-wrap")[-1].click()
        sliders = len(tab.browser.find_elements("css selector", "#steps input[type=range]"))
        for said, more in (("quality: 48", 1), ("p: 0.35", 0)):
            tab.click("quality: drawn for each picture", "label")
            tab.wait.until(lambda _, said=said: yaml_of(tab).endswith(f"{said}}}"), said)
            until(
                lambda more=more: (
                    len(tab.browser.find_elements("css selector", "#steps input[type=range]"))
                    == sliders + more
                )
            )


def yaml_of(tab: Tab) -> str:
    """The recipe as the page has it for params.yaml."""
    return str(tab.get("#yaml .cm-content").text).strip()


def pictures(tab: Tab, slider: str) -> list[str]:
    """The addresses of the two pictures of a slider, once both are there."""
    found: list[str] = script(
        tab,
        "const i = [...document.querySelectorAll(arguments[0])];"
        "return i.every(x => x.naturalWidth) ? i.map(x => x.src) : []",
        f"#{slider} img",
    )
    return found if len(found) == 2 else []


def test_the_report_is_the_one_that_is_there_when_a_visitor_looks(
    page: Started, tmp_path: Path
) -> None:
    report = page.folder / "reports/index.html"
    report.parent.mkdir(exist_ok=True)
    with open_browser(tmp_path, 1280) as tab:
        tab.browser.get(page.url)
        tab.click("Report", "button[@role='tab']")
        tab.see("No report is here yet: make run in a project's folder writes one.")
        report.write_text("<h1>What it learnt</h1><script>document.title = 'run'</script>")
        tab.click("Restore", "button[@role='tab']")
        tab.click("Report", "button[@role='tab']")
        frame = tab.get("#report iframe")
        tab.browser.switch_to.frame(frame)
        tab.see("What it learnt")
        assert script(tab, "return document.title") == "run"
