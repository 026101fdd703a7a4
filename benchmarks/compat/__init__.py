"""Public code beside itself with our ops in it: the same images, and how much faster."""
