"""Tables, figures, findings and the report."""
