"""A skeleton of your own from a few annotated examples: `acae skeletons fit`.

__main__.py         the command; `python -m acae_jax.skeletons` is the same
from_examples.py    all steps of the command, in order
examples_file.py    the JSON file of examples, and a model's predictions for them
fitting.py          the weights by which the model's joints give the new joints
summary.py          a table and a picture of the result
extended_bundle.py  a bundle with one more skeleton
"""
