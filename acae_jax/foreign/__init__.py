"""Weight files of other projects, read without their libraries and without running their code.

    torch_file        a file of torch.save → arrays by name
    pretrained        an image classifier (torchvision, timm) → a backbone for stage 1, its folder
    metrabs           a published MeTRAbs folder → its settings, skeletons and weights
    blazepose_weights MediaPipe's landmark network; blazepose/ has the weights of `full`
    layouts           which layer of a torch network is which of ours
    conversion        arrays by torch's names → variables of one of our networks
    pickled           pickles as data
    pickled_arrays    NumPy arrays in such pickles
    safetensors_file  a .safetensors file → its arrays by name and its metadata

`torch_file` and `pickled` turn bytes into named arrays; `layouts` and `conversion` put each array
in its place. An array that is missing, left over or of another shape is an error. A file may be
hostile, so readers check types, lengths and sizes before they allocate memory, call nothing that a
file names, and fail with one short line.
"""
