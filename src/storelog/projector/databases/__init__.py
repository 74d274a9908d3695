"""The databases that hold read models: how they are reached, set up, switched and dropped."""
