"""The command line: one file a verb; ``main`` holds the app and its entry point."""
