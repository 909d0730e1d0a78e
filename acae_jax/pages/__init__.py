"""What pages for people are made of, whatever they show.

charts     figures without pyplot, curves, inline SVG that suits light and dark pages
tables     one table as text for a terminal, or as HTML
style.css  how pages look
"""
