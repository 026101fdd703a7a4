"""Public implementations beside ours: the same files and latents, and how far codes and images differ."""
