"""Pipes: what a training process tells Dagster, and how any process of this room reports to a person.

Outside Dagster nothing is sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR

from assets.errors import SynprefError

Report = Callable[[dict], None]


@contextlib.contextmanager
def pipes_session() -> Iterator[tuple[Callable[[str], None], Report]]:
    """Two functions: one that logs a line, one that sends a report (JSON values) as a custom message.

    The glue that started the process reads the report with `get_custom_messages()`.
    """
    from dagster_pipes import open_dagster_pipes

    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        yield lambda line: None, lambda report: None
        return
    with open_dagster_pipes() as context:
        yield context.log.info, context.report_custom_message


def run_command(work: Callable[[], dict]) -> int:
    """Run a process's work; its report goes to standard output as one line of JSON, or to Dagster when it started us.

    Returns:
        The exit code: 0 when it did what it was asked, 1 for an error that a person can act on, whose
        sentence is written to standard error.
    """
    try:
        report = json.dumps(work(), sort_keys=True)
        if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
            print(report)
    except SynprefError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
