"""Other people's weights: read without their libraries and without running code of their files.

    torch_file      a file of torch.save → arrays by name
    pretrained      an image classifier (torchvision, timm) → a backbone for stage 1, and its folder
    metrabs         a published MeTRAbs folder → its settings, skeletons and weights
    layouts         which layer of a torch network is which of ours
    conversion      arrays by torch's names → variables of one of our networks, or what is wrong
    pickled         pickles as data, and `pickled_arrays` NumPy's arrays in them
    numpy_files     .npy and .npz files with bounds on what they expand to

Bytes become names and arrays (`torch_file`, `pickled`), names find their place (`layouts`,
`conversion`), and a number that is missing, left over or of another shape is an error. Whoever
writes such a file may be an enemy: readers check types, lengths and sizes before they claim memory,
call nothing that a file names, and fail in one short line.
"""
