"""Files of users: found in a folder, read as ``dataset.yml`` says, and put on a regular clock."""
