"""The manager's page in a real browser, and every page at every width."""

import pytest

from tests.human_gold.page.browsing import enter, nothing_went_wrong, ready
from tests.human_gold.page.running_page import PASSWORD, item, task


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
