"""The computations on devices; no module here reads a config.

network         backbone and metric-scale heatmap head
autoencoder     the affine-combining autoencoder
objective       the pose loss on 3D and 2D labels, and the variants of consistency training
step            one training step, shared by stages 1 and 3
landmark_heads  heads that refine the landmarks of a published network
"""
