"""The OpenAPI links: a link reads only parameters that its request has."""

import re

from gateway.openapi.links import Method, links
from gateway.routes import gateway_routes
from services import contracts

_OF_THE_REQUEST = re.compile(r"\$request\.(path|query)\.(\w+)")


def test_a_link_reads_each_parameter_where_its_request_has_it() -> None:
    """A parameter of the path that is named as one of the query does not exist."""
    known = contracts.load()
    methods = {route.method: Method(route, known[route.method]) for route in gateway_routes(known)}
    places: set[str] = set()
    for source in methods.values():
        fields = source.contract.request.fields
        in_path = {one.json_name for one in fields if one.name in source.route.variables}
        for name, link in links(source, methods).items():
            for expression in link["parameters"].values():
                found = _OF_THE_REQUEST.fullmatch(expression)
                if found is not None:
                    places.add(found[1])
                    assert (found[2] in in_path) == (found[1] == "path"), name
    assert places == {"path", "query"}
