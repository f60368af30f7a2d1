"""A person's day at the page, in a real browser: by keyboard, through reloads, failures and corrections."""

import re

import pytest

from assets.human_gold.desk.delivery import answers_since, decisions_since
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


def test_ten_pairs_with_the_keyboard_alone(desk_page, window):
    at = enter(window, desk_page, "ada")
    assert at == "empty"
    assert "Nothing to label right now" in window.inner_text("#content")
    push(desk_page, "ada")
    window.keyboard.press("Tab")
    window.focus("[data-again]")
    window.keyboard.press("Enter")
    at = ready(window, other_than="empty")

    # 1: reasons, a comment, and the verdict out of the field.
    window.keyboard.press("q")
    window.keyboard.press("c")
    window.keyboard.type("1 is not a verdict here")
    window.keyboard.press("Escape")
    at = press(window, "1", at)
    status(window, "Saved: Left, clearly")

    # 2: attributes edited; the guideline follows the category; reverting takes the mark away.
    window.keyboard.press("m")
    window.keyboard.type("reas")
    window.wait_for_selector("#guideline[data-version='reas-obj-low']")
    assert "For reasoning" in window.inner_text("#guideline")
    window.focus("#annotation_guideline")
    window.keyboard.press("Control+End")
    window.keyboard.type(" Twice.")
    window.focus("#desired_attributes")
    window.keyboard.type("X")
    assert window.locator(".field.edited").count() == 3
    window.locator("[data-attribute=desired_attributes] .revert").press("Enter")
    assert window.locator(".field.edited").count() == 2
    window.keyboard.press("Escape")
    at = press(window, "4", at)

    # 3: noticed too late, undone, corrected; the pair put aside comes back with what was begun.
    third = at
    fourth = press(window, "5", at)
    window.keyboard.press("w")
    status(window, "Saved: Right, clearly")
    window.keyboard.press("z")
    assert ready(window, other_than=fourth) == third
    assert "You answered this: Right, clearly" in window.inner_text("#before")
    assert press(window, "t", third) == fourth
    assert window.get_attribute("[data-reason='instruction following']", "aria-pressed") == "true"

    # 4: leave in the middle and resume.
    window.keyboard.press("c")
    with window.expect_response("**/api/drafts"):
        window.keyboard.type("half a thought")
    window.goto("about:blank")
    window.goto(f"{desk_page.base}/work")
    assert ready(window) == fourth
    assert window.input_value("#comment") == "half a thought"
    assert window.get_attribute("[data-reason='instruction following']", "aria-pressed") == "true"
    at = press(window, "2", fourth)

    # 5: later, so that it comes last.
    fifth = at
    window.keyboard.press("l")
    at = ready(window, other_than=fifth)
    for key in "035x1":
        at = press(window, key, at)
    assert at == fifth
    assert press(window, "3", at) == "empty"
    assert "answered all 10" in window.inner_text("#content")

    rows = answers(desk_page)
    assert [(row["shown_verdict"], row["strength"]) for row in rows] == [
        ("left", "clearly"),
        ("right", "slightly"),
        ("right", "clearly"),
        ("tie", None),
        ("left", "slightly"),
        ("undecided", None),
        ("tie", None),
        ("right", "clearly"),
        ("undecided", None),
        ("left", "clearly"),
        ("tie", None),
    ]
    assert rows[0]["reasons"] == ["correctness"]
    assert rows[0]["comment"] == "1 is not a verdict here"
    assert rows[0]["guideline_version"] == "math-obj-low"
    assert rows[1]["guideline_version"] == "reas-obj-low"
    assert rows[1]["edited_attributes"] == {
        "task_category": "reasoning",
        "annotation_guideline": "Work it out yourself first. Twice.",
    }
    assert (rows[3]["task_id"], rows[3]["revision"]) == (rows[2]["task_id"], 1)
    assert all(row["active_seconds"] is not None and row["active_seconds"] >= 0 for row in rows)
    assert len({row["task_id"] for row in rows}) == 10
    nothing_went_wrong(window)


def test_keys_are_shown_and_focus_comes_back(desk_page, window):
    push(desk_page, None, 2)
    at = enter(window, desk_page, "ada")
    window.keyboard.press("?")
    assert window.is_visible("#keys")
    # Keys mean nothing under a dialog.
    window.keyboard.press("1")
    window.keyboard.press("Escape")
    assert not window.is_visible("#keys")
    assert window.evaluate("document.activeElement.id") == "content"
    assert answers(desk_page) == []
    window.keyboard.press("v")
    assert window.is_visible("#left .plain")
    assert not window.is_visible("#left .rendered")
    window.keyboard.press("b")
    assert not window.is_visible(".side")
    window.reload()
    assert ready(window) == at
    assert window.is_visible("#left .plain")
    assert not window.is_visible(".side")
    window.keyboard.press("ArrowRight")
    assert window.evaluate("document.activeElement.closest('article').id") == "right"
    window.keyboard.press("h")
    window.wait_for_selector("#past .note")
    assert "No answers yet" in window.inner_text("#past")
    window.keyboard.press("Escape")
    assert window.evaluate("document.activeElement.id") == "content"
    press(window, "1", at)
    assert window.evaluate("document.activeElement.id") == "content"
    status(window, "Saved")
    nothing_went_wrong(window)


def test_enter_sends_where_a_verdict_key_only_chooses(desk_page, window):
    push(desk_page, "bo", 2)
    at = enter(window, desk_page, "bo")
    window.uncheck("#at-once")
    window.keyboard.press("Escape")
    window.keyboard.press("1")
    window.keyboard.press("5")
    assert window.locator("[data-verdict][aria-pressed=true]").inner_text().startswith("Right clearly")
    assert answers(desk_page) == []
    press(window, "Enter", at)
    status(window, "Saved: Right, clearly")
    assert [row["shown_verdict"] for row in answers(desk_page)] == ["right"]


def test_an_answer_that_cannot_be_sent_is_kept_and_sent_once(desk_page, window):
    push(desk_page, "ada", 4)
    at = enter(window, desk_page, "ada")
    window.wait_for_load_state("networkidle")
    # The reply is lost on its way: the desk has the answer, the page does not know.
    window.route("**/api/answers", lambda route: (route.fetch(), route.abort()))
    first, at = at, press(window, "1", at)
    window.wait_for_selector("#unsent:not([hidden])")
    assert "1 answer is not sent yet" in window.inner_text("#unsent")
    # The desk is gone; the answer lives through a reload.
    window.unroute("**/api/answers")
    window.route("**/api/answers", lambda route: route.abort())
    window.reload()
    at = ready(window)
    assert at != first
    window.wait_for_selector("#unsent:not([hidden])")
    assert len(answers(desk_page)) == 1
    press(window, "2", at)
    window.wait_for_function("() => document.getElementById('unsent').textContent.startsWith('2 answers')")
    # The desk is back.
    window.unroute("**/api/answers")
    window.click("#unsent")
    window.wait_for_selector("#unsent", state="hidden")
    rows = answers(desk_page)
    assert [(row["shown_verdict"], row["strength"]) for row in rows] == [("left", "clearly"), ("left", "slightly")]
    assert window.evaluate("Object.keys(localStorage).filter(k => k.includes('unsent'))") == []
    nothing_went_wrong(window)


def test_an_answer_not_sent_yet_can_be_taken_back(desk_page, window):
    push(desk_page, "ada", 3)
    at = enter(window, desk_page, "ada")
    window.wait_for_load_state("networkidle")
    window.route("**/api/answers", lambda route: route.abort())
    following = press(window, "1", at)
    window.wait_for_selector("#unsent:not([hidden])")
    window.keyboard.press("z")
    assert ready(window, other_than=following) == at
    window.unroute("**/api/answers")
    assert press(window, "5", at) == following
    status(window, "Saved: Right")
    assert [(row["shown_verdict"], row["revision"]) for row in answers(desk_page)] == [("right", 0)]


def test_a_session_that_ended_costs_no_answer(desk_page, window):
    push(desk_page, "ada", 3)
    at = enter(window, desk_page, "ada")
    window.wait_for_load_state("networkidle")
    desk_page.accounts.sign_out_everywhere(desk_page.accounts.person("ada"))
    window.keyboard.press("1")
    window.wait_for_selector("#trouble:not([hidden])")
    assert "signed out" in window.inner_text("#trouble")
    assert answers(desk_page) == []
    window.click("#trouble button")
    window.fill("#handle", "ada")
    window.fill("#password", PASSWORD)
    window.keyboard.press("Enter")
    assert ready(window) != at
    assert [row["shown_verdict"] for row in answers(desk_page)] == ["left"]


def test_a_task_withdrawn_or_answered_elsewhere_says_so(desk_page, window):
    pairs = push(desk_page, "ada", 3)
    at = enter(window, desk_page, "ada")
    window.wait_for_load_state("networkidle")
    ada = desk_page.sign_in("ada")
    elsewhere = {"key": at, "client_key": "12345678", "verdict": "tie", "guideline_version": "v"}
    assert ada.post("/api/answers", elsewhere).status_code == 200
    at = press(window, "1", at)
    window.wait_for_selector("#trouble:not([hidden])")
    assert "was not taken" in window.inner_text("#trouble")
    # What was refused is kept until it has been seen.
    window.reload()
    at = ready(window)
    window.wait_for_selector("#trouble:not([hidden])")
    window.get_by_role("button", name="Dismiss").click()
    from assets.human_gold.desk.batches import withdraw

    withdraw(desk_page.engine, pair_ids=[pair.pair_id for pair in pairs], by=None, why="test", clock=desk_page.clock)
    window.keyboard.press("Escape")
    window.keyboard.press("2")
    window.wait_for_selector("#trouble:not([hidden])")
    assert [row["shown_verdict"] for row in answers(desk_page)] == ["tie"]
    nothing_went_wrong(window)


def test_hidden_labels_show_after_the_answer_where_they_may(page_of, window):
    page = page_of(reveal=True)
    hidden = {"source_verdict": "2", "judges": [{"judge": "judge-a", "verdict": "1"}]}
    pairs = [item(number, hidden=hidden) for number in range(2)]
    page.link("ada")
    page.push(pairs, [task(pair, "ada") for pair in pairs])
    at = enter(window, page, "ada")
    assert "judge-a" not in window.content()
    press(window, "1", at)
    status(window, "the source said Right; judge-a: Left")


def test_a_phrase_can_be_looked_up(desk_page, window):
    page_of_pair = item(1, left="The river Moselle & its bends")
    desk_page.link("ada")
    desk_page.push([page_of_pair], [task(page_of_pair, "ada")])
    enter(window, desk_page, "ada")
    window.evaluate(
        """() => {
            const text = document.querySelector('#left .rendered p').firstChild;
            document.getSelection().setBaseAndExtent(text, 4, text, 19);
        }"""
    )
    window.wait_for_selector("#searches:not([hidden])")
    links = window.locator("#searches a")
    assert links.count() == 3
    assert links.first.get_attribute("href") == "https://duckduckgo.com/?q=river%20Moselle%20%26"
    for number in range(3):
        assert links.nth(number).get_attribute("rel") == "noopener noreferrer"
        assert links.nth(number).get_attribute("target") == "_blank"
    window.keyboard.press("/")
    assert window.evaluate("document.activeElement.textContent") == "DuckDuckGo"
    window.keyboard.press("Escape")
    assert window.is_hidden("#searches")


def test_a_disagreement_is_settled_with_its_reason(desk_page, window):
    pair = item(1, left="Four.", right="Five.")
    people = {"ada": ("left", "clearly"), "bo": ("right", "slightly")}
    for handle in people:
        desk_page.add(handle)
    desk_page.push([pair], [task(pair, handle) for handle in people])
    for handle, (verdict, strength) in people.items():
        member = desk_page.sign_in(handle)
        shown = member.http.get("/api/next?plain=1").json()["task"]
        body = {"key": shown["key"], "client_key": f"{handle}-12345678", "verdict": verdict, "strength": strength}
        body |= {
            "comment": "for four" if verdict == "left" else "for five",
            "guideline_version": "v",
            "reasons": ["clarity"],
        }
        assert member.post("/api/answers", body).status_code == 200
    enter(window, desk_page, "lea", "adjudicator")
    window.goto(f"{desk_page.base}/adjudicate")
    at = ready(window)
    said = window.inner_text(".arguments")
    # The sides are drawn anew for the case, and what people said is turned with them.
    four = "Left" if window.inner_text("#left .rendered") == "Four." else "Right"
    five = {"Left": "Right", "Right": "Left"}[four]
    for part in (f"{four}, clearly", f"{five}, slightly", "for four", "for five", "clarity"):
        assert part in said
    assert not re.search(r"\b(ada|bo)\b", said.lower())
    # Without a reason nothing is sent: the cursor stands where it belongs.
    window.keyboard.press("1")
    status(window, "needs its reason")
    assert window.evaluate("document.activeElement.id") == "comment"
    window.keyboard.type("2 + 2 is 4.")
    window.keyboard.press("Control+Enter")
    assert ready(window, other_than=at) == "empty"
    assert "No disagreement is open" in window.inner_text("#content")
    rows = decisions_since(desk_page.engine, ROUND, 0)
    assert [(row["shown_verdict"], row["comment"]) for row in rows] == [("left", "2 + 2 is 4.")]
    # A second thought.
    window.keyboard.press("h")
    window.click("#past button")
    assert ready(window, other_than="empty") == at
    window.keyboard.press("c")
    window.keyboard.type(" Or not.")
    window.keyboard.press("Escape")
    press(window, "3", at)
    status(window, "Saved: Tie")
    rows = decisions_since(desk_page.engine, ROUND, 0)
    assert [row["shown_verdict"] for row in rows] == ["left", "tie"]
    nothing_went_wrong(window)


def test_the_managers_page(page_of, window):
    dot = (
        "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5IiBoZWlnaHQ9IjkiLz4="
    )
    table = [{"slice": "math", "alpha": 0.8123, "pairs": 12}, {"slice": "<b>x</b>", "alpha": None, "pairs": 0}]
    page = page_of(agreement=lambda: {"Krippendorff's alpha": (table, [dot, "https://evil.example/x.png"])})
    page.add("ada")
    pairs = [item(number) for number in range(7)]
    page.push(pairs, [task(pair, "ada") for pair in pairs])
    ada = page.sign_in("ada")
    for number in range(6):
        key = ada.http.get("/api/next?plain=1").json()["task"]["key"]
        body = {"key": key, "client_key": f"12345678-{number}", "verdict": "tie", "active_seconds": 60}
        assert ada.post("/api/answers", body).status_code == 200
    enter(window, page, "mia", "manager")

    window.goto(f"{page.base}/manage")
    cells = [cell.strip() for cell in window.locator("table").first.locator("tbody td").all_inner_texts()]
    assert cells[1:4] == ["7", "6", "0"]
    assert window.locator("table").nth(1).locator("tbody td").all_inner_texts()[:3] == ["6", "0.10", "60"]
    window.fill("[name=ids]", pairs[6].pair_id)
    window.fill("[name=why]", "a wrong source")
    window.get_by_role("button", name="Withdraw").click()
    window.get_by_role("button", name="Really withdraw").click()
    window.wait_for_function("() => document.querySelectorAll('tbody td')[5].textContent === '1'")

    window.goto(f"{page.base}/manage/people")
    window.fill("[name=handle] >> visible=true", "zoe")
    window.fill("[name=display_name]", "Zoë")
    window.get_by_role("button", name="Make an invitation link").click()
    link = window.input_value("#link")
    assert link.startswith(f"{page.base}/invitation/")
    window.reload()
    assert link not in window.content()
    assert page.client().get(link).status_code == 200
    with window.expect_navigation():
        window.get_by_label("Role of ada").select_option("adjudicator")
    assert page.accounts.person("ada").role == "adjudicator"
    window.get_by_label("Deactivate ada").click()
    assert page.accounts.person("ada").active
    with window.expect_navigation():
        window.get_by_label("Deactivate ada").click()
    assert not page.accounts.person("ada").active
    # The last manager stays, and the page says why.
    window.get_by_label("Deactivate mia").click()
    window.get_by_label("Deactivate mia").click()
    window.wait_for_selector("#result .refusal")
    assert "last manager" in window.inner_text("#result")

    window.goto(f"{page.base}/manage/agreement")
    assert "0.812" in window.inner_text("table")
    assert "<b>x</b>" in window.inner_text("table")
    assert window.locator(".plots img").count() == 1
    assert window.evaluate("document.querySelector('.plots img').naturalWidth") > 0
    window.goto(f"{page.base}/manage/audit")
    log = window.inner_text("table")
    for part in ("withdrawn", "a wrong source", "invited", "zoe"):
        assert part in log
    assert PASSWORD not in log
    window.goto(f"{page.base}/guidelines/coding%20%26%20debugging?objectivity=subjective")
    assert "This pair is subjective" in window.inner_text(".document")
    nothing_went_wrong(window)


def test_active_seconds_stop_when_nobody_is_there(desk_page, window):
    window.goto(f"{desk_page.base}/sign-in")
    measured = window.evaluate(
        """async () => {
            const { ActiveClock } = await import('/static/active_clock.js');
            let now = 0, visible = true;
            const clock = new ActiveClock(60, () => now * 1000, () => visible);
            const seen = [];
            const at = (second, act) => { now = second; act?.(); seen.push(clock.seconds()); };
            at(10);
            at(30, () => clock.sign());
            at(85);
            at(200);
            at(300, () => clock.sign());
            at(310, () => { clock.count(); visible = false; clock.count(); });
            at(340);
            at(341, () => { clock.count(); visible = true; clock.sign(); });
            at(351);
            clock.begin(7);
            at(353);
            return seen;
        }"""
    )
    # 30 + 60 seconds until idle, none until the next sign, 10 in sight, none out of it, 10 in sight.
    assert measured == [10, 30, 85, 90, 90, 100, 100, 100, 110, 9]


def test_a_very_long_response_does_not_freeze_the_page(desk_page, window):
    long = "\n".join(f"Line {number} of a very long answer with some words in it." for number in range(3700))
    assert len(long) > 200_000
    one_line = "word " * 40_000
    pairs = [item(1, left=long, right=one_line), item(2)]
    desk_page.link("ada")
    desk_page.push(pairs, [task(pair, "ada") for pair in pairs])
    at = enter(window, desk_page, "ada")
    assert "Shown as plain text" in window.inner_text("#left")
    assert window.text_content("#left .view").endswith("Line 3699 of a very long answer with some words in it.")
    assert len(window.text_content("#right .view")) == 200_000
    # Most of it is laid out only when it comes into sight.
    heights = window.evaluate("[...document.querySelectorAll('#left .chunk')].map(c => c.offsetHeight)")
    placeholder = 1200
    assert heights[0] > placeholder
    assert heights[-1] == placeholder
    press(window, "1", at)
    status(window, "Saved: Left")
    assert [row["shown_verdict"] for row in answers(desk_page)] == ["left"]
    nothing_went_wrong(window)


@pytest.mark.parametrize(("width", "height"), [(320, 640), (390, 844), (768, 1024), (1024, 768), (2560, 1440)])
def test_every_width_has_room_and_names(desk_page, window, width, height):
    pair = item(1, left="x" * 300 + "\n\n```python\n" + "y = 1; " * 50 + "\n```", right="|a|" * 30)
    desk_page.link("mia", "manager")
    desk_page.push([pair], [task(pair, "mia")])
    enter(window, desk_page, "mia", "manager")
    window.set_viewport_size({"width": width, "height": height})
    for path in ("/work", "/adjudicate", "/manage", "/manage/people", "/manage/audit", "/guidelines"):
        window.goto(desk_page.base + path)
        if path in ("/work", "/adjudicate"):
            ready(window)
        wide = window.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], path
        unnamed = window.evaluate(
            """[...document.querySelectorAll('button, select, textarea, input:not([type=hidden]), a[href]')]
                .filter(e => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
                .map(e => e.outerHTML)"""
        )
        assert unnamed == [], path
    window.goto(f"{desk_page.base}/work")
    ready(window)
    boxes = [window.locator(f"#{side}").bounding_box() for side in ("left", "right")]
    if width >= 900:
        assert abs(boxes[0]["width"] - boxes[1]["width"]) < 1
        assert boxes[0]["y"] == boxes[1]["y"]
    else:
        assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    scale = window.locator(".scale").bounding_box()
    assert scale["y"] + scale["height"] <= height
