"""The checks of `storelog doctor`: what is wrong with this machine or its servers, what to do."""
