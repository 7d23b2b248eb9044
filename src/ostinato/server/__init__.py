"""The classifier over HTTP, with a page: ``ostinato serve``, the extra ``serve``."""
