"""Trainings as jobs: their runs' folders, the settings that people saved, and curves beside each other."""
