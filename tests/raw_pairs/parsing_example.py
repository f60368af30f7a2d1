"""What the tests of parsing share: one row parsed as the file that holds it alone."""

from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.layouts import recognise
from assets.raw_pairs.parsing import parse_row
from assets.raw_pairs.rows import DeadLetter

ENTRY = SourceEntry(name="s", paths=("x",), licence="MIT")
HI = (("user", "Hi"),)
MESSAGES = [{"role": "user", "content": "Hi"}]


def reply(text):
    return {"role": "assistant", "content": text}


def parse(row, entry=ENTRY, **options):
    """Pairs of a row, or its dead letter."""
    settings = {"overrides": entry.columns, "label_values": entry.label_values, "score_weights": entry.score_weights}
    outcome = parse_row(recognise(list(row), [row], **(settings | options)), row, entry)
    return outcome if isinstance(outcome, DeadLetter) else list(outcome.pairs)
