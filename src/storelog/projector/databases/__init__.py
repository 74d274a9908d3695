"""The databases that hold read models: connecting to them, setting up, switching and dropping."""
