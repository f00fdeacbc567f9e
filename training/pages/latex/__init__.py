"""Pages that LaTeX sets: written by `writer`, run and read by `engine`."""

from .engine import render

__all__ = ["render"]
