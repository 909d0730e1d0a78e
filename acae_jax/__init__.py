"""3D human pose in every skeleton format at once, and in agreement."""
