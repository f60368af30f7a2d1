"""Tables of the UI: text of the data stays text, and what is cut says so."""

import pytest

from orchestration.glue import markdown_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script> & more", "&lt;script>alert(1)&lt;/script> &amp; more"),
        ("&lt;b>", "&amp;lt;b>"),
        ("a | b", "a \\| b"),
        ("![x](http://a/b.png)", "!\\[x\\](http://a/b.png)"),
        ("**b** _i_ `c` ~~d~~ $x$", "\\*\\*b\\*\\* \\_i\\_ \\`c\\` \\~\\~d\\~\\~ \\$x\\$"),
        ("back\\slash", "back\\\\slash"),
        ("one\ntwo\r\nthree\u2028four", "one ⏎ two ⏎ three ⏎ four"),
    ],
)
def test_a_cell_is_text_whatever_it_holds(text, shown):
    assert markdown_table([{"text": text}]).md_str.splitlines()[2] == f"| {shown} |"


@pytest.mark.parametrize("sign", ["x", "<", "|", "&"])
def test_a_long_cell_is_cut_with_an_ellipsis_and_never_inside_an_escape(sign):
    (row,) = markdown_table([{"text": sign * 5_000}]).md_str.splitlines()[2:]
    escaped = {"x": "x", "<": "&lt;", "|": "\\|", "&": "&amp;"}[sign]
    assert row == f"| {escaped * 299}… |"
