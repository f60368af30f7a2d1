"""Texts that want to be more than text: in a real browser nothing of them runs, loads or leads astray."""

import pytest

from tests.human_gold.page.browsing import EXPECTED_NOISE, press, ready, status
from tests.human_gold.page.running_page import PASSWORD, item, task

HIT = "window.hit=1;fetch('/hit');alert(1)"
PAYLOADS = {
    "script": f"</script><script>{HIT}</script>",
    "image": f"<img src=x onerror=\"{HIT}\"><img src='https://evil.example/pixel.png'>",
    "svg": f'<svg onload="{HIT}"><animate onbegin="{HIT}"></svg>',
    "attribute": f'" autofocus onfocus="{HIT}" x="\' onmouseover=\'{HIT}',
    "link": f'[click](javascript:{HIT}) <a href="javascript:{HIT}">x</a> <javascript:{HIT}>',
    "data": f"[click](data:text/html,<script>{HIT}</script>) ![x](data:text/html,<script>{HIT}</script>)",
    "jinja": "{{7*7}} {% for x in ().__class__.__mro__ %}{{ config }}{% endfor %}",
    "markdown image": "![x](https://evil.example/pixel.png) ![x][r]\n\n[r]: https://evil.example/second.png",
    "style": '<style>@import "//evil.example/s.css"; body{display:none}</style><p style="width:expression(alert(1))">',
    "frames": '<iframe src="//evil.example"></iframe><object data="//evil.org"></object><base href="//evil.org">',
    "template": f"</textarea></template></noscript><script>{HIT}</script><plaintext>",
    "form": '<form action="//evil.example"><button id="content">Sign in</button></form>',
    "refresh": '<meta http-equiv=refresh content="0;url=//evil.example"><link rel=stylesheet href="//evil.example">',
    "fence": f"```html\n</code></pre><script>{HIT}</script>\n```\n`<script>{HIT}</script>`",
    "clobber": '<img name="body"><form id="verdict"><input name="data-csrf"></form>',
    "directions": "\u202etpircs\u202c \u2066x\u2069 \u200b\x00\ufeff \ud83d",
}


def watch(window, base):
    """Note whatever a browser would tell of an attack that worked, or that only the policy stopped."""
    window.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => (window.stopped ??= []).push(e.blockedURI))"
    )
    window.on("request", lambda request: request.url.startswith(base) or window.noted.append(f"sent: {request.url}"))
    window.on("request", lambda request: request.url.endswith("/hit") and window.noted.append("hit"))


def unharmed(window):
    assert [note for note in window.noted if not any(noise in note for noise in EXPECTED_NOISE)] == []
    state = window.evaluate("({ hit: window.hit, stopped: window.stopped, title: document.title })")
    assert state.get("hit") is None
    # Not even the Content-Security-Policy had to stop anything.
    assert state.get("stopped") is None
    foreign = window.evaluate(
        """[...document.querySelectorAll(
                'script, iframe, object, embed, base, meta[http-equiv], body link, style, svg, img, form')]
            .filter(e => !(e.matches('script[type=module][src^="/static/"]') || e.closest('dialog, .who, .plots')
                || e.matches('form[data-api], .door form')))
            .map(e => e.outerHTML)"""
    )
    assert foreign == []
    inline = (
        "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on|^style$/.test(a.name))"
    )
    allowed = window.evaluate(f"{inline}.filter(a => !a.ownerElement.matches('textarea, .searches')).map(a => a.name)")
    assert allowed == []
    odd = window.evaluate(
        "[...document.links].map(a => a.protocol).filter(p => !['http:', 'https:', 'mailto:'].includes(p))"
    )
    assert odd == []


def storable(text):
    """The text without what no database or request can hold."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


@pytest.fixture
def hostile_desk(page_of):
    """A desk of which every text is hostile: names, prompts, responses, attributes, and one person's arguments."""
    page = page_of(reveal=True)
    for handle, role in (("ada", "annotator"), ("bo", "annotator"), ("lea", "adjudicator"), ("mia", "manager")):
        page.add(handle, role, display_name=storable(PAYLOADS["script"])[:200])
    items = []
    for number, payload in enumerate(PAYLOADS.values()):
        page.accounts.invite(f"invited-{number}", "annotator", by=None, display_name=storable(payload)[:200])
        attributes = {
            field: payload for field in ("desired_attributes", "annotation_guideline", "task_category", "writer")
        }
        hidden = {"source_verdict": "2", "judges": [{"judge": storable(payload), "verdict": "1"}]}
        prompt = [{"role": payload, "content": payload}, {"role": "user", "content": payload + "x" * 2000}]
        right = f"{payload}!"
        items.append(item(number, prompt=prompt, left=payload, right=right, attributes=attributes, hidden=hidden))
    page.push(items, [task(one, handle) for one in items for handle in ("ada", "bo")])
    bo = page.sign_in("bo")
    for number, payload in enumerate(PAYLOADS.values()):
        text = storable(payload)
        body = {"key": task(items[number], "bo").task_id, "client_key": f"12345678-{number}", "verdict": "right"}
        body |= {"strength": "clearly", "comment": text, "guideline_version": text[:40]}
        body["edited_attributes"] = {"desired_attributes": f"{text} edited", "annotation_guideline": f"{text}."}
        assert bo.http.get(f"/api/tasks/{body['key']}").status_code == 200
        assert bo.post("/api/answers", body).status_code == 200
    return page


@pytest.mark.slow
def test_nothing_of_any_text_runs(hostile_desk, window):
    page = hostile_desk
    watch(window, page.base)
    sign_in(window, page, "ada")
    at = ready(window)
    seen = []
    while at != "empty":
        if window.get_attribute("html", "data-view") == "plain":
            window.keyboard.press("v")
        unharmed(window)
        window.keyboard.press("v")
        unharmed(window)
        seen.append(window.text_content("#left .plain"))
        assert "49" not in window.text_content("#left")
        for link in window.locator("#content a").all():
            assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        window.keyboard.press("c")
        window.keyboard.insert_text(seen[-1].replace("\x00", ""))
        window.keyboard.press("Escape")
        at = press(window, "1", at)
        # The judge's name, revealed.
        status(window, "Hidden until now")
    expected = [text for name, text in PAYLOADS.items() if name != "directions"]
    assert sorted(text for text in seen if "RLO" not in text) == sorted(expected)
    marked = next(text for text in seen if "RLO" in text)
    for mark in ("PDF", "LRI", "PDI", "ZWSP", "BOM"):
        assert mark in marked
    window.keyboard.press("h")
    window.wait_for_selector("#past button")
    assert window.locator("#past button").count() == len(PAYLOADS)
    window.locator("#past button").first.click()
    ready(window, other_than="empty")
    unharmed(window)

    window.context.clear_cookies()
    sign_in(window, page, "lea")
    ready(window)
    window.goto(f"{page.base}/adjudicate")
    at, num_cases = ready(window), 0
    while at != "empty":
        assert "edited" in window.inner_text(".arguments")
        unharmed(window)
        window.fill("#comment", "both")
        window.keyboard.press("Escape")
        at, num_cases = press(window, "3", at), num_cases + 1
    assert num_cases == len(PAYLOADS)

    window.context.clear_cookies()
    sign_in(window, page, "mia")
    ready(window)
    for path in ("/manage", "/manage/people", "/manage/agreement", "/manage/audit", "/guidelines"):
        window.goto(page.base + path)
        unharmed(window)
    window.goto(f"{page.base}/manage/people")
    shown = window.inner_text("table")
    assert "<img src=x" in shown
    assert "{{7*7}}" in shown


def test_a_name_in_the_address_or_the_form_stays_text(desk_page, window):
    watch(window, desk_page.base)
    window.goto(f"{desk_page.base}/sign-in?handle=<script>{HIT}</script>")
    window.fill("#handle", f'"><script>{HIT}</script>')
    window.fill("#password", "wrong wrong wrong")
    window.keyboard.press("Enter")
    window.wait_for_selector("[role=alert]")
    assert window.input_value("#handle") == f'"><script>{HIT}</script>'
    unharmed(window)
    window.goto(f"{desk_page.base}/guidelines/%3Cscript%3E{{{{7*7}}}}")
    assert "49" not in window.content()
    window.goto(f"{desk_page.base}/invitation/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    unharmed(window)


def test_the_policy_stops_what_would_slip_through(desk_page, window):
    """The second wall by itself: markup put into the page by hand does not run."""
    window.goto(f"{desk_page.base}/sign-in")
    window.evaluate(
        """() => {
            window.stopped = [];
            document.addEventListener('securitypolicyviolation', e => window.stopped.push(e.effectiveDirective));
            document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hit=1"><p style="color:red">x</p>'
                + '<iframe srcdoc="<script>parent.hit=1</script>"></iframe>');
            const script = document.createElement('script');
            script.textContent = 'window.hit=1';
            document.body.append(script);
        }"""
    )
    window.wait_for_function("() => window.stopped?.length >= 3")
    assert window.evaluate("window.hit") is None


def sign_in(window, page, handle):
    window.goto(f"{page.base}/sign-in")
    window.fill("#handle", handle)
    window.fill("#password", PASSWORD)
    window.keyboard.press("Enter")
