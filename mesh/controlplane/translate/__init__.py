"""Translates the model into Envoy's resources. Pure: no sockets, no clock, no files.

The one exception is the Lua source of the request check, which is part of the program.
`Sources` says how what a resource names reaches a proxy: by its stream, or inside the resource and
by watched files. So one translation works for both ways of delivery.
"""
