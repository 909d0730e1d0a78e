"""Training runs side by side, finished or not: what they reached, and what they differ in.

runs     one run as its folder tells it: log, config, version; series and where its time went
verdict  which run is ahead, by which score
columns  what is told of each run, as texts
page     the page, and the text for a terminal
"""
