"""Skeletons: named joints with edges, the catalogue of formats, and unions of formats.

Conventions: in the catalogue a joint whose name begins with ``l`` is left, with ``r`` right, any
other is central; users may spell sides in other ways (`skeleton`). What follows the first ``_`` of
a joint's name is the format it comes from (``lhip_h36m``).
Edges are pairs of joint indices, the smaller first, in ascending order.
"""
