"""Failures that a person must not notice as lost work, in a real browser."""

from assets.human_gold.desk.batches import withdraw
from tests.human_gold.page.browsing import answers, enter, nothing_went_wrong, press, push, ready, status
from tests.human_gold.page.running_page import PASSWORD, item, task


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


def test_undo_while_the_answer_is_on_its_way_waits_for_it(desk_page, window):
    push(desk_page, "ada", 3)
    at = enter(window, desk_page, "ada")
    window.wait_for_load_state("networkidle")
    held = []
    window.route("**/api/answers", lambda route: held.append(route))
    following = press(window, "1", at)
    window.keyboard.press("z")
    held.pop().continue_()
    window.unroute("**/api/answers")
    assert ready(window, other_than=following) == at
    assert "You answered this: Left, clearly" in window.inner_text("#before")
    assert press(window, "5", at) == following
    status(window, "Saved: Right")
    assert [(row["shown_verdict"], row["revision"]) for row in answers(desk_page)] == [("left", 0), ("right", 1)]
    nothing_went_wrong(window)


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
    withdraw(desk_page.engine, pair_ids=[pair.pair_id for pair in pairs], by=None, why="test", clock=desk_page.clock)
    window.keyboard.press("Escape")
    window.keyboard.press("2")
    window.wait_for_selector("#trouble:not([hidden])")
    assert [row["shown_verdict"] for row in answers(desk_page)] == ["tie"]
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
