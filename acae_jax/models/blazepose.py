"""BlazePose: 39 landmarks of one person in a square crop of 256 px, in the image and in metres.

The trunk is an EfficientNet-Lite (inverted bottlenecks without excitation) to stride 32. A pyramid
sums its maps from coarse to fine, to stride 4. The person's mask and the heat maps are computed
from that sum. The landmarks are regressed from the trunk's last map. In the heavy variant they are
regressed from the pyramid's sum, after a second way down to stride 32. Batch norms are folded into
the convolutions, as in the published weights.

Landmarks: 0 nose; 1 to 3 the left eye's inner corner, middle and outer corner; 4 to 6 the right
eye's; 7, 8 ears; 9, 10 corners of the mouth; then in pairs, left first, shoulders (11, 12), elbows,
wrists, knuckles of the little fingers, of the index fingers, of the thumbs, hips (23, 24), knees,
ankles, heels, tips of the feet (31, 32). 33 is the middle of the hips. 34 lies from 33 in the
direction of the head, on a circle around the whole person; the two define the region for the next
crop. 35 to 38 are not documented.

With `jax.jit`, outputs that the caller does not use are not computed (tests/speed/landmarks.py).

Sources: Bazarevsky et al. 2020, "BlazePose: On-device real-time body pose tracking" (arXiv
2006.10204); Grishchenko et al. 2022, "BlazePose GHUM Holistic" (arXiv 2206.11678); the published
graphs pose_landmark_lite, _full and _heavy of MediaPipe, layer by layer.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import relu6
from jaxtyping import Array, Float32

from acae_jax import messages
from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.layers import Conv

SIDE_PX = 256
LANDMARKS = 39

KERNEL_SIZES = (3, 5, 3, 5, 5)
STRIDES = (2, 2, 2, 1, 2)
"""Of the trunk's stages."""


class Variant(NamedTuple):
    """Channels and blocks of one published network."""

    stem: int  # channels at stride 2
    stages: tuple[tuple[int, int], ...]  # channels and blocks of the trunk
    fourfold: int  # as many of its first blocks expand by 4, the rest by 6
    pyramid: int  # channels
    second: tuple[tuple[int, int], ...]  # channels and blocks of the second way down, if any
    head: tuple[tuple[int, int], ...]  # channels and blocks of the last levels, at 4 and 2 cells


VARIANTS = {
    "lite": Variant(
        8, ((16, 2), (24, 2), (40, 3), (56, 3), (96, 4)), 1, 32, (), ((192, 2), (192, 3))
    ),
    "full": Variant(
        16, ((24, 2), (32, 2), (64, 3), (88, 3), (144, 4)), 1, 48, (), ((288, 4), (288, 5))
    ),
    "heavy": Variant(
        24,
        ((32, 4), (56, 4), (112, 6), (160, 6), (272, 8)),
        2,
        48,
        ((96, 6), (192, 7), (288, 7)),
        ((288, 7), (288, 7)),
    ),
}


def variant(name: str) -> Variant:
    """The variant of this name; a ValueError for another one."""
    if name not in VARIANTS:
        raise ValueError(f"unknown variant {name!r}; {messages.near_misses(name, VARIANTS)}")
    return VARIANTS[name]


class Person(NamedTuple):
    """The outputs. Axes: x right, y down, z away from the camera."""

    landmarks_px: Float32[Array, "b 39 3"]
    visibility_logits: Float32[Array, "b 39"]  # inside the crop and not hidden
    presence_logits: Float32[Array, "b 39"]  # inside the crop
    probability: Float32[Array, " b"]  # that the crop shows a person
    world_m: Float32[Array, "b 39 3"]  # origin: the middle of the hips
    mask_logits: Float32[Array, "b 256 256"]
    heatmaps: Float32[Array, "b 64 64 39"]  # logits
    features: Float32[Array, "b 8 8 c"]  # the trunk's last map


class BlazePose(nn.Module):
    """The whole network; `variant` is a key of VARIANTS."""

    variant: str = "full"

    @nn.compact
    def __call__(self, images: Float32[Array, "b h w 3"]) -> Person:
        """Compute all outputs for RGB crops in [0, 1], black where they leave the image.

        ValueError for crops of another size.
        """
        if images.shape[1:] != (SIDE_PX, SIDE_PX, 3):
            raise ValueError(f"BlazePose's crops are {SIDE_PX} × {SIDE_PX} RGB, not {images.shape}")
        v = variant(self.variant)
        at2, at4, at8, at16, features = Trunk(self.variant, name="trunk")(images)
        x = Separable(v.pyramid, name="pyramid32")(features)
        for stride, skip in ((16, at16), (8, at8), (4, at4)):
            x = _doubled(x) + Separable(v.pyramid, name=f"pyramid{stride}")(skip)
        vector = Regression(self.variant, name="regression")(x, (at8, at16, features))
        points = nn.Dense(5 * LANDMARKS, name="landmarks")(vector).reshape(-1, LANDMARKS, 5)
        return Person(
            landmarks_px=points[..., :3],
            visibility_logits=points[..., 3],
            presence_logits=points[..., 4],
            probability=nn.sigmoid(nn.Dense(1, name="person")(vector)[:, 0]),
            world_m=nn.Dense(3 * LANDMARKS, name="world")(vector).reshape(-1, LANDMARKS, 3),
            mask_logits=Mask(name="mask")(x, at2),
            heatmaps=Conv(LANDMARKS, 1, use_bias=True, name="heatmaps")(x),
            features=features,
        )


class Trunk(nn.Module):
    """The maps of strides 2, 4, 8, 16 and 32. It also works alone, on params["trunk"]."""

    variant: str = "full"

    @nn.compact
    def __call__(
        self, images: Float32[Array, "b h w 3"]
    ) -> tuple[Float32[Array, "b _h _w _c"], ...]:
        """Compute the maps of RGB images in [0, 1]."""
        v = variant(self.variant)
        x = relu6(Conv(24, stride=2, use_bias=True, name="stem")(images))
        x = Depthwise(name="stem_depthwise")(x)
        x = Conv(v.stem, 1, use_bias=True, name="stem_project")(x)
        maps, count = [], 0
        for stage, (features, blocks) in enumerate(v.stages):
            if STRIDES[stage] == 2:
                maps.append(x)
            for block in range(blocks):
                x = Inverted(
                    features,
                    expansion=4 if count < v.fourfold else 6,
                    kernel_size=KERNEL_SIZES[stage],
                    stride=STRIDES[stage] if block == 0 else 1,
                    name=f"stage{stage}_block{block}",
                )(x)
                count += 1
        x = relu6(Conv(6 * x.shape[-1], 1, use_bias=True, name="expand")(x))
        return (*maps, Depthwise(name="depthwise")(x))


class Regression(nn.Module):
    """One vector for each crop, which the last matrices turn into landmarks."""

    variant: str

    @nn.compact
    def __call__(
        self,
        finest: Float32[Array, "b h w c"],
        skips: tuple[Float32[Array, "b _h _w _c"], ...],
    ) -> Float32[Array, "b d"]:
        """Compute it from the pyramid's finest map and the trunk's at strides 8, 16 and 32."""
        v = variant(self.variant)
        x = finest
        for stride, skip, (features, blocks) in zip((8, 16, 32), skips, v.second, strict=False):
            x = Level(features, blocks, name=f"second{stride}")(x)
            x = x + Separable(features, name=f"skip{stride}")(skip)
        if not v.second:
            x = Separable(v.head[0][0], name="skip32")(skips[-1])
        for stride, (features, blocks) in zip((64, 128), v.head, strict=True):
            x = Level(features, blocks, name=f"head{stride}")(x)
        return x.reshape(x.shape[0], -1)


class Level(nn.Module):
    """Halves a map and applies residual blocks."""

    features: int
    blocks: int

    @nn.compact
    def __call__(self, x: Float32[Array, "b h w c"]) -> Float32[Array, "b h2 w2 d"]:
        """Applies the strided block and the others."""
        x = Separable(self.features, stride=2, name="down")(x)
        for block in range(self.blocks):
            x = Separable(self.features, name=f"block{block}")(x)
        return x


class Mask(nn.Module):
    """The pixels that show the person."""

    @nn.compact
    def __call__(
        self, finest: Float32[Array, "b h w c"], at2: Float32[Array, "b h2 w2 c2"]
    ) -> Float32[Array, "b h4 w4"]:
        """Compute logits from the pyramid's finest map and the trunk's map of stride 2."""
        x = _doubled(Separable(8, name="entry")(finest)) + Separable(8, name="skip2")(at2)
        for block in range(2):
            x = Separable(8, name=f"at2_block{block}")(x)
        x = _doubled(x)
        for block in range(2):
            x = Separable(8, name=f"at1_block{block}")(x)
        return Conv(1, use_bias=True, name="exit")(x)[..., 0]


class Inverted(nn.Module):
    """Expands the channels, convolves each alone, projects them; adds the input if shapes allow."""

    features: int
    expansion: int
    kernel_size: int
    stride: int

    @nn.compact
    def __call__(self, x: Float32[Array, "b h w c"]) -> Float32[Array, "b h2 w2 d"]:
        """Applies the block."""
        expanded = Conv(self.expansion * x.shape[-1], 1, use_bias=True, name="expand")(x)
        y = Depthwise(self.kernel_size, self.stride, name="depthwise")(relu6(expanded))
        y = Conv(self.features, 1, use_bias=True, name="project")(y)
        return x + y if y.shape == x.shape else y


class Separable(nn.Module):
    """A depthwise and a 1 × 1 convolution.

    The input is added to the result. If the block halves the map, the maximum of each 2 × 2 cells
    is added, with zeros for new channels. If only the number of channels changes, nothing is.
    """

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float32[Array, "b h w c"]) -> Float32[Array, "b h2 w2 d"]:
        """Applies the block."""
        # TensorFlow's padding of a strided layer: nothing before, one cell after.
        y = Depthwise(stride=self.stride, shift=self.stride - 1, name="depthwise")(x)
        y = Conv(self.features, 1, use_bias=True, name="project")(y)
        if self.stride == 2:
            x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
            x = jnp.pad(x, [(0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])])
        return relu6(x + y if y.shape == x.shape else y)


class Depthwise(nn.Module):
    """Depthwise convolution with bias and relu6."""

    kernel_size: int = 3
    stride: int = 1
    shift: int = 0

    @nn.compact
    def __call__(self, x: Float32[Array, "b h w c"]) -> Float32[Array, "b h2 w2 c"]:
        """Convolves x."""
        x = DepthwiseConv(self.kernel_size, self.stride, self.shift, name="conv")(x)
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],), jnp.float32)
        return relu6(x + bias.reshape(1, 1, 1, -1))


def _doubled(x: Float32[Array, "b h w c"]) -> Float32[Array, "b h2 w2 c"]:
    """Resize a map to twice the resolution, linearly between the centres of its cells.

    The matrix products of `jax.image.resize` would take a tenth of the whole network's time.
    """
    b, h, w, c = x.shape
    x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    above, rows, below = x[:, :-2], x[:, 1:-1], x[:, 2:]
    x = jnp.stack([0.25 * above + 0.75 * rows, 0.75 * rows + 0.25 * below], axis=2)
    left, columns, right = x[..., :-2, :], x[..., 1:-1, :], x[..., 2:, :]
    x = jnp.stack([0.25 * left + 0.75 * columns, 0.75 * columns + 0.25 * right], axis=4)
    return x.reshape(b, 2 * h, 2 * w, c)
