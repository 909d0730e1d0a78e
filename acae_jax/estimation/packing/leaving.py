"""A pose model in the forms of `packaging`, from the contents of a bundle, without its run."""

from functools import partial
from pathlib import Path
from typing import Any, cast

from acae_jax.bundles import bundle
from acae_jax.bundles import facts as facts_files
from acae_jax.bundles.bundle import Contents
from acae_jax.bundles.facts import Facts
from acae_jax.estimation.model.landmark_heads import LandmarkHeads
from acae_jax.estimation.packing import architecture, landmarks, pose_card, program
from acae_jax.models.blazepose import BlazePose
from acae_jax.packaging import forms, weights_file
from acae_jax.packaging.signature import Function

MATRIX = "matrix"
OF_NETWORK = ("safetensors", "onnx")
"""Forms that build the network again; the others use the program in the bundle."""


def model(contents: Contents, form: str) -> forms.Model:
    """The model of a bundle's contents, for `forms.write`."""
    facts, matrix = contents.facts, contents.matrix
    if form in OF_NETWORK:
        function = _of_network(facts)
    else:
        exported = bundle.network(Path(bundle.NETWORK), contents.network)
        # JAX declares that an exported function returns one array, whatever it returns.
        function = partial(_with_matrix, cast(Function, exported.call))
    weights = dict(contents.weights)
    reference, points, beside = contents.reference, None, {}
    if matrix is not None:
        points_mm = reference["poses_mm"]
        reference = {**reference, "poses_mm": matrix @ points_mm, "points_mm": points_mm}
        points, weights[MATRIX] = points_mm.shape[1], matrix
        beside[bundle.JOINTS] = bundle.encoded_joints(matrix)
    return forms.Model(
        signature=program.signature(facts, points),
        function=function,
        weights=weights,
        facts=facts_files.to_json(facts),
        reference=reference,
        card=pose_card.text(facts, form, points),
        beside=beside,
    )


def rebuilt(facts: Any) -> Function:
    """The function for weights alone, from the facts in an export."""
    return _of_network(facts_files.of_json(facts))


def weights_alone(folder: Path) -> forms.Run:
    """The function (images, intrinsics) → outputs of an export as safetensors, whose files are
    checked first.
    """
    return weights_file.load(folder, rebuilt(forms.checked(folder).facts))


def _of_network(facts: Facts) -> Function:
    settings = facts.about.get(landmarks.NETWORK)
    if isinstance(settings, dict):
        heads = LandmarkHeads(**settings["heads"]) if settings["heads"] else None
        model = landmarks.crop_model(BlazePose(settings["variant"]), heads)
    else:
        model = program.crop_model(architecture.network(architecture.of(facts)))
    return partial(_with_matrix, model)


def _with_matrix(function: Function, weights: dict[str, Any], *inputs: Any) -> tuple:
    """The outputs of `program.signature`."""
    own = {name: values for name, values in weights.items() if name != MATRIX}
    points_mm, spread_mm = function(own, *inputs)
    if MATRIX not in weights:
        return points_mm, spread_mm
    return weights[MATRIX] @ points_mm, spread_mm, points_mm
