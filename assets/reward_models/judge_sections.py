"""Judge sections of the report: the last qualification, what judging cost, and what its labels are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from assets.accounting import StageCounts
from assets.llm_annotated.drift import Drift
from assets.llm_annotated.panel_measures import Compared
from assets.llm_annotated.qualification import Qualification
from assets.reward_models import silver_ways
from assets.workspace import Workspace
from evaluation.report import judging_sections as j
from evaluation.report.sections import Judge


def judging(workspace: Workspace) -> j.Judging | None:
    """Everything about judges, as of the last round that qualified them; None before the first."""
    lake, settings = workspace.lake, workspace.settings
    for round_name in reversed(settings.round_names):
        for manifest in lake.manifests("judge_qualification", round=round_name):
            found = Qualification.from_dict(manifest.info["qualification"])
            section = section_of(found, round_name, [Drift(**one) for one in manifest.info["drift"]])
            silver, guidance, note = silver_ways.measure(workspace, round_name)
            return section.model_copy(
                update={
                    "spend": _spend(workspace),
                    "silver": _ways(silver),
                    "guidance": _ways(guidance),
                    "guidance_note": note,
                }
            )
    return None


def judges(workspace: Workspace) -> tuple[Judge, ...]:
    """The judges' table of the last round's qualification; empty before it."""
    for manifest in workspace.lake.manifests("judge_qualification", round=workspace.settings.round_names[-1]):
        return judge_rows(Qualification.from_dict(manifest.info["qualification"]))
    return ()


def judge_rows(found: Qualification) -> tuple[Judge, ...]:
    """The judges' table."""
    return tuple(
        Judge(
            name=one.judge,
            simulated=one.simulated,
            n=one.num_labels,
            accuracy=one.accuracy,
            ci95=one.interval,
            position_bias=one.position_bias,
            self_consistency=one.self_consistency,
            num_calls=one.num_calls,
            cost_usd=one.usd,
            used=one.used,
            why=one.why,
        )
        for one in found.judges
    )


def section_of(found: Qualification, round_name: str, drifts: Sequence[Drift]) -> j.Judging:
    """A qualification as a section, without what it cost to annotate."""
    measures = found.measures
    curves = [(one.judge, one.reliability) for one in found.judges if one.reliability.num]
    if measures is not None:
        curves = [("panel", measures.calibrated), ("panel before its temperature", measures.raw), *curves]
    parts = {(s.dimension, s.part): s for one in found.judges for s in one.slices}
    return j.Judging(
        round=round_name,
        weighting=found.weighting,
        calibration=found.calibration,
        judges=tuple(
            j.JudgeDetail(
                name=one.judge,
                simulated=one.simulated,
                tier=one.tier,
                used=one.used,
                weight=one.weight,
                position_bias=one.position_bias,
                position_bias_ci95=one.position_bias_interval,
                length_bias=one.length_bias,
                length_bias_ci95=one.length_bias_interval,
                order_consistency=one.order_consistency,
                ece=one.reliability.ece,
                usd_per_pair=one.usd_per_pair,
                prompt_tokens_per_pair=one.prompt_tokens_per_pair,
                cached_rate=one.cached_rate,
                num_calls=one.num_calls,
                statuses=dict(one.statuses),
            )
            for one in found.judges
        ),
        reliability=tuple(
            j.Reliability(
                name=name,
                n=curve.num,
                ece=curve.ece,
                ece_by_chance=curve.ece_by_chance,
                points=tuple((b.confidence, b.accuracy, b.num) for b in curve.bins),
            )
            for name, curve in curves
        ),
        slices=tuple(
            j.SliceRow(
                dimension=dimension,
                part=part,
                judges={
                    one.judge: (s.accuracy, s.num_labels, s.interval)
                    for one in found.judges
                    for s in one.slices
                    if (s.dimension, s.part) == (dimension, part)
                },
            )
            for dimension, part in parts
        ),
        pairs=tuple(
            j.JudgePairRow(
                first=two.judge_a,
                second=two.judge_b,
                agreement=two.agreement_rate,
                error_correlation=two.error_correlation,
                n=two.num_pairs,
            )
            for two in found.pairs
        ),
        panel=_ways(silver_ways.Ways(measures.compared, measures.num_labels, measures.num_clusters))
        if measures
        else (),
        drift=tuple(
            j.DriftRow(
                judge=one.judge,
                before=one.before,
                now=one.now,
                difference=one.difference,
                ci95=one.interval,
                n=one.num_labels,
                drifted=one.drifted,
            )
            for one in drifts
        ),
    )


def _ways(found: silver_ways.Ways) -> tuple[j.Way, ...]:
    def way(one: Compared) -> j.Way:
        return j.Way(
            name=one.name,
            n=found.num_pairs,
            num_clusters=found.num_clusters,
            accuracy=one.accuracy,
            ci95=one.interval,
            difference=one.difference,
            difference_ci95=one.difference_interval,
        )

    return tuple(way(one) for one in found.compared)


def _spend(workspace: Workspace) -> tuple[j.Spend, ...]:
    """Every batch that judges annotated, in order."""
    found = []
    for batch in (*workspace.settings.round_names, "stage_2"):
        for manifest in workspace.lake.manifests("label_events", kind="judge", batch=batch):
            info, counts = manifest.info, StageCounts.from_dict(manifest.info["counts"])
            failed: Counter[str] = Counter()
            for name, of_judge in info["counts_by_judge"].items():
                for reason, num in of_judge["dropped"].items():
                    if reason not in ("tie", "undecided"):
                        failed[f"{name}: {reason}"] += num
            found.append(
                j.Spend(
                    batch=batch,
                    usd=info["usd"],
                    num_pairs=counts.rows_in,
                    num_undecided=counts.dropped.get("undecided", 0),
                    calls_spared=info["saving"]["all"]["calls_spared"],
                    usd_spared=info["saving"]["all"]["usd_spared"],
                    over_budget=info["num_over_budget"],
                    no_verdict=dict(failed),
                )
            )
    return tuple(found)
