"""The stages, each a folder of pure nodes and the graph that connects them through the catalog."""
