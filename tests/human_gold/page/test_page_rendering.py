"""Texts become safe HTML: what is kept, what is named, what is only text."""

import pytest

from assets.human_gold.page.plain_view import CHUNK_CHARS, chunks, num_suspicious, plain_html
from assets.human_gold.page.rendering import MAX_HIGHLIGHTED_CHARS, RenderCache, coloured, markdown_html, sanitised


@pytest.mark.parametrize(
    ("source", "held", "not_held"),
    [
        ("<script>alert(1)</script>", ["&lt;script&gt;"], ["<script"]),
        ("<img src=x onerror=alert(1)>", ["&lt;img"], ["<img"]),
        ("<svg onload=alert(1)>", ["&lt;svg"], ["<svg"]),
        ("[x](javascript:alert(1))", ["[x](javascript:alert(1))"], ["<a"]),
        ("[x](JaVaScRiPt&#58;alert(1))", [], ["<a"]),
        ("[x](data:text/html,<script>1</script>)", [], ["<a"]),
        ("<javascript:alert(1)>", [], ["<a"]),
        ("[x](vbscript:x)", [], ["<a"]),
        ("[x](/relative)", ["(/relative)"], ["href"]),
        ("[x](//evil.example)", ["(//evil.example)"], ["href"]),
        ("![alt text](https://evil.example/p.png)", ["[image, not loaded: alt text - https://evil"], ["<img"]),
        ("![](data:image/png;base64,AAAA)", ["no description"], ["<img"]),
        ("{{7*7}} {% raw %}", ["{{7*7}} {% raw %}"], ["49"]),
        ("# Top", ['<h3 dir="auto">Top</h3>'], ["<h1"]),
        ("a | b\n--|:-:\n1 | 2", ['class="wide"', 'class="align-center"'], ["style="]),
        ("```python\nx = 1\n```", ['<span class="hl-'], []),
        ("```nosuch\n<b>\n```", ["&lt;b&gt;"], ["<b>"]),
        ('```"><script>\nx\n```', ["<pre"], ["<script"]),
        ("~~gone~~ **bold**", ["<s>gone</s>", "<strong>bold</strong>"], []),
        ("3. three", ['start="3"'], []),
    ],
)
def test_markdown_keeps_meaning_and_loses_danger(source, held, not_held):
    html = markdown_html(source)
    for part in held:
        assert part in html
    for part in not_held:
        assert part not in html


def test_a_link_shows_where_it_leads_and_gives_nothing_away():
    html = markdown_html("[click](https://example.org/a?b=1&c=2) and <https://example.org>")
    assert 'href="https://example.org/a?b=1&amp;c=2"' in html
    assert html.count('rel="noopener noreferrer nofollow"') == html.count('target="_blank"') == 2
    # The address is shown beside the first, and is the text of the second.
    assert html.count('<span class="target">') == 1
    assert "(https://example.org/a?b=1&amp;c=2)" in html


@pytest.mark.parametrize(
    "html",
    [
        '<p onclick="x()">',
        "<script>x</script>",
        "<style>p{}</style>",
        '<p style="color:expression(x)">',
        '<span class="bar trouble">',
        '<a href="javascript:x">',
        "<iframe src=//x>",
        "<form action=//x>",
        '<p id="verdict">',
    ],
)
def test_the_sanitiser_stands_by_itself(html):
    left = sanitised(html)
    for word in ("onclick", "script", "style", "class=", "javascript", "iframe", "form", "id="):
        assert word not in left


def test_long_code_and_long_lines_are_not_coloured():
    assert "hl-" in coloured("x = 1\n", "python")
    assert "hl-" not in coloured("x = 1\n" * MAX_HIGHLIGHTED_CHARS, "python")
    assert "hl-" not in coloured("x = " + "1" * 500, "python")
    assert "hl-" not in coloured("x = 1", "brainfuck")


@pytest.mark.parametrize(
    ("char", "mark"),
    [
        ("\u202e", "RLO"),
        ("\u200b", "ZWSP"),
        ("\ufeff", "BOM"),
        ("\x00", "NUL"),
        ("\x1b", "ESC"),
        ("\x85", "U+0085"),
        ("\u2066", "LRI"),
        ("\U000e0041", "U+E0041"),
        ("\ud800", "U+D800"),
        ("\u200d", "ZWJ"),
    ],
)
def test_invisible_characters_are_marks_in_the_plain_view(char, mark):
    html = plain_html(f"a{char}b")
    assert f">{mark}</span>b" in html
    assert char not in html
    html.encode("utf-8")


def test_ordinary_text_carries_no_marks_and_right_to_left_finds_its_direction():
    for text in ("tab\tand\nline\r\nends", "שלום עולם", "naïve 東京 👍🏽"):
        assert "mark" not in plain_html(text)
        assert num_suspicious(text) == 0
    assert 'dir="auto"' in plain_html("שלום")
    assert '<p dir="auto">' in markdown_html("שלום")


@pytest.mark.parametrize("text", ["", "one line", "x" * 50_000, "line\n" * 20_000, "\n" * 9000, "a\n\nb"])
def test_chunks_lose_nothing_and_cut_only_at_line_ends(text):
    pieces = chunks(text)
    assert "\n".join(pieces) == text
    assert all(len(piece) >= CHUNK_CHARS for piece in pieces[:-1])


def test_the_cache_answers_the_same_and_stays_within_its_bound():
    cache = RenderCache(max_chars=400)
    texts = [f"**text {i}**" for i in range(30)]
    for text in texts + texts:
        assert cache.markdown_html(text) == markdown_html(text)
        assert len(cache) <= 400
    assert cache.markdown_html("x" * 1000) == markdown_html("x" * 1000)
    assert len(cache) <= 400
