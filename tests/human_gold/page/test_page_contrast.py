"""Every text of every page can be read: contrast of at least 4.5 (WCAG 2.2 AA) in both colour schemes."""

import pytest

from tests.human_gold.page.browsing import enter, ready
from tests.human_gold.page.running_page import item, task

TEXT = """A **reply** with `code`, [a link](https://example.org), ![image](x.png).

> quoted

```python
def f(x: int) -> str:  # a comment
    return "text" * 3
```

| a | b |
|---|--:|
| 1 | 2 |
\u200b"""

LOWEST = """() => {
    const parse = (text) => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return { r, g, b, a };
    };
    const over = (top, below) => Object.fromEntries(
        ['r', 'g', 'b'].map((c) => [c, top[c] * top.a + below[c] * (1 - top.a)]).concat([['a', 1]]));
    const ground = (element) => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
    };
    const light = ({ r, g, b }) => [r, g, b]
        .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const texts = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!texts && !e.matches('input, textarea, select')) continue;
        if (!e.checkVisibility({ visibilityProperty: true })) continue;
        if (e.matches('option, noscript, script, .hidden, .skip')) continue;
        const below = ground(e);
        const [a, b] = [light(over(parse(getComputedStyle(e).color), below)), light(below)].sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 120)]);
    }
    return found.sort((x, y) => x[0] - y[0]).slice(0, 3).concat([[found.length, 'texts']]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(page_of, window, scheme):
    table = [{"slice": "math", "alpha": 0.8}]
    page = page_of(agreement=lambda: {"Agreement": (table, [])})
    window.emulate_media(color_scheme=scheme)
    pairs = [item(number, left=TEXT, right=TEXT) for number in range(3)]
    page.accounts.invite("mia", "manager", by=None)
    page.accounts.invite("simulated-one", "annotator", by=None, simulated=True)
    page.push(pairs, [task(pair, "mia") for pair in pairs])

    def check(where):
        *lowest, num = window.evaluate(LOWEST)
        assert num[0] > 2, where
        for contrast, element in lowest:
            assert contrast >= 4.5, (where, element)

    at = enter(window, page, "mia", "manager")
    window.keyboard.press("q")
    window.select_option("#task_category", "reasoning")
    window.keyboard.press("Escape")
    check("a pair")
    window.keyboard.press("v")
    check("the plain view")
    window.keyboard.press("?")
    check("the keys")
    window.keyboard.press("Escape")
    window.keyboard.press("1")
    following = ready(window, other_than=at)
    window.keyboard.press("z")
    ready(window, other_than=following)
    check("a pair answered before")
    for path in ("/manage", "/manage/people", "/manage/agreement", "/manage/audit", "/guidelines", "/nothing"):
        window.goto(page.base + path)
        check(path)
    window.goto(f"{page.base}/manage/people")
    window.get_by_label("Deactivate mia").click()
    check("a question before something that cannot be undone")
    window.get_by_label("Deactivate mia").click()
    window.wait_for_selector("#result .refusal")
    check("a refusal")
    window.context.clear_cookies()
    for path in ("/sign-in", "/invitation/x"):
        window.goto(page.base + path)
        check(path)
