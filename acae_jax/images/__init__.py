"""Pixels: decoding, crops, and what augmentation changes in them. Images are uint8 RGB.

decoding          encoded bytes → pixels, within bounds
crops             the camera of a crop, and the warp to it
resizing          smaller without moiré
masks             person masks as run lengths
background        another background behind a person
occlusion         objects in front, erased rectangles
colour            changes of colour, as a few affine stages
device_colour     the same on the device
props             drawn backgrounds, objects, walls: pure functions of a seed
props_from_files  backgrounds and objects from a user's folders
"""
