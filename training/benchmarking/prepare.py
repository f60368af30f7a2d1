"""Prepare: `python -m training.benchmarking.prepare ROW.json FOLDER [FILES ...]` writes a row's model and workload.

A process of its own, so that what it takes of memory is no contender's.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.errors import ConfigError, SynprefError
from training.benchmarking.pair_files import draw, encode, read_pairs
from training.benchmarking.rows import Row
from training.benchmarking.shapes import shape_config, write_model
from training.benchmarking.workload import lognormal_workload
from training.specs import load_spec


def model_folder(row: Row, folder: Path) -> Path:
    """Where a row's initial weights lie; rows of one shape share them."""
    return folder / "models" / f"{row.shape}-{'float32' if row.precision == 'float32' else 'bfloat16'}-{row.seed}"


def workload_file(row: Row, folder: Path) -> Path:
    """Where a row's pairs lie."""
    return folder / "workloads" / f"{row.key}.npz"


def prepare(row: Row, folder: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Write what is missing; returns how the workload came about.

    Args:
        files: Parquet files of real pairs, where the row asks for them.

    Raises:
        ConfigError: real pairs are asked for and no file is given.
        SynprefError: the files hold too few pairs.
    """
    model, workload = model_folder(row, folder), workload_file(row, folder)
    if not model.exists():
        unnamed = model.with_name(f".{model.name}")
        shutil.rmtree(unnamed, ignore_errors=True)
        unnamed.mkdir(parents=True)
        write_model(row.shape, unnamed, seed=row.seed, half=row.precision != "float32")
        unnamed.rename(model)
    said = workload.with_suffix(".json")
    if workload.exists() and said.exists():
        return json.loads(said.read_text())
    about: dict[str, Any] = {"num_pairs": row.num_pairs}
    if row.lengths == "lognormal":
        made = lognormal_workload(row.num_pairs, row.max_tokens, shape_config(row.shape).vocab_size, row.seed)
    else:
        if not files:
            raise ConfigError(
                f"Row {row.name} measures real pairs, and no file of pairs was given.",
                todo="give --pool FILE.parquet ...",
            )
        from training.backbones import build_backbone

        pairs, counts = read_pairs(files)
        started = time.monotonic()
        # A few more, because pairs that are equal once truncated are left out.
        drawn = draw([one.pair for one in pairs], row.num_pairs + row.num_pairs // 10 + 10, row.seed)
        made, _, truncated = encode(drawn, build_backbone(row.recipe(str(model)), [], row.seed, None))
        about |= {"pool": counts.as_dict(), "tokenise_s": round(time.monotonic() - started, 2)}
        about["truncated_pairs"] = truncated
    if len(made) < row.num_pairs:
        raise SynprefError(f"Row {row.name} takes {row.num_pairs} pairs, and the files hold {len(made)}.")
    made.take(range(row.num_pairs)).save(workload)
    said.write_text(json.dumps(about))
    return about


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; prints one line of JSON."""
    row, folder, *files = sys.argv[1:] if arguments is None else arguments
    try:
        print(json.dumps(prepare(load_spec(row, Row), Path(folder), [Path(file) for file in files])))
    except SynprefError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
