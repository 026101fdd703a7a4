"""Several processes on one run folder: workers, and crews of them by hand, on Ray and on SLURM."""
