"""A trained model as one folder, which needs nothing of what trained it.

    bundle.py        what a bundle holds; reading, writing and opening one
    folders.py       the folder: a header that lists the other files with size and SHA-256
    facts.py         what a model says of itself (names, skeletons, sizes) as checked JSON
    reference.py     an input and its output, to compare on another machine
    uncertainty.py   from the spread of heat maps to the error to expect in mm
    compiling.py     the cache of compiled programs
    onnx_backend.py  an ONNX export opened as a bundle
    packaged/        the model that comes with the package

`bundle.load(folder)` gives a `Bundle`, whose `crop_model` turns crops into joints; `inference` does
the rest. Folders may come from anywhere: everything is checked before it is used.
"""
