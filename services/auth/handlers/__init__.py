"""The commands of auth, one async function each; a module for each part of a login."""
