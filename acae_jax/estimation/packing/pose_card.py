"""The card of a pose model: usage, skeletons, training, scores, uncertainty, limits."""

from collections.abc import Mapping
from typing import Any

from acae_jax.bundles.facts import Facts
from acae_jax.estimation.packing import program
from acae_jax.packaging import card
from acae_jax.packaging.card import table

INTERFACE = """\
A crop is the picture of a virtual camera at the same place, turned to the person, whose box fills
the picture. `acae_jax.images.crops.camera` and `warp` make it. Poses are in the space of this
camera; turn them back by its rotation. Joint names, edges and skeletons (as indices of joints) are
in `facts` of `{header}`.
"""
BUNDLE = """\
```python
import acae_jax

estimator = acae_jax.load("THIS FOLDER")  # whole photographs; see acae_jax's README
```

or the crop model alone, which needs jax, numpy, safetensors, flatbuffers and jaxtyping:

```python
from acae_jax.bundles import bundle

poses_mm, spread_mm = bundle.load("THIS FOLDER").crop_model(images, intrinsics)
```
"""
WEIGHTS = """\
`weights.safetensors` holds the parameters by their names in acae_jax's modules, with norms folded
into them (`acae_jax.models.folding`). `about.network` in `export.json` has the settings of the
network.

```python
from pathlib import Path

from acae_jax.estimation.packing import leaving

model = leaving.weights_alone(Path("THIS FOLDER"))
poses_mm, spread_mm = model(images, intrinsics)
```
"""


def text(facts: Facts, form: str, points: int | None = None) -> str:
    """The card of a pose model in one of the forms, or as a bundle.

    `points` is the number of the network's joints, if a bundle's matrix combines them to others.
    """
    about, of = facts.about, program.signature(facts, points)
    own = {"bundle": BUNDLE, "safetensors": WEIGHTS}
    header = "bundle.json" if form == "bundle" else "export.json"
    sections = {
        "What a crop is": INTERFACE.format(header=header),
        "Skeletons": _skeletons(facts),
        "Training": _training(about),
        "How good it is": _scores(about),
        "Uncertainty": _uncertainty(facts),
        "Limits": _LIMITS,
        "Licence": f"{about.get('licence', 'Not stated.')}\n",
    }
    usage = own[form] if form in own else card.usage(form, of)
    return card.text(facts.name, _opening(facts, form), usage, of, sections)


_LIMITS = """\
The model estimates the pose of one person in a crop. If several people overlap, it may mix them. It
estimates the distance from the camera by the size of people in the training data, so it may take a
child for an adult who is farther away. It is less exact for people, clothes, poses and cameras that
differ from the training data. The expected error does not show this, because it was calibrated on
data of the same kind.
"""


def _opening(facts: Facts, form: str) -> str:
    versions = facts.about.get("versions", {})
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"A network that estimates {len(facts.joint_names)} body joints of "
        f"{len(facts.skeletons)} skeletons in 3D from one RGB crop of a person. Form: {form}"
        f"{f'; made with {packages}' if packages else ''}."
    )


def _skeletons(facts: Facts) -> str:
    rows = [
        [f"{name}{' (default)' if name == facts.default_skeleton else ''}", len(one.indices)]
        for name, one in facts.skeletons.items()
    ]
    return table(["skeleton", "joints"], rows)


def _training(about: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {_listed(value)}" for name, value in about.get("training", {}).items()]
    network = about.get("network", {})
    names = [name for name in ("backbone", "stride") if name in network]
    lines += [f"- {name}: {_listed(network[name])}" for name in names]
    return "\n".join(lines) + "\n" if lines else ""


def _scores(about: Mapping[str, Any]) -> str:
    scores = about.get("scores")
    if not scores:
        return "Not measured, because the labelled test set was missing at export.\n"
    columns = ("mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc150")
    rows = [
        [name, *(f"{each[key]:.1f}" if key in each else "–" for key in columns)]
        for name, each in scores.items()
    ]
    heads = ["skeleton", "MPJPE, mm", "PA-MPJPE, mm", "PCK at 150 mm, %", "AUC, %"]
    images = f"On {about.get('test images')} images of {about.get('test set')}"
    return f"{images}; joints relative to the root.\n\n" + table(heads, rows)


def _uncertainty(facts: Facts) -> str:
    quality = facts.about.get("calibration")
    if facts.uncertainty is None or not quality:
        return (
            "Not calibrated: `spread_mm` only says which joints are more uncertain than others, "
            "not by how many mm.\n"
        )
    return (
        "`uncertainty` in the facts turns `spread_mm` into the expected distance of a joint from "
        "the truth, after the means of both poses are aligned: `factors[joint] · interp(spread_mm, "
        "spreads_mm, errors_mm)`. It was fitted on half of the test set "
        f"(split by {quality['split by']}). On the other half, the mean expected error is "
        f"{quality['expected_mm']:.1f} mm and the mean actual error {quality['actual_mm']:.1f} mm. "
        f"Over tenths of the joints they differ by {quality['bin_error_mm']:.1f} mm on average. "
        f"Their rank correlation is {quality['spearman']:.2f}.\n\n"
        + table(
            ["expected, mm", "actual, mm"],
            [
                [f"{e:.1f}", f"{a:.1f}"]
                for e, a in zip(quality["bin_expected_mm"], quality["bin_actual_mm"], strict=True)
            ],
        )
    )


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
