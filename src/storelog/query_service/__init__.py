"""The read side over HTTP: answers from MongoDB that say how fresh they are."""
