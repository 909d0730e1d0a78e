"""Stored records → batches.

A dataset's records follow a schema. A mixture says which record stands in which slot of which
batch, from (seed, step, slot) alone; the feed reads those, makes examples of them and stacks them.

schema        what a record may hold; to and from what TFDS stores
crop_record   a person crop with 3D labels, 2D labels, both or none
track_record  a person's joints over time
sources       prepared datasets as sequences of records; nothing of a dataset is ever run
windows       short windows of tracks as records
mixture       quotas: record, dataset and epoch of each slot
feed          batches of the slots, made ahead by threads or processes
examples      a crop record → one augmented example
crop_batches  all of it for crops: datasets by name, their examples and batches

Joints are matched by name: datasets tell the joints of each format that they label.
"""
