"""What is timed: one module for each kind of case, and the networks that they need."""
