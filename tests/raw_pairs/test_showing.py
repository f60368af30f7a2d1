"""Showing: ten pairs of a source, spread over it."""

from assets.raw_pairs.showing import positions_to_show, shown_pairs


def test_ten_pairs_are_shown(bench, two_responses):
    bench.ingest([two_responses(n) for n in range(40)])
    (manifest,) = bench.lake.manifests("pairs")
    rows = shown_pairs(bench.lake.rows_at(manifest, positions_to_show(manifest.num_rows)))
    assert len(rows) == 10
    assert len({row["pair_id"] for row in rows}) == 10
