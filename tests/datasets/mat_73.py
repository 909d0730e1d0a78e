"""Files as MATLAB's version 7.3 writes them, made by h5py: for the tests of what reads them."""

import h5py
import numpy as np

OBJECT = h5py.special_dtype(ref=h5py.Reference)
CLASSES = {"f8": "double", "f4": "single", "u1": "uint8", "i4": "int32", "i8": "int64"}


def save(path, variables):
    """Write variables: arrays of two axes, str, dicts (structs), and lists (cells of one row).

    A tuple of dicts is an array of structs, of one row; a tuple of lists a cell array of rows.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            write(file, file, name, value)
    with path.open("r+b") as file:  # as MATLAB, which says in the first bytes what the file is
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write(file, group, name, value):
    if isinstance(value, dict):
        node = group.create_group(name)
        node.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, one in value.items():
            write(file, node, key, one)
    elif isinstance(value, tuple) and isinstance(value[0], dict):
        node = group.create_group(name)
        node.attrs["MATLAB_class"] = np.bytes_("struct")
        for key in value[0]:
            references(file, node, key, [[one[key] for one in value]])
    elif isinstance(value, list | tuple):
        rows = [value] if isinstance(value, list) else value
        references(file, group, name, rows).attrs["MATLAB_class"] = np.bytes_("cell")
    elif isinstance(value, str) and not value:
        numbers(group, name, np.zeros((0, 0)))
        group[name].attrs["MATLAB_class"] = np.bytes_("char")
    elif isinstance(value, str):
        codes = np.array([[ord(letter)] for letter in value], np.uint16)
        node = group.create_dataset(name, data=codes)
        node.attrs["MATLAB_class"] = np.bytes_("char")
    else:
        numbers(group, name, np.atleast_2d(value))


def numbers(group, name, value):
    if not value.size:
        node = group.create_dataset(name, data=np.array(value.shape, np.uint64))
        node.attrs["MATLAB_empty"] = np.uint8(1)
        node.attrs["MATLAB_class"] = np.bytes_("double")
        return
    is_bool = value.dtype == bool
    node = group.create_dataset(name, data=(value.astype(np.uint8) if is_bool else value).T)
    node.attrs["MATLAB_class"] = np.bytes_("logical" if is_bool else CLASSES[value.dtype.str[1:]])


def references(file, group, name, rows):
    store = file.require_group("#refs#")
    node = group.create_dataset(name, (len(rows[0]), len(rows)), OBJECT)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            key = f"r{len(store)}"
            write(file, store, key, value)
            node[column, row] = store[key].ref
    return node
