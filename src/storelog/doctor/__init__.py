"""What is wrong with this machine or these servers, and what to do: behind `storelog doctor`."""
