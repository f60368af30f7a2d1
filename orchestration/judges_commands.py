"""The command line's `judges`: what the configured judges are worth on gold dev, and what examples do for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.errors import ConfigError
from assets.workspace import Workspace
from orchestration.options import SAMPLE_CONFIG, ConfigOption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assets.llm_annotated.guidance_comparison import GuidanceComparison
    from assets.llm_annotated.judging import Judge
    from assets.llm_annotated.qualification import Qualification
    from assets.llm_annotated.settings import Guidance

judges_app = typer.Typer(no_args_is_help=True, help="Judges: measured on gold dev before they label anything.")


@judges_app.callback()
def _judges() -> None:
    """A group even while it holds one command."""


@judges_app.command("qualify")
def qualify_command(
    config: ConfigOption = SAMPLE_CONFIG,
    round_name: Annotated[
        str | None, typer.Option("--round", help="Gold as of this round; by default the last that has gold.")
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(
            help="none, random or retrieved in place of the configuration's; compare: all three side by side."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML page to write; by default reports/judges.html under the home.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before calls are paid for.")] = False,
) -> None:
    """Ask every configured judge about gold dev and say what it is worth: a dry run that changes no round.

    Calls to language models are paid for once: what a round has asked already is not asked again, and the other way
    round.
    """
    from assets.llm_annotated.cascade import plans_of
    from assets.llm_annotated.gold_dev import facts_of_pairs, qualification_batch, read_gold_dev
    from assets.llm_annotated.guidance import guide
    from assets.llm_annotated.guidance_comparison import WAYS, compare_guidance, planned_calls
    from assets.llm_annotated.opening import open_judges
    from evaluation.files import write_text

    workspace = Workspace(config)
    settings, lake = workspace.settings, workspace.lake
    round_name = _round_with_gold(workspace, round_name)
    dev = read_gold_dev(lake, round_name)
    pairs = dev["pair_id"].to_pylist()
    ways: tuple[Guidance, ...] = WAYS if guidance == "compare" else (_way(guidance or settings.voting.guidance),)
    examples: dict[str, Mapping[str, Sequence[str]]] = {
        way: guide(workspace, pairs, round_name, guidance=way) for way in ways
    }
    plans = plans_of(settings.judges)
    with open_judges(workspace, round_name) as judges:
        usd = {
            judge.name: sum(
                judge.estimate_usd(planned_calls(judge, pairs, plans[judge.name].votes(settings.voting), examples[way]))
                for way in ways
            )
            for judge in judges
        }
        _confirm(judges, usd, num_pairs=len(pairs), ask=not yes)
        found = compare_guidance(
            judges,
            dev,
            settings.voting,
            examples,
            plans=plans,
            facts=facts_of_pairs(lake, pairs),
            batch=qualification_batch(round_name),
        )
    for line in describe(found.by_way[ways[-1]], round_name, ways[-1]):
        typer.echo(line)
    if len(ways) > 1:
        for line in describe_ways(found):
            typer.echo(line)
    path = out or workspace.reports / "judges.html"
    write_text(path, _page(settings.name, round_name, ways[-1], found))
    typer.echo(f"page: {path}")


def _page(name: str, round_name: str, way: str, found: GuidanceComparison) -> str:
    from assets.reward_models.judge_sections import judge_rows, section_of
    from evaluation.report.judges_page import Difference, render_judges_page
    from evaluation.report.sections import LabelAccuracy

    ways: dict[str, dict[str, LabelAccuracy]] = {}
    for one in found.measures:
        ways.setdefault(one.judge, {})[one.way] = LabelAccuracy(
            n=one.num_pairs, accuracy=one.accuracy, ci95=one.interval, num_clusters=one.num_clusters
        )
    differences: dict[str, dict[tuple[str, str], Difference]] = {}
    for two in found.differences:
        differences.setdefault(two.judge, {})[two.first, two.second] = two.difference, two.interval
    qualified = found.by_way[way]
    return render_judges_page(
        name, way, judge_rows(qualified), section_of(qualified, round_name, []), ways, differences
    )


def _way(name: str) -> Guidance:
    if name not in ("none", "random", "retrieved"):
        raise ConfigError(f"{name!r} is no guidance.", where="--guidance", todo="none, random, retrieved or compare")
    return name  # type: ignore[return-value]


def _round_with_gold(workspace: Workspace, round_name: str | None) -> str:
    """The named round, or the last that has gold."""
    known = [name for name in workspace.settings.round_names if workspace.lake.manifests("gold", as_of_round=name)]
    if round_name is None and known:
        return known[-1]
    if round_name not in known:
        raise ConfigError(
            f"There is no gold as of {round_name or 'any round'} yet, and judges are measured on gold dev.",
            where=str(workspace.lake_root),
            todo="run the pipeline to gold first: synpref run --to gold",
        )
    return round_name


def _confirm(judges: Sequence[Judge], usd: Mapping[str, float], *, num_pairs: int, ask: bool) -> None:
    """Say what it will cost at most, and ask where a language model is to be paid."""
    typer.echo(f"Gold dev holds {num_pairs} pairs. Estimate, at most:")
    for judge in judges:
        note = " (simulated: counted, not paid)" if judge.simulated else ""
        typer.echo(f"  {judge.name}: ${usd[judge.name]:.2f}{note}")
    to_pay = sum(usd[judge.name] for judge in judges if not judge.simulated)
    if to_pay and ask and not typer.confirm(f"Ask them for ${to_pay:.2f} at most?"):
        raise typer.Exit(1)


def describe(found: Qualification, round_name: str, way: str) -> list[str]:
    """A qualification as lines for a terminal."""

    def number(value: float | None, form: str = ".3f") -> str:
        return "-" if value is None else format(value, form)

    def between(ends: Sequence[float] | None) -> str:
        return f"{ends[0]:.3f}-{ends[1]:.3f}" if ends else "no interval"

    lines = [f"Judges on gold dev as of {round_name}, examples: {way}"]
    for one in found.judges:
        reasons = ", ".join(f"{status} {n}" for status, n in one.statuses.items())
        lines += [
            f"{one.judge}, tier {one.tier}: {one.why}",
            f"    accuracy {number(one.accuracy)} ({between(one.interval)}, {one.num_labels} labels, "
            f"{one.num_clusters} prompts), weight {one.weight:.2f}, ECE {number(one.reliability.ece)}",
            f"    place bias {number(one.position_bias, '+.3f')}, length bias {number(one.length_bias, '+.3f')} "
            f"({between(one.length_bias_interval)}), same call again {number(one.self_consistency)}, "
            f"both orders {number(one.order_consistency)}",
            f"    {one.num_calls} calls, ${one.usd:.4f}, ${one.usd_per_pair:.5f} a pair"
            + (f", {one.prompt_tokens_per_pair:.0f} prompt tokens a pair" if one.prompt_tokens_per_pair else "")
            + (f", {one.cached_rate:.0%} of them cached" if one.cached_rate is not None else "")
            + (f"; without a verdict: {reasons}" if reasons else ""),
        ]
    lines.append(f"Weights: {found.weighting}. {found.calibration}")
    if found.measures is not None:
        panel = found.measures
        lines.append(
            f"Panel: {number(panel.accuracy)} right ({between(panel.interval)}) on the {panel.num_decided} of "
            f"{panel.num_labels} pairs it decides; ECE {number(panel.calibrated.ece)}"
        )
        for way_of in panel.compared:
            less = "" if way_of.difference is None else f"; the panel less this: {way_of.difference:+.3f}"
            ends = way_of.difference_interval
            less += f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
            lines.append(f"    {way_of.name}: {way_of.accuracy:.3f} ({between(way_of.interval)}){less}")
    return lines


def describe_ways(found: GuidanceComparison) -> list[str]:
    """The ways of guidance side by side as lines for a terminal."""
    lines = ["Guidance, share right on gold dev; a pair without a side counts half:"]
    for name in dict.fromkeys(one.judge for one in found.measures):
        shares = ", ".join(f"{one.way} {one.accuracy:.3f}" for one in found.measures if one.judge == name)
        lines.append(f"{name}: {shares}")
        for one in found.differences:
            if one.judge == name:
                ends = f"{one.interval[0]:+.3f} to {one.interval[1]:+.3f}" if one.interval else "no interval"
                lines.append(f"    {one.first} less {one.second}: {one.difference:+.3f} ({ends})")
    return lines
