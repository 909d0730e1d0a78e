"""Training on the user's own data, from a model that is there, with new joints beside the old ones.

bases.py       the model to start from: a bundle, a run, or an imported backbone
first_rows.py  the head's first weights for new joints, made of those for old joints
stage.py       the task
"""
