"""Each commit of the transfer saga, before and after it, under each fault."""
