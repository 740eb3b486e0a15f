"""What is kept: Postgres (numbered migrations, named SQL, frozen records) and artifacts."""
