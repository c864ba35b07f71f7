"""Scores, statistics, tables, figures and the report: from predictions to something a reader can believe."""
