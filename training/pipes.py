"""Pipes: what a training process tells Dagster, and how any process of this room reports to a person.

Outside Dagster nothing is sent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR

from assets.errors import SynprefError
from training.distribution import place_of
from training.specs import AnySpec, load_spec

Log = Callable[[str], None]
Report = Callable[[dict], None]


@contextlib.contextmanager
def pipes_session() -> Iterator[tuple[Log, Report]]:
    """Two functions: one that logs a line, one that sends a report (JSON values) as a custom message.

    The glue that started the process reads the report with `get_custom_messages()`. Of processes that train together,
    the first one alone speaks to Dagster.
    """
    from dagster_pipes import open_dagster_pipes

    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ or not place_of(os.environ).is_first:
        yield lambda line: None, lambda report: None
        return
    with open_dagster_pipes() as context:
        yield context.log.info, context.report_custom_message


def run_spec(
    arguments: Sequence[str] | None, module: str, spec_type: type[AnySpec], work: Callable[[AnySpec, Log], dict]
) -> int:
    """The command line of a process that is given one JSON file.

    Its report goes to standard output as one line of JSON, or to Dagster when it started us.

    Args:
        arguments: of the command line; None takes the process's own.
        module: the module's name, for its help.
        spec_type: what the file must hold; see `training/specs.py`.
        work: does it and returns the report.

    Returns:
        The exit code: 0 when it did what it was asked, 1 for an error that a person can act on, whose
        sentence is written to standard error.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("spec", type=Path, help="JSON file, see training/specs.py")
    given = parser.parse_args(arguments)
    try:
        with pipes_session() as (log, send):
            report = work(load_spec(given.spec, spec_type), log)
            send(report)
        if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ and place_of(os.environ).is_first:
            print(json.dumps(report, sort_keys=True))
    except SynprefError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
