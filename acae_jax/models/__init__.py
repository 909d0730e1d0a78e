"""Networks in Flax (Linen); parameters are float32, arithmetic float32 or bfloat16.

backbones                    `create(name, …)`: the one entrance to the four below
efficientnet  mobilenet  resnet   with the published layers and parameter counts
narrow                       for training on a few CPU cores
layers  inverted  depthwise  the parts they share; depthwise convolution per platform
ghost_norm                   batch norm over groups of 16 examples, whole groups on a device
folding                      norms folded into convolutions, for networks that are trained no more
nanodet                      the person detector
blazepose                    the landmark network
platform                     for which kind of device a network is traced
"""
