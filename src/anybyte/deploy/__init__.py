"""Models in production: a server and its client, exported models, and runs over very many files."""
