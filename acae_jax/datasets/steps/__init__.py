"""Steps that builders of datasets have in common; pure functions and small values.

sampling       adaptive sampling: poses that hardly differ make no examples
tracks         people of successive frames told apart, and each sampled
upright        which way is up, told by people
plausible      bones of impossible lengths
person_boxes   the box of each person: given, of joints or masks, or of the detector
limbs          people with 2D labels enough
stored_crop    the undistorted, upright crop that a record stores
"""
