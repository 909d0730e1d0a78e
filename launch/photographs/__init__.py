"""What photographs_test.py measures with.

pictures   photographs with labels, read from the files of the datasets they come from
scores     what an estimator makes of them, in numbers
"""
