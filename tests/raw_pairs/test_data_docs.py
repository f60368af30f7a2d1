"""Data Docs: pages say what was found, run nothing that the data holds, and load nothing from anywhere."""

import json
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from assets.errors import SynprefError
from assets.raw_pairs.boundary import check_raw_pairs
from assets.raw_pairs.data_docs import SourcePage, publish_docs, render_index, render_page

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes, self.text = set(), [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += f"{data} "


@pytest.fixture
def page(bench, two_responses):
    """A function: the page of a source, with the first value of a column replaced."""
    rows = [two_responses(n) for n in range(5)]
    report = bench.ingest([*rows, {"prompt": 5, "response_a": "a", "response_b": "b", "preferred": "a"}])
    (manifest,) = bench.lake.manifests("pairs")
    pairs = bench.lake.read("pairs")

    def make(column=None, value=None, licence="MIT", source="shop"):
        table = pairs
        if column:
            at = table.schema.get_field_index(column)
            values = pa.array([value, *table[column].to_pylist()[1:]], table.schema.field(column).type)
            table = table.set_column(at, column, values)
        return SourcePage(source, licence, manifest.published_at, report, check_raw_pairs(table, len(table)))

    return make


def test_a_page_says_what_holds_and_what_became_of_the_rows(page):
    shown = Elements(render_page(page()))
    text = " ".join(shown.text.split())
    assert "shop passed" in text
    assert "21 of 21" in text
    assert "dead letters: wrong_type 1" in text
    assert "What to look at" not in text
    assert "values must match this regular expression" in text


def test_a_page_names_the_rows_that_break_an_expectation(page):
    text = " ".join(Elements(render_page(page("label_origin", "rumour"))).text.split())
    assert "shop failed" in text
    assert "20 of 21" in text
    assert "label_origin is a known one : 1 unexpected" in text
    assert "Unexpected Value Count source_row rumour 1 0" in text


@pytest.mark.parametrize("column", ["label_origin", "pair_id", "problem"])
def test_values_of_the_data_are_text_and_nothing_else(page, column):
    shown = Elements(render_page(page(column, HOSTILE, licence=HOSTILE)))
    assert not shown.names & {"script", "img", "iframe", "object", "embed", "svg", "form"}
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in shown.text


def test_a_page_loads_nothing_and_forbids_scripts(page):
    for html in (render_page(page()), render_index([page().line()])):
        shown = Elements(html)
        assert "link" not in shown.names
        assert not [v for n, v in shown.attributes if n in ("src", "href") and v.startswith(("http", "//"))]
        assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in shown.attributes


def test_a_long_value_is_cut_visibly(page):
    html = render_page(page("pair_id", "x" * 5_000))
    assert "x" * 79 + "…" in html
    assert "x" * 200 not in html


def test_the_same_findings_give_the_same_bytes(page):
    assert render_page(page("label_origin", "rumour")) == render_page(page("label_origin", "rumour"))


def test_rendering_leaves_the_report_as_it_was(page):
    one = page("licence", HOSTILE)
    before = json.dumps(one.report.validation.to_json_dict(), sort_keys=True, default=str)
    render_page(one)
    assert json.dumps(one.report.validation.to_json_dict(), sort_keys=True, default=str) == before


def test_the_index_has_all_sources_and_those_that_fail_first(page, tmp_path):
    publish_docs(tmp_path, page(source="a_good_one", licence=HOSTILE))
    path = publish_docs(tmp_path, page("label_origin", "rumour", source="broken"))
    publish_docs(tmp_path, page(source="a_good_one"))
    assert path == tmp_path / "raw_pairs" / "broken.html"
    index = (tmp_path / "index.html").read_text("utf-8")
    assert index.index("broken.html") < index.index("a_good_one.html")
    assert index.count("a_good_one.html") == 1
    assert "<script" not in index
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_page_that_cannot_be_written_leaves_the_old_one(page, tmp_path, monkeypatch):
    path = publish_docs(tmp_path, page())
    before = path.read_text("utf-8")
    monkeypatch.setattr("assets.durable_files.sync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        publish_docs(tmp_path, page("label_origin", "rumour"))
    assert path.read_text("utf-8") == before


def test_a_source_name_is_no_path(page, tmp_path):
    with pytest.raises(SynprefError, match="cannot name a source"):
        publish_docs(tmp_path, page(source="../up"))
