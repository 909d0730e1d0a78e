"""What a built dataset holds, for people to look at before they train on it.

looked_at  a dataset's report and an even sample of its records → arrays
measures   arrays → numbers: bones by subject, symmetry, sizes, labels, boxes, …
judgement  numbers → warnings: what a reader should think of them
figures    bones and heights as charts
tiles      the contact sheet: crops with skeleton, box and mask
page       the page of one dataset
overview   the page of all datasets, and the table for a terminal
running    checks datasets on disk and writes all that
"""
