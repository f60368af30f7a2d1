"""Attribute writing: a source's stage-1 pairs get their attributes from whoever the configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from assets.llm_annotated.attributes import write_attributes
from assets.llm_annotated.llm_attributes import LlmAttributes, WrittenAttributes
from assets.llm_annotated.opening import open_models
from assets.llm_annotated.prompting.attributes_prompt import prompt_version
from assets.pool import texts_of
from assets.settings import RunSettings
from assets.workspace import Workspace

BATCH = "attributes"
"""What the money is spent on, in the request ledger."""


def attributes_of_source(workspace: Workspace, source: str) -> WrittenAttributes:
    """Attributes of every stage-1 pair of a source, within the budget."""
    settings, lake = workspace.settings, workspace.lake
    ids = lake.read("candidate_pool", ["pair_id"], (pc.field("source") == source) & (pc.field("stage") == 1))
    in_pool = pc.field("pair_id").isin(ids["pair_id"].combine_chunks())
    chosen = settings.attributes.llm
    if chosen is None:
        pairs = lake.read("pairs", ["pair_id", "prompt_id", "prompt"], in_pool, source=source)
        return WrittenAttributes(*write_attributes(pairs, max_pairs=settings.attributes.max_pairs))
    pairs = lake.read("pairs", ["pair_id", "prompt_id"], in_pool, source=source)
    prompt_of = dict(zip(pairs["pair_id"].to_pylist(), pairs["prompt_id"].to_pylist(), strict=True))

    def read(pair_ids: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        texts = texts_of(lake, pair_ids, ("prompt",))
        return {p: [(t["role"], t["content"] or "") for t in row["prompt"] or []] for p, row in texts.items()}

    with open_models(workspace) as open_model:
        writer = LlmAttributes(
            chosen.model,
            open_model(chosen),
            settings.seed,
            max(1, chosen.max_context_tokens - chosen.max_completion_tokens),
        )
        return writer.write(prompt_of, read, max_pairs=settings.attributes.max_pairs, batch=BATCH)


def attribute_inputs(settings: RunSettings) -> tuple[str, ...]:
    """For the partition's fingerprint: a language model's prompt, and what it may cost."""
    if settings.attributes.llm is None:
        return ()
    return (f"attributes prompt {prompt_version()}", settings.section_hash("budget"))
