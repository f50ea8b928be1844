"""The slurm engine: packs become tasks of held job arrays, each with its own dependencies and resources."""
