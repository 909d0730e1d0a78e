"""From the folder of a training run to the contents of a bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.bundles import bundle
from acae_jax.bundles.bundle import Contents
from acae_jax.bundles.facts import Facts, Variation
from acae_jax.data import examples, sources
from acae_jax.estimation import building, stages
from acae_jax.estimation.model import objective
from acae_jax.estimation.packing import bundle_contents, leaving, measuring, program
from acae_jax.estimation.packing.architecture import Architecture
from acae_jax.estimation.packing.measuring import Measurements
from acae_jax.geometry import heatmaps
from acae_jax.packaging import forms
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints


class Options(NamedTuple):
    """The options of an export."""

    name: str | None = None  # of the model; None: the run's name
    storage: str = "float32"
    licence: str = "not stated"
    skeleton: str | None = None  # the default one; None: the union's first
    data: str | None = None  # folder of the datasets; None: that of the run's config
    state: str = checkpoints.FOLDER  # or BEST


class Packed(NamedTuple):
    """A bundle's contents, and its measurements if there was data."""

    contents: Contents
    measurements: Measurements | None


def export(folder: Path, form: str, out: Path, options: Mapping[str, str]) -> None:
    """Write the run in `folder` to `out` in one of the forms, see `acae_jax.export`.

    Raises ValueError if the run's network predicts no poses.
    """
    packed = pack(folder, Options(**options))
    if packed.measurements is None:
        print(
            "The run's test set is missing, so there are no scores, and uncertainty is not "
            "calibrated."
        )
    if form == "bundle":
        bundle.write(out, packed.contents)
    else:
        forms.write(form, out, leaving.model(packed.contents, form))
    if packed.measurements:
        measuring.picture(packed.measurements.quality, out / "calibration.png")


def pack(folder: Path, options: Options) -> Packed:
    """The network of a run as the contents of a bundle, measured if the data is there."""
    config = configuration(folder, options)
    union = building.joint_union(config.data)
    variant = stages.variant_of(config, union, folder)
    weights = bundle_contents.stored(
        program.fold(
            building.network(config, variant.points),
            checkpoints.load_params(folder, folder=options.state),
            variant.joints,
        ),
        options.storage,
    )
    built = architecture(config, variant)
    measurements = None
    test = measuring.test_set(config)
    if test:
        measurements = measuring.measure(config, test, union, built, weights)
    facts = _facts(folder, config, union, options, measurements)
    return Packed(bundle_contents.contents(facts, built, weights), measurements)


def configuration(folder: Path, options: Options) -> ConfigDict:
    """The config of a run, changed if data and autoencoder are now in other folders.

    Raises ValueError if the run's network predicts no poses.
    """
    config = configs.read(folder)
    if config.task == stages.AUTOENCODER:
        raise ValueError(f"{folder} is a run of the autoencoder: export one of the runs beside it")
    beside = folder.resolve().parent / "autoencoder"
    autoencoder = config.to_dict().get("autoencoder")
    if autoencoder and not Path(autoencoder).is_dir() and beside.is_dir():
        config.autoencoder = str(beside)
    if options.data:
        config.data.folder = options.data
    return config


def architecture(config: ConfigDict, variant: objective.Variant) -> Architecture:
    """The settings of the network that `building.network` makes."""
    model = config.model
    return Architecture(
        backbone=model.backbone,
        options=dict(model.options),
        stride=model.stride,
        centred=True,
        points=variant.points,
        depth_bins=model.depth_bins,
        side_px=config.data.side_px,
        box_mm=heatmaps.BOX_MM,
        dtype=model.dtype,
    )


def _facts(
    folder: Path,
    config: ConfigDict,
    union: JointUnion,
    options: Options,
    measurements: Measurements | None,
) -> Facts:
    skeletons = bundle_contents.selections(union)
    default = options.skeleton or next(iter(skeletons))
    if default not in skeletons:
        raise ValueError(f"the model has no skeleton {default!r}; it has {', '.join(skeletons)}")
    values = config.to_dict()
    about: dict[str, Any] = {
        "licence": options.licence,
        "training": {
            "task": values["task"],
            "variant": "separate" if config.task == stages.INITIAL else values.get("variant"),
            "steps": values["steps"],
            "seed": values["seed"],
            "datasets": [sources.plain_name(name) for name, _ in values["data"]["quotas"]],
        },
    }
    if measurements:
        about |= measuring.about(measurements)
    return Facts(
        name=options.name or folder.resolve().name,
        side_px=values["data"]["side_px"],
        joint_names=union.joint_names,
        edges=union.edges,
        skeletons=skeletons,
        default_skeleton=default,
        bones_mm=measuring.bones_mm(config, union),
        uncertainty=measurements.calibration if measurements else None,
        about=about,
        trained=_variation(config),
    )


def _variation(config: ConfigDict) -> Variation:
    """How the crops varied in training."""
    augmentation = examples.Augmentation(**config.data.augmentation)
    low, high = augmentation.zoom
    return Variation(float(augmentation.roll), (min(float(low), 1.0), max(float(high), 1.0)))
