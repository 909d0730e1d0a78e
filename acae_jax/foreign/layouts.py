"""Which layer of a torch network is which of ours.

Each function returns {path of our module: name of their module} for all layers of the feature
extractor, in their order; the names of parameters are not part of it. Sources: the layouts of
torchvision (models/resnet, efficientnet, mobilenetv3) and timm (resnet, _efficientnet_blocks).
"""

import itertools
from collections.abc import Iterator, Sequence

from acae_jax.models import efficientnet, mobilenet, resnet

Layers = dict[str, str]


def layers(backbone: str, library: str) -> Layers:
    """The layers of one of our backbones in the layout of a library, torchvision or timm."""
    family, _, size = backbone.rpartition("_")
    if family == "efficientnetv2":
        return _efficientnet(size, library)
    if family == "mobilenetv3":
        return _mobilenet(size, library)
    return _resnet(int(backbone.removeprefix("resnet")))


def _resnet(depth: int) -> Layers:
    """The layers of a ResNet, which have the same names in both libraries."""
    result = _conv_norm("stem", "conv1", "bn1")
    for stage, blocks in enumerate(resnet.BLOCKS_PER_STAGE[depth], start=1):
        for index in range(blocks):
            ours, theirs = f"stage{stage}_block{index}", f"layer{stage}.{index}"
            for number in (1, 2) if depth < 50 else (1, 2, 3):
                result |= _conv_norm(
                    f"{ours}/conv{number}", f"{theirs}.conv{number}", f"{theirs}.bn{number}"
                )
            if index == 0 and (stage > 1 or depth >= 50):
                down = f"{theirs}.downsample"
                result |= _conv_norm(f"{ours}/shortcut", f"{down}.0", f"{down}.1")
    return result


def _efficientnet(size: str, library: str) -> Layers:
    stages = efficientnet.STAGES[size]
    result, last = _ends(library, len(stages), ("conv_head", "bn2"))
    for number, stage in enumerate(stages):
        if stage.fused:
            parts = ("convolve",) if stage.expansion == 1 else ("convolve", "project")
        else:
            parts = ("expand", "depthwise", "excite", "project")
        for index in range(stage.blocks):
            ours = f"stage{number + 1}_block{index}"
            if library == "torchvision":
                result |= _torchvision_block(ours, f"features.{number + 1}.{index}", parts)
            else:
                result |= _timm_block(ours, f"blocks.{number}.{index}", parts)
    return result | last


def _ends(library: str, between: int, timm_last: tuple[str, str]) -> tuple[Layers, Layers]:
    """The stem, and the last convolution and norm, with `between` stages or blocks in between."""
    if library == "torchvision":
        end = f"features.{between + 1}"
        return (
            _conv_norm("stem", "features.0.0", "features.0.1"),
            _conv_norm("last", f"{end}.0", f"{end}.1"),
        )
    return _conv_norm("stem", "conv_stem", "bn1"), _conv_norm("last", *timm_last)


def _mobilenet(size: str, library: str) -> Layers:
    blocks = mobilenet.BLOCKS[size]
    end = f"blocks.{len({block.features for block in blocks})}.0"
    result, last = _ends(library, len(blocks), (f"{end}.conv", f"{end}.bn1"))
    channels = 16
    for index, (block, place) in enumerate(zip(blocks, _timm_places(blocks), strict=True)):
        expanding, excited = block.expanded != channels, block.excited
        parts = ("expand",) * expanding + ("depthwise",) + ("excite",) * excited + ("project",)
        if library == "torchvision":
            result |= _torchvision_block(f"block{index}", f"features.{index + 1}", parts)
        else:
            result |= _timm_block(f"block{index}", f"blocks.{place}", parts)
        channels = block.features
    return result | last


def _timm_places(blocks: Sequence[mobilenet.Block]) -> Iterator[str]:
    """The name "stage.index" of each block; a stage of timm is a run of blocks of equal width."""
    runs = itertools.groupby(blocks, key=lambda block: block.features)
    for stage, (_, run) in enumerate(runs):
        yield from (f"{stage}.{index}" for index, _ in enumerate(run))


def _torchvision_block(ours: str, theirs: str, parts: Sequence[str]) -> Layers:
    """The layers of a block, whose parts have numbers in torchvision."""
    result: Layers = {}
    for number, part in enumerate(parts):
        name = f"{theirs}.block.{number}"
        if part == "excite":
            result |= _excitation(ours, f"{name}.fc1", f"{name}.fc2")
        else:
            result |= _conv_norm(f"{ours}/{part}", f"{name}.0", f"{name}.1")
    return result


def _timm_block(ours: str, theirs: str, parts: Sequence[str]) -> Layers:
    """The layers of a block in timm: norms have numbers, convolutions names that depend on the
    block's kind.
    """
    convolutions = tuple(part for part in parts if part != "excite")
    names = {
        ("convolve",): ("conv",),
        ("convolve", "project"): ("conv_exp", "conv_pwl"),
        ("depthwise", "project"): ("conv_dw", "conv_pw"),
        ("expand", "depthwise", "project"): ("conv_pw", "conv_dw", "conv_pwl"),
    }[convolutions]
    result: Layers = {}
    for number, (part, name) in enumerate(zip(convolutions, names, strict=True), start=1):
        result |= _conv_norm(f"{ours}/{part}", f"{theirs}.{name}", f"{theirs}.bn{number}")
    if "excite" in parts:
        result |= _excitation(ours, f"{theirs}.se.conv_reduce", f"{theirs}.se.conv_expand")
    return result


def _conv_norm(ours: str, convolution: str, norm: str) -> Layers:
    """A convolution and its norm; ours are in one ConvNorm, unless the convolution is depthwise."""
    if ours.endswith("/depthwise"):
        return {ours: convolution, f"{ours}_norm": norm}
    return {f"{ours}/conv": convolution, f"{ours}/norm": norm}


def _excitation(ours: str, squeeze: str, excite: str) -> Layers:
    return {f"{ours}/excite/squeeze": squeeze, f"{ours}/excite/excite": excite}
