"""A pool is refused while something in it has not been compared."""

from pathlib import Path

import pytest

from assets.contracts import from_rows
from assets.errors import MissingUpstreamError
from assets.identity import identify_pair
from assets.lake import Lake
from assets.raw_pairs.overlap.decontaminate import decontaminate
from assets.raw_pairs.overlap.freshness import cluster_inputs, current_sketches, require_compared, sketch_inputs
from assets.raw_pairs.overlap.near_duplicates import PAIRS, PROMPTS, find_clusters
from assets.raw_pairs.overlap.sketches import sketch_source
from assets.settings import REPOSITORY, BenchmarkSettings, load_settings


class Compared:
    """A lake whose pairs are compared step by step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake = folder, Lake(folder / "lake")
        settings = load_settings(REPOSITORY / "configs" / "sample.yaml")
        self.settings = settings.model_copy(update={"benchmarks": (BenchmarkSettings(name="bench", path="x"),)})

    def publish_pairs(self, *prompts):
        rows = []
        for number, prompt in enumerate(prompts):
            ids = identify_pair([("user", prompt)], "yes", "no")
            turns = [{"role": "user", "content": prompt}]
            texts = {"prompt": turns, "response_1": "yes", "response_2": "no"}
            rows.append(
                {"pair_id": ids.pair_id, "prompt_id": ids.prompt_id, "source": "s", "source_row": number, **texts}
            )
        self.lake.publish("pairs", from_rows(rows, "pairs"), {"source": "s"})

    def publish_benchmark(self, *prompts):
        rows = [
            {"benchmark": "bench", "item_id": str(n), "prompt": [{"role": "user", "content": p}], "responses": []}
            for n, p in enumerate(prompts)
        ]
        self.lake.publish("benchmark_items", from_rows(rows, "benchmark_items"), {"benchmark": "bench"})

    def look_for_contamination(self):
        (pairs,) = self.lake.manifests("pairs")
        decontaminate(self.lake, pairs, self.lake.manifests("benchmark_items"), self.settings)

    def sketch(self):
        (pairs,) = self.lake.manifests("pairs")
        sketch_source(self.lake, pairs, sketch_inputs(self.settings, pairs))

    def cluster(self):
        pairs = self.lake.manifests("pairs")
        for kind in (PAIRS, PROMPTS):
            sketches = current_sketches(self.lake, kind.sketches, self.settings, pairs)
            found = find_clusters(self.lake, kind, pairs, sketches, 0.8, self.folder)
            self.lake.publish(kind.clusters, found.table, inputs=cluster_inputs(self.settings, sketches))

    def require(self):
        require_compared(self.lake, self.settings, self.lake.manifests("pairs"))


@pytest.fixture
def compared(tmp_path):
    compared = Compared(tmp_path)
    compared.publish_pairs("one question", "another question")
    compared.publish_benchmark("a third question")
    compared.look_for_contamination()
    compared.sketch()
    compared.cluster()
    return compared


def test_a_pool_that_is_compared_whole_may_be_made(compared):
    compared.require()


def test_without_sources_nothing_is_missing(tmp_path):
    Compared(tmp_path).require()


def test_what_is_missing_is_named_step_by_step(tmp_path):
    compared = Compared(tmp_path)
    compared.publish_pairs("one question")
    compared.publish_benchmark("a third question")
    for artifact, step in (
        (r"contamination_hits\[s\]", compared.look_for_contamination),
        (r"text_sketches\[s\]", compared.sketch),
        ("pair_clusters", compared.cluster),
    ):
        with pytest.raises(MissingUpstreamError, match=artifact):
            compared.require()
        step()
    compared.require()


def test_pairs_that_came_later_are_not_passed_by(compared):
    compared.publish_pairs("one question", "another question", "a third question")
    with pytest.raises(MissingUpstreamError, match="contamination_hits"):
        compared.require()
    compared.look_for_contamination()
    with pytest.raises(MissingUpstreamError, match="text_sketches"):
        compared.cluster()
    compared.sketch()
    with pytest.raises(MissingUpstreamError, match="clusters"):
        compared.require()


@pytest.mark.parametrize("change", [{"ngram": 12}, {"compare": "last_turns"}, {"max_benchmark_prompts": 3}])
def test_hits_of_other_settings_do_not_count(compared, change):
    chosen = compared.settings.decontamination.model_copy(update=change)
    compared.settings = compared.settings.model_copy(update={"decontamination": chosen})
    with pytest.raises(MissingUpstreamError, match="contamination_hits"):
        compared.require()
    compared.look_for_contamination()
    compared.require()


def test_a_benchmark_that_was_not_read_is_asked_for(compared):
    more = (*compared.settings.benchmarks, BenchmarkSettings(name="other", path="x"))
    compared.settings = compared.settings.model_copy(update={"benchmarks": more})
    with pytest.raises(MissingUpstreamError, match="benchmark_items"):
        compared.require()


def test_a_benchmark_that_changed_must_be_looked_for_again(compared):
    compared.publish_benchmark("a third question", "one question")
    with pytest.raises(MissingUpstreamError, match="bench"):
        compared.require()
    compared.look_for_contamination()
    compared.require()
