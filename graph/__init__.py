"""The service as one picture: what an application is made of, and the one door to it."""
