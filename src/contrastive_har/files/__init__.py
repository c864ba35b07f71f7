"""Files as the project writes them: stamped, checksummed, atomic."""
