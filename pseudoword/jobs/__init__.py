"""What is asked of the model by whom: trainings in the background, and who may use the model now."""
