"""A finished workflow as one page.

workflow          from the folders of runs to results and files
workflow_results  what a report shows
report_page       the page, its template beside it, and its numbers as JSON
pictures          people with their skeletons, errors in depth, curves
latent_pictures   the autoencoder's weights, and latent points on a body
relations         what affine combinations can say of one format from another
"""
