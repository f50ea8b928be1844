"""The results as tables: in a terminal, as files for other programs, as Markdown; and the texts of their cells."""
