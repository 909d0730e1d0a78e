"""How well a model does on data with labels, in bounded memory.

scoring       sums and counts over a stream of batches: means by format, by sequence, by action
keypoints     PCK and OKS of people in pictures, and which prediction is whose
stored_crops  a split of a stored dataset as a stream of clean crops with their labels
evals         config.evals: evaluations while a model trains, each with a name and a builder

A batch is made, predicted and added to the sums, and then forgotten; the next one is made while the
devices work. What an evaluation says in the end is `training.loop.Evaluated`. A system has its own
builder, and an entry of the config may name another one.
"""
