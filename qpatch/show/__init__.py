"""Results in, figures and tables out; nothing is computed here."""
