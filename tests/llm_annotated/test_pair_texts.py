"""Pair texts: what prompts need of the lake, whatever the texts hold."""

from assets.contracts import from_rows
from assets.lake import Lake
from assets.llm_annotated.attributes import rule_attributes
from assets.llm_annotated.pair_texts import KnownTexts, LakeTexts
from tests.llm_annotated.prompting.pairs import pair


def rows(source, *pairs):
    return [
        {
            "pair_id": name,
            "prompt_id": name,
            "source": source,
            "source_row": n,
            "prompt": turns,
            "response_1": f"{source} one {name}",
            "response_2": "two \0 \u202e 😀",
            "label_origin": "human",
            "meta": "{}",
        }
        for n, (name, turns) in enumerate(pairs)
    ]


def turn(content, role="user"):
    return {"role": role, "content": content}


def test_texts_come_with_their_attributes_and_rules_stand_in(tmp_path):
    lake = Lake(tmp_path)
    lake.publish(
        "pairs",
        from_rows(rows("a", ("p", [turn("Hi"), turn("Yes?", "assistant")]), ("q", [turn("Write a poem.")])), "pairs"),
        {"source": "a"},
    )
    lake.publish("pairs", from_rows(rows("b", ("p", [turn("other")]), ("r", [])), "pairs"), {"source": "b"})
    written = {
        "pair_id": "p",
        "writer": "x",
        "writer_version": "1",
        "task_category": "role playing",
        "objectivity": "subjective",
        "controversiality": "high",
        "desired_attributes": "d",
        "annotation_guideline": "g",
    }
    lake.publish("attributes", from_rows([written], "attributes"), {"source": "a"})
    with LakeTexts(lake).opened(["p", "q", "r", "missing"]) as read:
        assert set(read(["p", "q", "r", "missing"])) == {"p", "q", "r"}
        assert set(read(["q"])) == {"q"}
        texts = read(["p", "q", "r"])
    # Of a pair that two sources gave, the first counts.
    assert texts["p"].turns == (("user", "Hi"), ("assistant", "Yes?"))
    assert (texts["p"].response_1, texts["p"].response_2) == ("a one p", "two \0 \u202e 😀")
    assert texts["p"].guideline == ("role playing", "subjective", "high")
    assert texts["q"].attributes == rule_attributes([turn("Write a poem.")])
    assert texts["r"].turns == ()


def test_many_pairs_are_read_in_blocks(tmp_path):
    lake = Lake(tmp_path)
    names = [f"{n:05d}" for n in range(2_500)]
    lake.publish("pairs", from_rows(rows("a", *((n, [turn(n)]) for n in names)), "pairs"), {"source": "a"})
    with LakeTexts(lake).opened(names[::2]) as read:
        found = read(names)
    assert sorted(found) == names[::2]
    assert all(text.turns == (("user", name),) for name, text in found.items())


def test_an_empty_lake_has_no_texts(tmp_path):
    with LakeTexts(Lake(tmp_path)).opened(["p"]) as read:
        assert read(["p"]) == {}
    with LakeTexts(Lake(tmp_path)).opened([]) as read:
        assert read([]) == {}


def test_known_texts_are_given_as_they_are():
    with KnownTexts({"p": pair()}).opened(["p"]) as read:
        assert read(["p", "q"]) == {"p": pair()}
