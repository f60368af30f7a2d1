"""A strict reader of prompts: what a judge sees that takes nothing between marks for an instruction."""

import re
from dataclasses import dataclass

_ANNOUNCED = re.compile(
    r"^(?:Example \d+\.|Now the pair that you are to judge\.|The conversation\.) Delimiter.*: ([0-9a-f]{16})$"
)


@dataclass
class Seen:
    """(name, text) of the blocks of each announced delimiter, in order, and the lines outside all of them."""

    blocks: dict[str, list[tuple[str, str]]]
    outside: list[str]

    @property
    def target(self) -> dict[str, str]:
        return dict(self.blocks[list(self.blocks)[-1]])


def read_prompt(user: str) -> Seen:
    """Reads line by line, knowing of a block only that it ends with the mark of its own delimiter."""
    blocks: dict[str, list[tuple[str, str]]] = {}
    outside, lines, delimiter = [], iter(user.split("\n")), None
    for line in lines:
        if announced := _ANNOUNCED.match(line):
            delimiter = announced[1]
            blocks[delimiter] = []
        opened = re.fullmatch(rf"<(\w+) {delimiter}>", line) if delimiter else None
        if opened is None:
            outside.append(line)
            continue
        held: list[str] = []
        for inner in lines:
            if inner == f"</{opened[1]} {delimiter}>":
                break
            held.append(inner)
        else:
            raise AssertionError(f"block {opened[1]} never ends")
        blocks[delimiter].append((opened[1], "\n".join(held)))
    return Seen(blocks, outside)
