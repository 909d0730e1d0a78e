"""A recording as one HTML page that shows its people in 3D.

html_page.py  puts a `recordings.results.Sequence` and its pictures into the page
assets/       the page: template, style and plain JavaScript
"""
