"""A Django app over the hub's tables: a read-only admin, and `manage.py check_rag_health`."""
