"""A recording as one HTML page that shows its people in 3D.

html_page.py  puts a `recordings.results.Sequence` and its pictures into the page
stage.py      the camera of the pictures; ground and space around the people
arrays.py     arrays in the page as compressed text
assets/       the page: template, style and plain JavaScript
"""
