"""Builders of datasets, and the writer that they share.

writer     records of any schema → a dataset on disk, with the names of its joints
synthetic  the embedded people: bodies, motions, rooms, cameras, and their builder
"""
