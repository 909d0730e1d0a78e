"""The main system: one image crop to the 3D joints of every skeleton format, and how it learns to be consistent.

network     backbone and metric-scale heatmap head
objective   what one batch costs: the pose loss on 3D and 2D labels, and the variants of the consistency loss
step        one training step, shared by stages 1 and 3
initial     stage 1: separate heads (or joints merged by name)
pseudo      stage 2a: the stage-1 model's poses in all formats at once
autoencoder stage 2b: the affine-combining autoencoder
consistency stage 3: fine-tuning with the frozen autoencoder
evaluation  errors per format and disagreement between formats
report      tables and pictures of a finished run
"""
