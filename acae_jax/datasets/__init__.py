"""Builders of every dataset; all write the one record schema."""
