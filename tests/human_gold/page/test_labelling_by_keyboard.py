"""A person's day at the page, in a real browser: by keyboard, with undo, drafts and second thoughts."""

import re

import pytest

from assets.human_gold.desk.delivery import decisions_since
from tests.human_gold.page.browsing import ROUND, answers, enter, nothing_went_wrong, press, push, ready, status, stored
from tests.human_gold.page.running_page import item, task


@pytest.mark.slow
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
    window.wait_for_function("() => document.getElementById('content').innerText.includes('answered all 10')")

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
    window.wait_for_function("() => document.activeElement.id === 'content'")
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
    window.wait_for_function("() => document.activeElement.closest('article')?.id === 'right'")
    window.keyboard.press("h")
    window.wait_for_selector("#past .note")
    assert "No answers yet" in window.inner_text("#past")
    window.keyboard.press("Escape")
    window.wait_for_function("() => document.activeElement.id === 'content'")
    press(window, "1", at)
    window.wait_for_function("() => document.activeElement.id === 'content'")
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
    window.wait_for_function("() => document.activeElement.textContent === 'DuckDuckGo'")
    window.keyboard.press("Escape")
    assert window.is_hidden("#searches")


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
    rows = stored(window, lambda: decisions_since(desk_page.engine, ROUND, 0))
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
