"""Opening: the judges and language models that a configuration names, for as long as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pyarrow.compute as pc

from assets.llm_annotated.chat import ChatModel
from assets.llm_annotated.judges import Judge, RecordedJudge, make_judges
from assets.llm_annotated.llm_judge import LlmJudge, make_llm_judge
from assets.llm_annotated.pair_texts import LakeTexts
from assets.llm_annotated.settings import JudgeSettings, LanguageModelSettings
from assets.pool import categories_of, known_truth
from assets.workspace import Workspace

OpenModel = Callable[[LanguageModelSettings], ChatModel]


@contextmanager
def open_models(workspace: Workspace) -> Iterator[OpenModel]:
    """A function that opens language models within the run's budget; all are closed when the block ends.

    Models of equal settings are one: a server is not started twice.

    Raises:
        SynprefError: a key is missing, or a server cannot be started.
    """
    # Imported where it is needed: most runs call no language model.
    from assets.llm_annotated.calling.opening import open_budget, open_chat_model

    with ExitStack() as stack:
        budget = stack.enter_context(open_budget(workspace.settings.budget, workspace.home))
        opened: dict[str, ChatModel] = {}

        def open_model(settings: LanguageModelSettings) -> ChatModel:
            key = settings.model_dump_json()
            if key not in opened:
                opened[key] = stack.enter_context(open_chat_model(settings, workspace.home, budget))
            return opened[key]

        yield open_model


@contextmanager
def open_judges(workspace: Workspace, gold_round: str) -> Iterator[tuple[Judge, ...]]:
    """The judges of the configuration, until the block ends.

    Args:
        gold_round: gold as of which round a judge may be shown, with people's edits up to then.

    Raises:
        ConfigError: a simulated judge where no truth is known.
        SynprefError: a language model cannot be reached or started.
    """
    settings, lake = workspace.settings, workspace.lake
    with ExitStack() as stack:
        make: Callable[[JudgeSettings], LlmJudge] | None = None
        if any(judge.provider == "llm" for judge in settings.judges):
            open_model = stack.enter_context(open_models(workspace))
            rows = lake.read(
                "gold", ["pair_id", "verdict"], pc.field("split") == "train", as_of_round=gold_round
            ).to_pylist()
            gold = {row["pair_id"]: row["verdict"] for row in rows}
            rounds = settings.round_names[: settings.round_names.index(gold_round) + 1]
            texts = LakeTexts(lake, rounds)

            def make(judge: JudgeSettings) -> LlmJudge:
                assert judge.llm is not None
                return make_llm_judge(
                    judge, open_model(judge.llm), texts=texts, gold=gold, voting=settings.voting, seed=settings.seed
                )

        yield make_judges(
            settings.judges,
            truth=known_truth(lake),
            recorded=lake.read("recorded_verdicts"),
            seed=settings.seed,
            category_of=categories_of(lake),
            llm=make,
        )


def judges_can_answer(workspace: Workspace) -> frozenset[str] | None:
    """Pairs that the judges can answer for; None means all. Starts no model."""
    judges = workspace.settings.judges
    if any(judge.provider != "recorded" for judge in judges):
        return None
    recorded = workspace.lake.read("recorded_verdicts")
    return frozenset().union(*(RecordedJudge(j.name, recorded, j.labellers).pair_ids for j in judges))


def judge_inputs(workspace: Workspace, gold_round: str) -> tuple[str, ...]:
    """For a partition's fingerprint: what language models are shown beside what every judge depends on."""
    from assets.llm_annotated.attribute_edits import edits_fingerprint
    from assets.llm_annotated.prompting.judge_prompt import prompt_version

    settings, lake = workspace.settings, workspace.lake
    if all(judge.provider != "llm" for judge in settings.judges):
        return ()
    rounds = settings.round_names[: settings.round_names.index(gold_round) + 1]
    attributes = sorted(f"attributes {m.partition} {m.content_hash}" for m in lake.manifests("attributes"))
    return (f"judge prompt {prompt_version()}", *attributes, *edits_fingerprint(lake, rounds))
