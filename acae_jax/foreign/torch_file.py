"""PyTorch's weight files (.pt, .pth, torch ≥ 1.6) as NumPy arrays, without torch and without
running code.

Such a file is a zip archive of uncompressed entries. NAME/data.pkl describes the tensors, and each
NAME/data/KEY holds the numbers of one storage; a tensor is a window into a storage, with an offset
and strides. No code of the file is run (see `pickled`). Memory stays within the size of the file:
entries must be uncompressed, must not sum to more bytes than the file has, and arrays are views of
them.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from acae_jax import messages
from acae_jax.foreign import pickled

_DTYPES: dict[str, Any] = {
    "torch.DoubleStorage": np.float64,
    "torch.FloatStorage": np.float32,
    "torch.HalfStorage": np.float16,
    "torch.BFloat16Storage": ml_dtypes.bfloat16,
    "torch.LongStorage": np.int64,
    "torch.IntStorage": np.int32,
    "torch.ShortStorage": np.int16,
    "torch.CharStorage": np.int8,
    "torch.ByteStorage": np.uint8,
    "torch.BoolStorage": np.bool_,
}
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch's old magic number
_STATE_DICTS = ("state_dict", "model_state_dict", "model")
_RESAVE = "in an environment with torch, torch.save(torch.load(OLD, weights_only=True), NEW)"


class Tensor(NamedTuple):
    """A window into a storage of the file, in elements."""

    key: str
    dtype: np.dtype
    stored: int
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, in the file's types; they are read-only.

    As in training checkpoints, the state dict may stand under "state_dict", "model_state_dict" or
    "model". What stands beside it is not read, such as settings of any type or a moving average of
    the weights.

    Raises OSError if the file cannot be opened; ValueError, in one line, if it is damaged, is no
    state dict in the zip format, or has a weight that only code could make.
    """
    with Path(path).open("rb") as file:
        beginning = file.read(len(_LEGACY))
    if beginning == _LEGACY or _is_tar(path):
        raise ValueError(f"{path} is in the format of torch before 1.6: {_RESAVE}")
    if not beginning.startswith(b"PK"):
        raise ValueError(f"{path} is no PyTorch weight file (a zip archive)")
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors(archive, Path(path).stat().st_size)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, OverflowError) as error:
        why = messages.one_line(error)
        raise ValueError(f"{path} is damaged or incomplete, download it again ({why})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {messages.one_line(error)}") from error


def _tensors(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, np.ndarray]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    names = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("the archive holds no data.pkl; it is not a file of torch.save")
    root = names[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        raise ValueError(f"it is a TorchScript program; save its state_dict() instead: {_RESAVE}")
    if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries.values()):
        raise ValueError(
            "its entries are encrypted or compressed, which torch does not do: " + _RESAVE
        )
    if sum(entry.file_size for entry in entries.values()) > file_bytes:
        raise ValueError("its entries claim more bytes than the file has")
    if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("it was saved on a big-endian machine: " + _RESAVE)
    if entries[names[0]].file_size > pickled.LIMIT_BYTES:
        raise ValueError(f"its data.pkl is larger than {pickled.LIMIT_BYTES} bytes")
    content = pickled.read(archive.read(names[0]), _MAKERS, _storage)
    storages: dict[str, bytes] = {}
    result = {}
    for name, tensor in _state_dict(content).items():
        entry = f"{root}data/{tensor.key}"
        if entry not in storages:
            if entry not in entries:
                raise ValueError(f"the archive lacks {entry}")
            storages[entry] = archive.read(entry)
        result[name] = _view(_numbers(storages[entry], entry, tensor), tensor, name)
    return result


def _state_dict(content: Any) -> Mapping[str, Tensor]:
    """The tensors by name: of the state dict under a usual name, else of the content itself.

    A checkpoint may hold single tensors beside its state dict, such as the best accuracy.
    """
    top = _items(content)
    for candidate in (*(_items(top[key]) for key in _STATE_DICTS if key in top), top):
        tensors = {str(k): v for k, v in candidate.items() if isinstance(v, Tensor)}
        _check_weights(candidate, beside=candidate is top)
        if tensors:
            return tensors
    for value in (content, *(top[key] for key in _STATE_DICTS if key in top)):
        if isinstance(value, pickled.Opaque):
            raise ValueError(
                f"it holds what {value.call} makes, perhaps a whole model, and no code of a file "
                "is run: save its weights alone with torch.save(model.state_dict(), FILE)"
            )
    raise ValueError(
        "it holds no state dict (tensors by name, at the top or under "
        f"{', '.join(_STATE_DICTS)}): save with torch.save(model.state_dict(), FILE)"
    )


def _items(value: Any) -> Mapping[Any, Any]:
    """The items of a dict, or of a subclass of dict (whose code does not run)."""
    if isinstance(value, pickled.Opaque):
        return value.items
    return value if isinstance(value, dict) else {}


def _check_weights(items: Mapping[Any, Any], beside: bool) -> None:
    """Raise ValueError if only code could make one of the weights.

    With `beside`, other values may stand beside the weights, but no tensors of other kinds.
    """
    for name, value in items.items():
        if not isinstance(value, pickled.Opaque):
            continue
        if not beside or value.call.startswith("torch._") or value.call.endswith("Storage"):
            raise ValueError(
                f"{str(name)[:80]!r} is not a plain tensor of numbers: the file makes it by "
                f"{value.call}, and no code of a file is run"
            )


def _numbers(content: bytes, entry: str, storage: Tensor) -> np.ndarray:
    """All numbers of a storage."""
    if len(content) != storage.stored * storage.dtype.itemsize:
        raise ValueError(
            f"{entry} has {len(content)} bytes, but {storage.stored} numbers of {storage.dtype} "
            "are said to be in it"
        )
    return np.frombuffer(content, storage.dtype)


def _view(numbers: np.ndarray, tensor: Tensor, name: str) -> np.ndarray:
    """The tensor as a window into its storage; ValueError if it reaches beyond."""
    shape, strides = tensor.shape, tensor.strides
    count = int(np.prod(shape, dtype=object)) if shape else 1
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count > len(numbers) or (count and last >= len(numbers)):
        raise ValueError(f"tensor {name[:80]!r} reaches beyond its {len(numbers)} numbers")
    steps = tuple(step * numbers.itemsize for step in strides)
    if not count:
        return np.zeros(shape, numbers.dtype)
    window = numbers[tensor.offset :]
    return np.lib.stride_tricks.as_strided(window, shape, steps, writeable=False)


def _storage(identity: Any) -> Tensor | pickled.Opaque:
    """The whole storage of a persistent id ("storage", type, key, device, count).

    It is `Opaque` if NumPy has no such type of numbers.
    """
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise ValueError("it refers to something that is not a storage")
    _, kind, key, _, count = identity
    if isinstance(kind, pickled.Name) and str(kind) not in _DTYPES:
        return pickled.Opaque(str(kind))
    named = isinstance(key, str) and len(key) <= 40 and key.isalnum()
    if not isinstance(kind, pickled.Name) or not named or not pickled.is_size(count):
        raise ValueError("it refers to something that is not a storage")
    return Tensor(key, np.dtype(_DTYPES[str(kind)]), count)


def _tensor(storage: Any, offset: int, shape: tuple, strides: tuple, *_: Any) -> Any:
    if isinstance(storage, pickled.Opaque):
        return storage
    if not isinstance(storage, Tensor) or len(shape) != len(strides) or len(shape) > 32:
        raise ValueError("it describes a tensor that cannot be")
    if not all(pickled.is_size(number) for number in (offset, *shape, *strides)):
        raise ValueError("it describes a tensor by something other than whole numbers from 0")
    return Tensor(*storage[:3], offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _ordered(pairs: Any = ()) -> Any:
    """An empty dict, because torch creates its ordered dicts empty and then fills them.

    One that is created with items is none of its state dicts, so it is `Opaque`.
    """
    return pickled.Opaque("collections.OrderedDict") if pairs else {}


_MAKERS: pickled.Makers = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}


def _is_tar(path: str | Path) -> bool:
    """Whether the file is a tar archive, by the marker in its first header."""
    with Path(path).open("rb") as file:
        return file.read(262)[257:] == b"ustar"
