"""The model card of an export: its README.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from acae_jax.packaging.signature import Signature, Tensor

VERIFY = "To check the files and the outputs: `acae export --verify THIS_FOLDER`\n"

STABLEHLO = """\
```python
import json
from pathlib import Path
from acae_jax.packaging import signature, stablehlo_file

folder = Path("THIS FOLDER")
header = json.loads((folder / "export.json").read_text())
model = stablehlo_file.load(folder, signature.of_json(header["signature"]))
{outputs} = model({inputs})
```
"""
SAVED_MODEL = """\
```python
import tensorflow as tf
model = tf.saved_model.load("THIS FOLDER").signatures["serving_default"]
result = model({tf_inputs})
```

To verify it without acae_jax:

```python
import numpy as np, tensorflow as tf
expected = np.load("reference.npz")
model = tf.saved_model.load(".").signatures["serving_default"]
result = model(**{{name: tf.constant(expected[name]) for name in {input_names}}})
for name, output in result.items():
    print(name, abs(output.numpy() - expected[name]).max())
```
"""
ONNX = """\
```python
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
{outputs} = session.run(None, {onnx_inputs})
```

To verify it without acae_jax:

```python
import numpy as np, onnxruntime
expected = np.load("reference.npz")
session = onnxruntime.InferenceSession("model.onnx")
result = session.run(None, {{name: expected[name] for name in {input_names}}})
for name, output in zip({output_names}, result):
    print(name, abs(output - expected[name]).max())
```
"""
WEIGHTS = """\
`weights.safetensors` holds the parameters by name; the function must be built separately.
"""
USAGE = {
    "stablehlo": STABLEHLO,
    "savedmodel": SAVED_MODEL,
    "onnx": ONNX,
    "safetensors": WEIGHTS,
}


def text(
    name: str, opening: str, usage: str, signature: Signature, sections: Mapping[str, str]
) -> str:
    """The card: opening, usage, inputs and outputs, and further sections by title; empty sections
    are left out.
    """
    parts = {"Use": usage, "Inputs and outputs": interface(signature), **sections}
    body = "".join(f"\n## {title}\n\n{content}" for title, content in parts.items() if content)
    return f"# {name}\n\n{opening}\n\n{VERIFY}{body}"


def usage(form: str, signature: Signature) -> str:
    """How a form is used, with the names of a signature."""
    inputs = [one.name for one in signature.inputs]
    outputs = [one.name for one in signature.outputs]
    return USAGE[form].format(
        inputs=", ".join(inputs),
        outputs=", ".join(outputs) + ("," if len(outputs) == 1 else ""),
        input_names=inputs,
        output_names=outputs,
        tf_inputs=", ".join(f"{name}=tf.constant({name})" for name in inputs),
        onnx_inputs="{" + ", ".join(f'"{name}": {name}' for name in inputs) + "}",
    )


def interface(signature: Signature) -> str:
    """Inputs and outputs as a table."""
    rows = [_row("in", one) for one in signature.inputs]
    rows += [_row("out", one) for one in signature.outputs]
    return table(["", "shape", ""], rows)


def table(heads: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _row(side: str, one: Tensor) -> list[str]:
    comma = "," if len(one.shape) == 1 else ""
    shape = f"({', '.join(map(str, one.shape))}{comma})"
    return [f"{side}: `{one.name}`", f"{shape} {one.dtype}", one.meaning]
