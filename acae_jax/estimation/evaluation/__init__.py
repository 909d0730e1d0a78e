"""The accuracy of a network, and the agreement of its formats.

per_format  errors per format, and disagreement between formats
crop_evals  evaluations on stored crops during training
snapshots   a picture of a network's predictions on a few crops
drawing     skeletons on Matplotlib's axes
"""
