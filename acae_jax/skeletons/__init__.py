"""Skeletons: named joints with edges, the catalogue of formats, and unions of formats.

    skeleton     one skeleton; how names spell sides, and the mirror map; its JSON file
    body_parts   what part of the body a joint is, whatever the vocabulary of its name
    catalogue    every skeleton that the package knows by name; data/ has the files
    union        joints of many formats side by side, as one network predicts them

Whatever depends on what a joint is – the root of a metric, a rest pose, words in a picture, the
mirror image – asks `body_parts` or `skeleton`; no other file has a list of joints' names.

Conventions: in the catalogue a joint whose name begins with ``l`` is left, with ``r`` right, any
other is central; users may spell sides in other ways. What follows the first ``_`` of a joint's
name is the format it comes from (``lhip_h36m``).
Edges are pairs of joint indices, the smaller first, in ascending order.
"""
