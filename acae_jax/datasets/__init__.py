"""Builders of datasets, and what they share.

writer     records of any schema → a dataset on disk, with the names of its joints
pool       work of several processes
chunks     the records of large datasets made by several processes; builds can be continued
synthetic  the embedded people: bodies, motions, rooms, cameras, and their builder

Official releases become datasets on one way, `building` → `shards` → `frames_to_records`:

release            what a builder says and gives: people in frames
official           the builders, one a dataset
readers            file formats of releases
steps              what builders have in common: sampling, boxes, the stored crop
frames_to_records  frames → crop records; what is broken is counted, what is wrong stops
record_files       files of records that are complete or absent
shards             units of work → files → a dataset, continued, on one machine or several
building           checks of a release's folder, the list of what there is
checking           what a built dataset measures, with warnings, on pages for people

Users' own recordings go the same way: `own` makes the plan of work from their description.

record_pictures: a record's crop with its skeleton.
props_from_photographs: occluders of Pascal VOC, and backgrounds of photographs without people.
"""
