"""Table: the measurements of a row, summed up as medians with their spread, and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from assets.errors import SynprefError
from training.benchmarking.rows import Row

Run = Mapping[str, Any]


def pairs_per_second(run: Run) -> float:
    """Pairs of the timed steps by their seconds."""
    return run["num_pairs"] / sum(run["step_s"])


def fastest_micro_batch(runs: Sequence[Run], key: str) -> int:
    """The batch on the device with which TRL was fastest.

    Raises:
        SynprefError: it could be measured with none.
    """
    tried = [run for run in runs if run["row"] == key and run["tuning"] and "error" not in run]
    if not tried:
        raise SynprefError("TRL ran with no batch size that was tried.", todo="try smaller ones (--trl-micro-batches)")
    return max(tried, key=pairs_per_second)["micro_batch"]


def summarise(row: Row, runs: Sequence[Run]) -> dict[str, Any]:
    """A row's result.

    Returns:
        Settings, `tuning` (TRL's pairs/s by batch size; None where it failed) and `contenders`: each with the median
        and range over its repeats.
    """
    mine = [run for run in runs if run["row"] == row.key]
    tried = {run["micro_batch"]: None if "error" in run else pairs_per_second(run) for run in mine if run["tuning"]}
    contenders = {}
    for name in row.contenders:
        timed = [run for run in mine if run["contender"] == name and not run["tuning"]]
        if timed:
            contenders[name] = _summary(timed)
    return {"row": row.name, "settings": row.model_dump(mode="json"), "tuning": tried, "contenders": contenders}


def _summary(timed: Sequence[Run]) -> dict[str, Any]:
    rates = [pairs_per_second(run) for run in timed]
    shares = [run["flops"] / sum(run["step_s"]) / run["matrix_peak_flops"] for run in timed]
    one = timed[0]
    # Positions computed where nothing was shared or padded: the tokens of both rows.
    computed = one["computed_positions"]
    return {
        "repeats": len(timed),
        "pairs_per_s": median(rates),
        "pairs_per_s_range": [min(rates), max(rates)],
        # What a busy machine leaves as it is: threads that wait for a core take none of its time.
        "pairs_per_cpu_s": median(run["num_pairs"] / run["cpu_s"] for run in timed),
        "tokens_per_s": median(run["tokens"] / sum(run["step_s"]) for run in timed),
        "share_of_peak": median(shares),
        "share_of_peak_range": [min(shares), max(shares)],
        "matrix_peak_tflops": median(run["matrix_peak_flops"] for run in timed) / 1e12,
        "peak_memory_gb": max(run["peak_memory_bytes"] for run in timed) / 1e9,
        "startup_s": median(run["startup_s"] for run in timed),
        "tokens": one["tokens"],
        "shared_tokens": one["shared_tokens"],
        "computed_positions": computed,
        "positions_per_token": computed / one["tokens"],
        "step_pairs": one["step_pairs"],
        "micro_batch": one["micro_batch"],
        "losses": one["losses"],
        "load_before": [run["load_before"] for run in timed],
        "device": one["device"],
    }


def render(found: Sequence[Mapping[str, Any]]) -> str:
    """Results as text: a table in Markdown, then each row's loss curves where two read the same batches."""
    lines = [
        "| row | contender | pairs/s (range) | tokens/s | share of peak "
        "| positions per token | memory GB | start-up s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for row in found:
        for name, one in row["contenders"].items():
            low, high = one["pairs_per_s_range"]
            said = f"{name}, {one['micro_batch']} a batch" if name == "trl_tuned" else name
            lines.append(
                f"| {row['row']} | {said} | {one['pairs_per_s']:.2f} ({low:.2f} to {high:.2f}) "
                f"| {one['tokens_per_s']:,.0f} | {one['share_of_peak']:.3f} | {one['positions_per_token']:.2f} "
                f"| {one['peak_memory_gb']:.1f} | {one['startup_s']:.0f} |"
            )
        notes += _notes(row)
    return "\n".join([*lines, "", *notes])


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = []
    contenders = row["contenders"]
    for name, one in contenders.items():
        if name != "ours" and "ours" in contenders:
            ratio = contenders["ours"]["pairs_per_s"] / one["pairs_per_s"]
            of_cpu = contenders["ours"]["pairs_per_cpu_s"] / one["pairs_per_cpu_s"]
            said = f", and {of_cpu:.2f} times the pairs per second of CPU time" if "CPU" in one["device"] else ""
            notes.append(f"{row['row']}: ours has {ratio:.2f} times the pairs/s of {name}{said}.")
    if row["tuning"]:
        tried = ", ".join(
            f"{size}: {'failed' if rate is None else f'{rate:.2f}'}" for size, rate in sorted(row["tuning"].items())
        )
        notes.append(f"{row['row']}: TRL's pairs/s by pairs a batch: {tried}.")
    curves = {name: contenders[name]["losses"] for name in ("ours", "trl_tuned") if name in contenders}
    if len(curves) == 2 and curves["ours"]:
        for name, losses in curves.items():
            notes.append(f"{row['row']}: loss of {name}: {' '.join(f'{loss:.4f}' for loss in losses)}")
        largest = max(abs(a - b) for a, b in zip(curves["ours"], curves["trl_tuned"], strict=True))
        notes.append(f"{row['row']}: largest difference of the two curves {largest:.5f}.")
    if contenders:
        one = next(iter(contenders.values()))
        loads = ", ".join(f"{name} {' '.join(map(str, each['load_before']))}" for name, each in contenders.items())
        notes.append(
            f"{row['row']}: on {one['device']}, matrix rate {one['matrix_peak_tflops']:.3g} TFLOP/s measured beside; "
            f"sharing prompts saves {1 - one['shared_tokens'] / one['tokens']:.1%} of tokens; "
            f"load of the machine before each repeat: {loads}."
        )
    return notes
