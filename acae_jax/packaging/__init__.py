"""Trained functions as files that others can use, and whether they still give what they gave.

A `signature.Signature` names a function's inputs and outputs with shapes and types; whatever has
one can leave, in any of the forms, and be verified. Systems say what their functions are: pose
estimation in `estimation.packing`.

signature       inputs and outputs by name; the StableHLO program of a function that has them
forms           what all forms share: a folder with a model file, a reference, a card, a header
stablehlo_file  a form: the program for any XLA, with its weights; pose models have bundles instead
weights_file    a form: the weights alone
saved_model     a form: TensorFlow's SavedModel
onnx_file       a form: ONNX
card            the model card, README.md
"""
