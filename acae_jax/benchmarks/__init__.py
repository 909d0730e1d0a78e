"""Scores of models on labelled data, in bounded memory.

scoring       sums and counts over a stream of batches: means by format, by sequence, by action
keypoints     PCK and OKS of people in pictures, and the matching of predictions and labels
stored_crops  a split of a stored dataset as a stream of clean crops with their labels
evals         config.evals: evaluations during training, each with a name and a builder

Each batch is made, predicted, added to the sums and dropped; the next one is made while the devices
compute. The result of an evaluation is a `training.loop.Evaluated`. Each system has a builder of
evaluations, and an entry of the config may name another one.
"""
