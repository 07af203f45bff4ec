"""Reads mesh/config/, the descriptor set and the endpoints file; refuses what is not understood."""
