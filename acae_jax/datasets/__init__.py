"""Builders of datasets, and what they share.

writer     records of any schema → a dataset on disk, with the names of its joints
chunks     the records of large datasets made by several processes; builds can be continued
readers    the file formats in which datasets are released → plain data
synthetic  the embedded people: bodies, motions, rooms, cameras, and their builder
"""
