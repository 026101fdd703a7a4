"""What paired scores prove: effects and their intervals, the null, corrections, and when to stop."""
