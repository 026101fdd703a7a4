"""All of HiGAN's study as one benchmark: ``python -m benchmarks.run paper [--scale S] [--out DIR]``.

Sampling, boundaries and verification on random networks of the paper's size, by the public calls, each timed
alone with the peaks of host and device memory, in a run folder that a second call goes on with.
"""
