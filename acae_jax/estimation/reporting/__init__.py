"""The report of a finished workflow, as one page.

workflow          from the folders of the runs to results and files
workflow_results  the results that a report shows
report_page       the page, with its template beside it, and its numbers as JSON
pictures          people with skeletons, errors in depth, curves
latent_pictures   the weights of the autoencoder, and latent points on a body
relations         how well the joints of one format follow from another format
"""
