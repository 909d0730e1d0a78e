"""Training runs side by side, finished or still running: their scores and how their configs differ.

runs     one run, read from its folder: config, log, version, and how it spent its time
verdict  which run is best, and by which score
columns  what the tables say about each run, as text
page     the HTML page, and the text for a terminal
"""
