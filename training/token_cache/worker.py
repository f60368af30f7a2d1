"""Worker: one process that tokenises parts for the process that started it, until that ends, however it ends.

It imports neither torch nor transformers, so it starts in half a second. The processes of multiprocessing would import
the module that the training was started with, and torch with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pyarrow as pa

from assets.errors import SynprefError
from training.template_tokeniser import TemplateTokeniser, TokeniserSource, run_on_one_thread
from training.token_cache.encoding import EncodedPart, PairEncoder


class Worker:
    """The parent's side."""

    def __init__(self, source: TokeniserSource) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            )
        self._connection.send(source)

    def encode(self, table: pa.Table) -> EncodedPart:
        """Tokenise rows.

        Raises:
            SynprefError: the worker has died, e.g. for lack of memory.
        """
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        try:
            self._connection.send_bytes(memoryview(sink.getvalue()))
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise SynprefError(
                f"A process that tokenises has died (exit code {self._process.poll()}).",
                kept="the segments of the token cache that are whole",
                todo="look for lack of memory, then run again: it goes on where it stopped",
            ) from error

    def close(self) -> None:
        """End the process; it is idle, or nobody wants its work."""
        self._process.kill()
        self._process.wait()
        self._connection.close()


def main(arguments: Sequence[str]) -> int:
    """Serve the connection whose descriptor is given."""
    run_on_one_thread()
    with Connection(int(arguments[0])) as connection:
        try:
            source: TokeniserSource = connection.recv()
            encoder = PairEncoder(TemplateTokeniser(source))
            while True:
                connection.send(encoder.encode(pa.ipc.open_stream(connection.recv_bytes()).read_all()))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
