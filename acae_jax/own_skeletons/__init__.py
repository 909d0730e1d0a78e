"""A skeleton of your own from a few annotated examples: `acae skeletons fit`.

__main__.py         the command; `python -m acae_jax.skeletons` leads to it
examples_file.py    the JSON file of examples, and how a model sees them
fitting.py          weights that make the new joints of the model's
summary.py          a table and a picture of what was learned
extended_bundle.py  the bundle with one more skeleton
"""
