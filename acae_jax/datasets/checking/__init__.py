"""What a built dataset holds, for people to look at before they train on it.

looked_at  a dataset's report and an even sample of its records → arrays
measures   arrays → numbers: bones by subject, symmetry, sizes, labels, boxes, …
warnings   numbers → what a reader should think of them
charts     numbers → figures
pages      a page for each dataset, one page for all, and a table for the terminal
running    looks at datasets on disk and writes all that
"""
