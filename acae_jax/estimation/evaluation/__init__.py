"""How good a network is.

per_format  errors per format, and disagreement between formats
crop_evals  evaluations on stored crops while a network trains
snapshots   a picture of what a network says of a few crops
drawing     skeletons on Matplotlib's axes
"""
