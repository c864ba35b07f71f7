"""The stages: each is a folder of pure functions and a pipeline that connects them through the catalog."""
