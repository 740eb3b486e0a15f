"""Thin Serve shells round plain objects: embedder, classifier, retriever."""
