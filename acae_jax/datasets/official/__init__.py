"""Official releases of datasets, one module each: what is special about it, and nothing else.

How to add a builder
--------------------
A module `official/NAME.py` has three names; `datasets.release` defines their types.

    RELEASE = Release(name="NAME", …)
    def units(raw: Path) -> tuple[Unit, ...]
    def frames(raw: Path, unit: Unit) -> Iterator[Frame]

*   `raw` is the folder that the user gives, laid out as `RELEASE.layout` says; globs there are
    checked before `units` is called. Body models are in raw / "body_models".
*   A unit is seconds to minutes of work, seldom an hour: a video. It is what a stopped build starts
    again from. Its name is readable, and tells `frames` all that it needs. `units` is fast: it
    lists files, and reads small ones. There may be many thousands: some share a file then.
*   `frames` yields one frame after another and keeps no earlier ones. It samples by poses before it
    decodes images. For videos, `readers.videos.chosen` gives the frames of some indices. For image
    files give `image=partial(readers.images.read, path)`, so that a broken file costs one frame.
*   All of `Person.joints_mm` are millimetres in a right-handed world, in the order of the
    catalogue's dataset. `Frame.camera` is that of the image as it is, lens included. Mirrored
    releases are mirrored back: image and camera of one frame must fit, `rotation` is proper.
*   Where the release has 2D labels of the same joints, give them as `joints_px`: their distance
    from the projected 3D labels is measured, and a median of more than 2 px stops the build.
*   `RELEASE.boxes` is a rule of `steps.person_boxes` with its numbers. A person who takes part in
    the matching only has is_kept=False.
*   A ValueError, OSError or LookupError out of `frames` ends the unit and is counted. What makes
    the whole release useless is for `units` to find: one line that says what is wrong and what to
    do.
*   Add the name to NAMES, and a test on `tests/datasets/miniature.py`.

What differs from the public code of PosePile stands in the module's docstring.
"""

# In the order of the recipe (configs/mixtures.py), 3D labels first.
NAMES = (
    "h36m",
    "muco_3dhp",
    "humbi",
    "tdoh",
    "agora",
    "surreal",
    "panoptic",
    "aist",
    "aspset",
    "gpa",
    "tdpeople",
    "sailvos",
    "bml_movi",
    "mads",
    "umpm",
    "bmhad",
    "tdhp_full",
    "totalcapture",
    "jta",
    "ikea",
    "human4d",
    "behave",
    "rich",
    "spec",
    "fit3d",
    "chi3d",
    "humansc3d",
    "hspace",
    "mpii",
    "coco",
    "jrdb",
    "posetrack",
)
