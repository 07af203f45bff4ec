"""The bank's services, one module for each, wired as in their bootstrap modules.

A module builds production's objects on the ports and stores that it gets as arguments. Production
code makes all decisions; these modules repeat none of them.
"""
