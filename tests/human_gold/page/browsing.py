"""Steps that tests in a real browser share."""

from assets.human_gold.desk.delivery import answers_since
from tests.human_gold.page.running_page import PASSWORD, item, task

ROUND = "round_1"
# What a browser says by itself about requests that a test makes fail.
EXPECTED_NOISE = ("Failed to load resource", "verbose")


def enter(window, page, handle, role="annotator"):
    """Sign in by invitation, typing only."""
    window.goto(page.link(handle, role, display_name=handle.title()))
    window.wait_for_function("() => document.activeElement.id === 'password'")
    window.keyboard.type(PASSWORD)
    window.keyboard.press("Tab")
    window.keyboard.type(PASSWORD)
    window.keyboard.press("Enter")
    return ready(window)


def ready(window, other_than=None):
    """Wait until a pair, or the empty desk, stands there; its key."""
    window.wait_for_function(
        "old => { const r = document.getElementById('content')?.dataset.ready; return r && r !== old; }",
        arg=other_than,
    )
    return window.evaluate("document.getElementById('content').dataset.ready")


def press(window, key, at):
    """A verdict key; the key of the pair that follows."""
    window.keyboard.press(key)
    return ready(window, other_than=at)


def status(window, pattern):
    window.wait_for_function("p => new RegExp(p).test(document.getElementById('status').textContent)", arg=pattern)


def stored(window, read):
    """Rows of the desk, as soon as there are any: the page goes on before the server has answered."""
    for _ in range(600):
        if rows := read():
            return rows
        window.wait_for_timeout(50)
    return []


def answers(page):
    return answers_since(page.engine, ROUND, 0)


def push(page, handle, num=10):
    pairs = [item(number) for number in range(num)]
    if handle and page.accounts.person(handle) is None:
        page.link(handle)
    page.push(pairs, [task(pair, handle) for pair in pairs])
    return pairs


def nothing_went_wrong(window):
    assert [note for note in window.noted if not any(noise in note for noise in EXPECTED_NOISE)] == []
