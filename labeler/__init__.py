"""labeler: masks for a stream of images, with a person only where the model is unsure."""

__version__ = "0.1.0"
