"""What makes the book out of chapters and results: site, run reports, explorers, student notebooks, PDF."""
