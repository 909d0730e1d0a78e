"""The model card of an export: README.md for whoever gets the folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from acae_jax.bundles.facts import Facts

INTERFACE = """\
| | shape | |
|---|---|---|
| in: `images` | (b, {side}, {side}, 3) uint8 | RGB crops, one person each, of any number b ≥ 1; no further normalisation |
| in: `intrinsics` | (b, 3, 3) float32 | of the crops, in px: pixel centres at integers, principal point at {middle:g} |
| out: `poses_mm` | (b, {joints}, 3) float32 | joints in mm in the crop camera's space: x right, y down, z forward |
| out: `spread_mm` | (b, {points}) float32 | width of each joint's heat map in mm: a measure of doubt, not yet an error |

A crop is the picture that a camera at the same place sees when it is turned to the person, with the
person's box filling it: `acae_jax.images.crops.camera` and `warp` make it. Turn poses back by that
camera's rotation. Joint names, edges and skeletons (as indices into the joints) are in `facts` of
`{header}`.
"""  # noqa: E501

USAGE = {
    "bundle": """\
```python
import acae_jax

estimator = acae_jax.load("THIS FOLDER")  # whole photographs; see acae_jax's README
```

or the crop model alone, which needs jax, numpy, safetensors, flatbuffers and jaxtyping:

```python
from acae_jax.bundles import bundle

poses_mm, spread_mm = bundle.load("THIS FOLDER").crop_model(images, intrinsics)
```
""",
    "safetensors": """\
`weights.safetensors` holds the parameters by their names in acae_jax's modules, norms folded in
(`acae_jax.models.folding`); `about.network` in `export.json` says of which network.

```python
from pathlib import Path

from acae_jax.packaging import weights_file

model = weights_file.load(Path("THIS FOLDER"))
poses_mm, spread_mm = model(images, intrinsics)
```
""",
    "savedmodel": """\
```python
import tensorflow as tf
model = tf.saved_model.load("THIS FOLDER").signatures["serving_default"]
result = model(images=tf.constant(images), intrinsics=tf.constant(intrinsics))
```

To verify it without acae_jax:

```python
import numpy as np, tensorflow as tf
given = np.load("reference.npz")
model = tf.saved_model.load(".").signatures["serving_default"]
found = model(images=tf.constant(given["images"]), intrinsics=tf.constant(given["intrinsics"]))
print(abs(found["poses_mm"].numpy() - given["poses_mm"]).max(), "mm")
```
""",
    "onnx": """\
```python
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
poses_mm, spread_mm = session.run(None, {"images": images, "intrinsics": intrinsics})
```

To verify it without acae_jax:

```python
import numpy as np, onnxruntime
given = np.load("reference.npz")
session = onnxruntime.InferenceSession("model.onnx")
found = session.run(None, {name: given[name] for name in ("images", "intrinsics")})
print(abs(found[0] - given["poses_mm"]).max(), "mm")
```
""",
}
HEADERS = {"bundle": "bundle.json"}  # of the others: export.json


def text(facts: Facts, form: str, points: int | None = None) -> str:
    """The card of an export in one of the forms of USAGE.

    `points` are the network's joints, if a bundle's matrix makes others of them.
    """
    about = facts.about
    named = {
        "side": facts.side_px,
        "middle": (facts.side_px - 1) / 2,
        "joints": len(facts.joint_names),
        "points": points or len(facts.joint_names),
        "header": HEADERS.get(form, "export.json"),
    }
    sections = {
        "Use": USAGE[form],
        "What goes in and out": INTERFACE.format(**named),
        "Skeletons": _skeletons(facts),
        "Training": _training(about),
        "How good it is": _scores(about),
        "Uncertainty": _uncertainty(facts),
        "Limits": _LIMITS,
        "Licence": f"{about.get('licence', 'Not stated.')}\n",
    }
    body = "".join(f"\n## {title}\n\n{content}" for title, content in sections.items() if content)
    return f"# {facts.name}\n\n{_opening(facts, form)}{body}"


_LIMITS = """\
It estimates the pose of one person in a crop; where several overlap it may mix them. Distance from
the camera follows from the sizes of people seen in training, so a child may come out as an adult
who is farther away. People, clothes, poses and cameras unlike those of the training data are
estimated worse, and the expected error, which was calibrated on that data, does not know it.
"""


def _opening(facts: Facts, form: str) -> str:
    versions = facts.about.get("versions", {})
    made = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"A network that estimates {len(facts.joint_names)} body joints of "
        f"{len(facts.skeletons)} skeletons in 3D from one RGB crop of a person. Form: {form}"
        f"{f'; made with {made}' if made else ''}.\n\n"
        "Whether it still gives what it gave: `python -m acae_jax.export --verify THIS_FOLDER`\n"
    )


def _skeletons(facts: Facts) -> str:
    rows = [
        [f"{name}{' (default)' if name == facts.default_skeleton else ''}", len(one.indices)]
        for name, one in facts.skeletons.items()
    ]
    return _table(["skeleton", "joints"], rows)


def _training(about: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {_said(value)}" for name, value in about.get("training", {}).items()]
    built = about.get("network", {})
    lines += [f"- {name}: {_said(built[name])}" for name in ("backbone", "stride") if name in built]
    return "\n".join(lines) + "\n" if lines else ""


def _scores(about: Mapping[str, Any]) -> str:
    scores = about.get("scores")
    if not scores:
        return "Not measured at export: the labelled test set was not there.\n"
    columns = ("mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc150")
    rows = [
        [name, *(f"{found[column]:.1f}" for column in columns)] for name, found in scores.items()
    ]
    heads = ["skeleton", "MPJPE, mm", "PA-MPJPE, mm", "PCK at 150 mm, %", "AUC, %"]
    seen = f"On {about.get('test images')} images of {about.get('test set')}"
    return f"{seen}; joints relative to the root.\n\n" + _table(heads, rows)


def _uncertainty(facts: Facts) -> str:
    found = facts.about.get("calibration")
    if facts.uncertainty is None or not found:
        return "Not calibrated: `spread_mm` orders joints by doubt, its size means nothing in mm.\n"
    return (
        "`uncertainty` in the facts turns `spread_mm` into the expected distance of a joint from "
        "the truth after the means of both poses are aligned: `factors[joint] · interp(spread_mm, "
        "spreads_mm, errors_mm)`. Fitted on half of the test set; on the other half "
        f"(split by {found['split by']}): expected {found['expected_mm']:.1f} mm and actual "
        f"{found['actual_mm']:.1f} mm on average, {found['bin_error_mm']:.1f} mm apart over tenths "
        f"of the joints, rank correlation {found['spearman']:.2f}.\n\n"
        + _table(
            ["expected, mm", "actual, mm"],
            [
                [f"{e:.1f}", f"{a:.1f}"]
                for e, a in zip(found["bin_expected_mm"], found["bin_actual_mm"], strict=True)
            ],
        )
    )


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
