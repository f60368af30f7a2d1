"""Showing: ten pairs of a source, spread over it."""

from assets.raw_pairs.showing import positions_to_show, shown_pairs


def test_ten_pairs_are_shown(bench, two_responses):
    bench.ingest([two_responses(n) for n in range(40)])
    (manifest,) = bench.lake.manifests("pairs")
    rows = shown_pairs(bench.lake.rows_at(manifest, positions_to_show(manifest.num_rows)))
    assert [row[""] for row in rows] == ["last turn", "response 1", "response 2"] * 10
    assert len({row["pair"] for row in rows}) == 11, "ten pairs are named, once each"


def test_what_is_wrong_with_a_pair_is_shown_with_it(bench, two_responses):
    bench.ingest([two_responses(1, response_b="1.")])
    (manifest,) = bench.lake.manifests("pairs")
    assert shown_pairs(bench.lake.rows_at(manifest, [0]))[-1] == {"pair": "", "": "problem", "text": "equal_responses"}
