"""The plan of a run: what it reads from a compiled step, and what it says."""

import re
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from acae_jax import config as configs
from acae_jax.estimation import building, initial

sys.path.insert(0, str(Path(__file__).parents[2] / "launch"))
import plan
from planning import compiled, costs, input_speed, machines, traced

CONFIG = "configs/estimation/dozens.py"
TEXT = """HloModule jit_step, is_scheduled=true

%fused (p.0: bf16[16,24], p.1: f32[24]) -> bf16[16,24] {
  %p.0 = bf16[16,24]{1,0:T(8,128)(2,1)} parameter(0)
  %p.1 = f32[24]{0:T(128)} parameter(1)
  ROOT %mul = bf16[16,24]{1,0:T(8,128)(2,1)} multiply(%p.0, %p.0)
}

%body (s: (s32[], f32[2048])) -> (s32[], f32[2048]) {
  %s = (s32[], f32[2048]{0}) parameter(0)
  %g = f32[2048]{0} get-tuple-element(%s), index=1
  %n = f32[2048]{0} negate(%g), metadata={op_name="jit(step)/loop/neg"}
  ROOT %t = (s32[], f32[2048]{0}) tuple(%g, %n)
}

ENTRY %main (x: bf16[16,24], w: f32[24], b: f32[2048]) -> bf16[16,24] {
  %x = bf16[16,24]{1,0:T(8,128)(2,1)} parameter(0)
  %w = f32[24]{0:T(128)} parameter(1)
  %b = f32[2048]{0} parameter(2)
  %fast = bf16[16,24]{1,0:T(8,128)(2,1)S(1)} copy(%x), metadata={op_name="jit(step)/copy"}
  %act = bf16[16,24]{1,0:T(8,128)(2,1)} fusion(%fast, %w), calls=%fused, metadata={op_name="act"}
  %sum = (f32[24]{0:T(128)}, f32[]{:T(128)}) all-reduce(%w, %c), to_apply=%add
  %gs = (bf16[4,8]{1,0}, bf16[16,8]{1,0}) all-gather-start(%act), dimensions={0}
  %gd = bf16[16,8]{1,0} all-gather-done(%gs)
  %loop = (s32[], f32[2048]{0}) while(%init), body=%body, config={"known_trip_count":{"n":"3"}}
  ROOT %out = bf16[16,24]{1,0:T(8,128)(2,1)} add(%act, %fast)
}
"""


def test_collectives_and_their_bytes_are_read_from_the_text():
    found = compiled.collectives(compiled.parse(TEXT))
    assert found == [("all-reduce", 2, 4 * 128 + 4), ("all-gather", 1, 2 * 16 * 8)]


def test_traffic_counts_main_memory_with_padding_and_turns_of_loops():
    tile = 16 * 128 * 2  # 24 channels are padded to 128
    program = compiled.parse(TEXT)
    entry = {one.name: one for one in program["ENTRY"]}
    assert entry["x"].results[0].bytes == tile
    assert entry["fast"].results[0].space == 1
    counted = compiled.traffic(program)
    exchanged = (512 + 4) + 512 + tile + 2 * 16 * 8
    copy, fusion, add, loop = tile, tile + 512, 2 * tile, 3 * 2 * 8192
    assert counted == copy + fusion + add + loop + exchanged


def test_the_largest_temporaries_name_their_source():
    found = compiled.temporaries(compiled.parse(TEXT), count=2)
    assert [(buffer.shape, source) for buffer, source in found] == [
        ("f32[2048]", "jit(step)/loop/neg"),
        ("bf16[16,24]", "act"),
    ]


def test_a_text_without_a_program_is_an_error():
    with pytest.raises(ValueError, match="no ENTRY"):
        compiled.parse("nothing")


def test_traced_cost_of_two_products_with_a_fused_activation():
    def function(x, a, b):
        return jnp.tanh(x @ a) @ b

    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 16), (16, 32), (32, 4))]
    cost = traced.cost(function, *shapes)
    assert cost.flops == 2 * 8 * 16 * 32 + 2 * 8 * 32 * 4
    x, a, b, hidden, out = 8 * 16, 16 * 32, 32 * 4, 8 * 32, 8 * 4
    first, activation, second, result = x + a + hidden, 2 * hidden, hidden + b + out, 2 * out
    assert cost.bytes == 4 * (first + activation + second + result)
    assert cost.peak_bytes == 4 * (x + a + b + 2 * hidden)


def narrow_step(devices):
    config = configs.load(f"{CONFIG}:runlocal")
    computation = initial.computation(config)
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
    place = costs.parallel_shapes
    state = place(jax.eval_shape(computation.init, jax.random.key(0)), mesh, PartitionSpec())
    batch = building.abstract_batch(config.data, computation.union)
    batch = place(batch, mesh, PartitionSpec("data"))
    return jax.jit(partial(computation.update, 0), donate_argnums=0).lower(state, batch).compile()


def test_on_eight_devices_gradients_are_reduced_once_and_nothing_is_gathered():
    found = compiled.collectives(compiled.parse(narrow_step(8).as_text()))
    assert {one.kind for one in found} == {"all-reduce"}
    loss, rest = found  # the counts and sums that the gradient divides by; then all others at once
    assert loss.bytes < 100
    assert rest.bytes > 1e5


def test_the_tpu_compiler_agrees():
    pytest.importorskip("libtpu")
    topology = machines.topology("v5e:2x2")
    config = configs.load(f"{CONFIG}:runlocal")
    cost = costs.compiled_cost(config, initial.computation(config), topology)
    assert cost.fits
    assert cost.state < cost.memory < topology.machine.memory
    assert cost.bytes > cost.state


def test_the_tpu_compiler_refuses_a_batch_and_another_is_proposed():
    pytest.importorskip("libtpu")
    topology = machines.topology("v5e:2x4")
    config = configs.load(f"{CONFIG}:runlocal", ["data.quota_scale=1500"])
    cost = costs.compiled_cost(config, initial.computation(config), topology)
    assert not cost.fits
    assert "crops do: --config.data.quota_scale=" in plan.table(config, topology, cost, 100.0)


@pytest.mark.parametrize(
    ("said", "gibibytes"),
    [
        ("Ran out of memory in memory space hbm. Used 18.40G of 15.75G hbm. Exceeded", 18.4),
        ("memory required for HLO temporaries (512M) exceeds available HBM (15.75G).", 0.5),
    ],
)
def test_what_a_refused_program_needs_is_read_from_the_error(said, gibibytes):
    assert costs.needed_bytes(RuntimeError(f"RESOURCE_EXHAUSTED: {said}")) == gibibytes * 2**30
    with pytest.raises(ValueError, match=r"refused: no such option$"):
        costs.needed_bytes(RuntimeError("no such option\nstack"))


def test_quotas_are_scaled_until_every_chip_has_whole_ghost_groups():
    config = configs.load(CONFIG)
    for chips, scale in ((4, 1), (8, 1), (16, 2), (256, 32), (12, 3)):
        assert plan.filled(config, chips).data.quota_scale == scale
    doubled = configs.load(CONFIG, ["data.quota_scale=2"])
    assert plan.filled(doubled, 4) is doubled


def test_a_batch_that_does_not_fit_comes_with_one_that_does():
    topology = machines.topology("v5e:2x2")
    config = configs.load(CONFIG, ["data.quota_scale=4"])
    cost = costs.Cost(1e9, 30e9, 0, 0, 0, fits=False)
    said = plan.table(config, topology, cost, 100.0)
    assert "256 crops do: --config.data.quota_scale=2" in said
    assert "in 2 parts, one after another, these do: --config.data.parts=2" in said
    single = configs.load(CONFIG, ["data.quota_scale=1", "data.ghost_size=32"])
    assert "more memory" in plan.table(single, topology, cost, 100.0)


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(ValueError, match=r"keep --config.data.parts at 1"):
        plan.check_stage(configs.load(CONFIG, ["data.parts=2"]))
    with pytest.raises(ValueError, match="use a stage that trains the pose network"):
        plan.check_stage(configs.load(f"{CONFIG}:stage=autoencoder"))


def test_the_table_tells_time_input_and_hours():
    topology = machines.topology("h100:8")
    cost = costs.Cost(1e9, 2e9, 989e9, 33.5e9, 0)
    said = plan.table(configs.load(CONFIG), topology, cost, 100.0)
    assert "10.00 ms at least, bound by memory; 10 % of the peak" in said
    assert re.search(r"input +12800 crops/s for each host; .* makes 100: 128 of a host's 208", said)
    assert "1.11 h for 400000 steps" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", CONFIG, "--topology", "v5f:2x2"], "did you mean v5"),
        (["--config", CONFIG, "--topology", "h100"], "write it like h100:8"),
        (["--config", "configs/none.py", "--topology", "h100:8"], "no config file"),
        (["--config", f"{CONFIG}:stage=autoencoder", "--topology", "h100:8"], ":stage=initial"),
    ],
)
def test_what_cannot_be_planned_is_one_line_with_its_fix(arguments, message, capsys):
    assert plan.main(arguments) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_crops_are_timed_without_data():
    config = configs.load(f"{CONFIG}:runlocal")
    union = building.joint_union(config.data)
    make = building.example_maker(config.data, union)
    rate = input_speed.crops_per_second(make, "h36m", len(union.members["h36m"]), 64, 0.05)
    assert np.isfinite(rate)
    assert rate > 1
