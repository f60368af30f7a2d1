"""Partitions: how the artifacts are cut. Sources are dynamic, rounds and model sizes come from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from assets.settings import RunSettings


@dataclass(frozen=True)
class Partitions:
    """Partition definitions of one configuration.

    Attributes:
        sources: one key per entry of the source catalogue.
        rounds: round_0 (the seed) to the last round.
        loop_rounds: the rounds that have a loop model, which is all but the seed.
        sizes: one key per final model.
        scored_models: models that benchmarks measure: final and raw per size, and the two of stage 2.
        scores: model by benchmark.
    """

    sources: dg.DynamicPartitionsDefinition
    rounds: dg.StaticPartitionsDefinition
    loop_rounds: dg.StaticPartitionsDefinition
    sizes: dg.StaticPartitionsDefinition
    scores: dg.MultiPartitionsDefinition
    benchmark_names: tuple[str, ...]
    size_names: tuple[str, ...]
    model_names: tuple[str, ...]

    @classmethod
    def of(cls, settings: RunSettings) -> Partitions:
        """Partitions of a configuration."""
        sizes = tuple(settings.models.final)
        benchmarks = ("gold_holdout", *(b.name for b in settings.benchmarks if b.evaluate))
        models = tuple(f"{part}-{size}" for part in ("final", "raw") for size in sizes)
        return cls(
            sources=dg.DynamicPartitionsDefinition(name="sources"),
            rounds=dg.StaticPartitionsDefinition(list(settings.round_names)),
            loop_rounds=dg.StaticPartitionsDefinition(list(settings.round_names[1:])),
            sizes=dg.StaticPartitionsDefinition(list(sizes)),
            scores=dg.MultiPartitionsDefinition(
                {
                    "model": dg.StaticPartitionsDefinition(list(models)),
                    "benchmark": dg.StaticPartitionsDefinition(list(benchmarks)),
                }
            ),
            benchmark_names=benchmarks,
            size_names=sizes,
            model_names=models,
        )

    def loop_round_of_round(self) -> dg.StaticPartitionMapping:
        """Rounds downstream of loop rounds: each round needs its own loop model, the seed round none."""
        keys = self.loop_rounds.get_partition_keys()
        return dg.StaticPartitionMapping({key: key for key in keys})
