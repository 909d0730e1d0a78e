"""Stored records → batches.

The records of a dataset follow a schema. A mixture decides which record goes into which slot of
which batch, from (seed, step, slot) alone. The feed reads these records, turns them into examples
and stacks the examples.

schema        the fields of a record, and their conversion to and from TFDS
crop_record   a person crop with 3D labels, 2D labels, both or none
track_record  a person's joints over time
sources       prepared datasets as sequences of records; no code of a dataset is ever run
windows       short windows of tracks as records
mixture       quotas: dataset, epoch and record of each slot
feed          batches, made ahead of time by a thread or by processes
labels        the labels of a crop record → their places in an example
examples      a crop record → one augmented example
crop_batches  the whole way for crops: datasets by name, their examples and batches

Joints are matched by name: a dataset stores the joint names of each format that it labels.
"""
