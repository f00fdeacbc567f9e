"""Pages of real PDFs whose producer tagged them: the structure tree says what is a heading, a paragraph, a list item, a table, a figure."""

from .reader import sheets

__all__ = ["sheets"]
