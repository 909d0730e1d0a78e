"""Embedded people: a body, its motions, and the pictures made of them."""
