"""A report: one page that holds everything, and loads nothing."""
