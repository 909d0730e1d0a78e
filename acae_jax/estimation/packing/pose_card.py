"""What the card of a pose model says beside how it is used: skeletons, training, scores, limits."""

from collections.abc import Mapping
from typing import Any

from acae_jax.bundles.facts import Facts
from acae_jax.estimation.packing import program
from acae_jax.packaging import card
from acae_jax.packaging.card import table

INTERFACE = """\
A crop is the picture that a camera at the same place sees when it is turned to the person, with the
person's box filling it: `acae_jax.images.crops.camera` and `warp` make it. Turn poses back by that
camera's rotation. Joint names, edges and skeletons (as indices into the joints) are in `facts` of
`{header}`.
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
`weights.safetensors` holds the parameters by their names in acae_jax's modules, norms folded in
(`acae_jax.models.folding`); `about.network` in `export.json` says of which network.

```python
from pathlib import Path

from acae_jax.estimation.packing import leaving

model = leaving.weights_alone(Path("THIS FOLDER"))
poses_mm, spread_mm = model(images, intrinsics)
```
"""


def text(facts: Facts, form: str, points: int | None = None) -> str:
    """The card of a pose model in one of the forms, or as a bundle.

    `points` are the network's joints, if a bundle's matrix makes others of them.
    """
    about, of = facts.about, program.signature(facts, points or len(facts.joint_names))
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
        f"{f'; made with {made}' if made else ''}."
    )


def _skeletons(facts: Facts) -> str:
    rows = [
        [f"{name}{' (default)' if name == facts.default_skeleton else ''}", len(one.indices)]
        for name, one in facts.skeletons.items()
    ]
    return table(["skeleton", "joints"], rows)


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
        [name, *(f"{each[key]:.1f}" if key in each else "–" for key in columns)]
        for name, each in scores.items()
    ]
    heads = ["skeleton", "MPJPE, mm", "PA-MPJPE, mm", "PCK at 150 mm, %", "AUC, %"]
    images = f"On {about.get('test images')} images of {about.get('test set')}"
    return f"{images}; joints relative to the root.\n\n" + table(heads, rows)


def _uncertainty(facts: Facts) -> str:
    quality = facts.about.get("calibration")
    if facts.uncertainty is None or not quality:
        return "Not calibrated: `spread_mm` orders joints by doubt, its size means nothing in mm.\n"
    return (
        "`uncertainty` in the facts turns `spread_mm` into the expected distance of a joint from "
        "the truth after the means of both poses are aligned: `factors[joint] · interp(spread_mm, "
        "spreads_mm, errors_mm)`. Fitted on half of the test set; on the other half "
        f"(split by {quality['split by']}): expected {quality['expected_mm']:.1f} mm and actual "
        f"{quality['actual_mm']:.1f} mm on average, {quality['bin_error_mm']:.1f} mm apart over "
        f"tenths of the joints, rank correlation {quality['spearman']:.2f}.\n\n"
        + table(
            ["expected, mm", "actual, mm"],
            [
                [f"{e:.1f}", f"{a:.1f}"]
                for e, a in zip(quality["bin_expected_mm"], quality["bin_actual_mm"], strict=True)
            ],
        )
    )


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
