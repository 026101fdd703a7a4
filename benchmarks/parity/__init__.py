"""Compares our generators with public implementations: codes and images from the same files and latents."""
