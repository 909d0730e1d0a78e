"""Files of any origin, read and named safely."""
