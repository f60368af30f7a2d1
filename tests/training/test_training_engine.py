"""Engine: what precision keeps and loses, accumulation, and a state that goes on exactly where it was taken."""

from __future__ import annotations

import pytest
import torch

from assets.errors import SynprefError
from training.engine import LocalEngine, is_bfloat16
from training.recipe import TrainingRecipe

RATE = 1e-3


def recipe(**changes) -> TrainingRecipe:
    return TrainingRecipe(**{"backbone": "pretrained", "max_grad_norm": 1e9, "weight_decay": 0.0, **changes})


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1))
    module.register_buffer("frequencies", torch.tensor([1 / 3]))
    return module


def inputs(seed: int) -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


def take(engine: LocalEngine, module: torch.nn.Module, seed: int, parts: int = 1) -> float:
    x = inputs(seed)
    for at, part in enumerate(x.chunk(parts)):
        out = engine.forward(module, part.to(next(module.parameters()).dtype))
        engine.backward(out.float().square().sum() / len(x), last=at == parts - 1)
    return engine.step(RATE)


def weights(engine: LocalEngine) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in engine.state() if name.startswith("weights/")}


def one_weight(value: float) -> torch.nn.Module:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, value)
    return module


@pytest.mark.parametrize(
    ("precision", "with_masters", "moved"), [("bfloat16", True, True), ("bfloat16_weights", False, False)]
)
def test_updates_below_bfloat16s_resolution_are_kept_by_masters_alone(precision, with_masters, moved):
    # bfloat16's neighbours of 1 lie 1/128 above and 1/256 below: a step of 1e-4 is always lost in it.
    module = one_weight(1.0)
    engine = LocalEngine(module, recipe(precision=precision), with_masters=with_masters)
    assert is_bfloat16(module)
    for _ in range(100):
        engine.backward(-module.weight.float().sum(), last=True)
        engine.step(1e-4)
    kept = dict(engine.state())["weights/weight"].item()
    assert (kept == pytest.approx(1.01, abs=1e-4)) is moved
    assert (kept == 1.0) is not moved
    assert (module.weight.item() == 1 + 1 / 128) is moved


def test_masters_start_from_the_weights_as_loaded_and_buffers_keep_their_precision():
    module = network()
    loaded = {f"weights/{name}": p.detach().clone() for name, p in module.named_parameters()}
    engine = LocalEngine(module, recipe(precision="bfloat16"), with_masters=True)
    held = weights(engine)
    assert all(torch.equal(held[name], loaded[name]) for name in loaded)
    assert module.frequencies.dtype == torch.float32
    # What computes is the masters, rounded.
    take(engine, module, 1)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, dict(engine.state())[f"weights/{name}"].to(torch.bfloat16)), name


def test_masters_follow_float32_within_rounding_of_the_gradients():
    plain, rounded = network(), network()
    one = LocalEngine(plain, recipe())
    two = LocalEngine(rounded, recipe(precision="bfloat16"), with_masters=True)
    norms = [(take(one, plain, seed), take(two, rounded, seed)) for seed in range(20)]
    assert all(b == pytest.approx(a, rel=0.05) for a, b in norms)
    first = weights(one)
    for name, tensor in weights(two).items():
        torch.testing.assert_close(tensor, first[name], atol=3e-3, rtol=0)


def test_many_small_gradients_are_summed_in_float32():
    module = one_weight(0.0)
    engine = LocalEngine(module, recipe(precision="bfloat16"), with_masters=True)
    parts = [256.0] + [1.0] * 100
    for at, part in enumerate(parts):
        engine.backward(module.weight.sum() * part, last=at == len(parts) - 1)
    # In bfloat16 256 + 1 is 256.
    assert engine.step(RATE) == 356.0


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16_weights"])
def test_parts_of_a_step_give_the_whole_steps_norm(precision):
    norms = []
    for parts in (1, 3):
        module = network()
        norms.append(
            take(
                LocalEngine(module, recipe(precision=precision), with_masters=precision == "bfloat16"), module, 1, parts
            )
        )
    assert norms[0] == pytest.approx(norms[1], rel=1e-5 if precision == "float32" else 2e-2)


def test_clipping_scales_what_adam_sees_and_the_norm_is_of_before():
    module = one_weight(0.0)
    engine = LocalEngine(module, recipe(max_grad_norm=0.5))
    engine.backward(module.weight.sum() * 4.0, last=True)
    assert engine.step(RATE) == 4.0
    state = dict(engine.state())
    assert state["exp_avg/weight"].item() == pytest.approx(0.1 * 0.5, rel=1e-5)
    assert state["exp_avg_sq/weight"].item() == pytest.approx(0.001 * 0.25, rel=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_norm_that_is_not_finite_updates_nothing(bad):
    module = network()
    engine = LocalEngine(module, recipe())
    before = weights(engine)
    engine.backward(module(inputs(0)).sum() * bad, last=True)
    engine.step(RATE)
    after = weights(engine)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert take(engine, module, 1) < 1e9


@pytest.mark.parametrize(
    ("precision", "with_masters"), [("float32", False), ("bfloat16", True), ("bfloat16_weights", False)]
)
def test_a_state_goes_on_exactly_where_it_was_taken(precision, with_masters):
    calm, resumed = network(0), network(1)
    one = LocalEngine(calm, recipe(precision=precision), with_masters=with_masters)
    for seed in range(3):
        take(one, calm, seed)
    state = dict(one.state())
    assert {tensor.dtype for name, tensor in state.items() if name != "num_updates"} == {torch.float32}
    assert state["num_updates"].item() == 3
    two = LocalEngine(resumed, recipe(precision=precision), with_masters=with_masters)
    take(two, resumed, 9)
    two.load_state(state)
    for seed in range(3, 6):
        assert take(one, calm, seed) == take(two, resumed, seed)
    ends = dict(one.state()), dict(two.state())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert all(torch.equal(a, b) for a, b in zip(calm.parameters(), resumed.parameters(), strict=True))
    # Copies: three more steps have not changed what was taken.
    assert state["num_updates"].item() == 3
    assert not torch.equal(state["weights/0.weight"], ends[0]["weights/0.weight"])


def test_a_state_taken_before_the_first_step_is_loaded():
    one, two = LocalEngine(network(0), recipe()), LocalEngine(network(1), recipe())
    two.load_state(dict(one.state()))
    assert all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(two).items())


def drop(state):
    del state["exp_avg/0.bias"]


def add(state):
    state["weights/9.weight"] = torch.zeros(1)


def reshape(state):
    state["weights/0.weight"] = torch.zeros(4, 8)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop, "missing, e.g. exp_avg/0.bias"),
        (add, "unknown, e.g. weights/9"),
        (reshape, "another shape, e.g. weights/0.weight"),
    ],
)
def test_the_state_of_another_model_is_refused(damage, said):
    engine = LocalEngine(network(), recipe())
    state = dict(engine.state())
    damage(state)
    with pytest.raises(SynprefError, match=said):
        engine.load_state(state)


def test_only_what_requires_gradients_is_in_the_state_and_trained():
    module = network()
    module[0].requires_grad_(False)
    engine = LocalEngine(module, recipe())
    frozen = module[0].weight.clone()
    take(engine, module, 0)
    assert torch.equal(module[0].weight, frozen)
    assert {name.split("/")[1] for name in dict(engine.state()) if "/" in name} == {"2.weight", "2.bias"}
    assert engine.weights().keys() == module.state_dict().keys()


def test_a_module_without_a_trained_weight_is_refused():
    with pytest.raises(SynprefError, match="no weight that is trained"):
        LocalEngine(network().requires_grad_(False), recipe())
