"""The write side: HTTP commands to state and events, in one commit."""
