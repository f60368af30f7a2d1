"""A running page, and a real browser where there is one."""

from pathlib import Path

import pytest

from tests.human_gold.page.running_page import Running

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
def page_of(tmp_path):
    """Starts pages with settings of the test's choice; one at a time."""
    running = []

    def start(**settings):
        running.append(Running(tmp_path, **settings))
        return running[-1].__enter__()

    yield start
    for one in running:
        one.__exit__()


@pytest.fixture
def desk_page(page_of):
    return page_of()


# Not longer than a module: the driver's event loop runs in this thread, and other tests start loops of their own.
@pytest.fixture(scope="module")
def chromium():
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser: {CHROMIUM} does not exist")
    api = pytest.importorskip("playwright.sync_api", reason="no browser driver: playwright is not installed")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def window(chromium):
    """A browser window that notes what should never happen: errors, dialogs, blocked scripts."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.noted = []
    tab.on("pageerror", lambda error: tab.noted.append(f"error: {error}"))
    tab.on("console", lambda message: tab.noted.append(f"{message.type}: {message.text}"))
    tab.on("dialog", lambda dialog: (tab.noted.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield tab
    context.close()
