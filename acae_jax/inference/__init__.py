"""From images to the 3D poses of everybody in them.

    estimator.py      the public class: detect or take boxes, estimate, choose a skeleton
    arguments.py      what users pass, checked: images, cameras, boxes
    detection.py      where people are; weights in nanodet/
    visible_boxes.py  what of a box the image and its lens show
    variants.py       test-time variants of a crop
    framing.py        crop cameras of boxes, of regions, and their variants
    looks.py          from boxes to regions, for networks that tell where the person is
    cropping.py       draws crops as their virtual cameras see them
    batches.py        calls of the network in few batch sizes, crops drawn ahead
    box_poses.py      boxes → crops → network → joints in the space of the image's camera
    person_masks.py   which pixels show the person in a box
    following.py      people from frame to frame of a video
    plausibility.py   which detected poses to keep

Data flows in this order: arguments → detection → visible_boxes → box_poses (looks, framing,
variants, cropping, batches) → plausibility → the world.
"""
