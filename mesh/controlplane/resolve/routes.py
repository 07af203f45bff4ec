"""The routes of a VirtualService, as the proxy of one caller needs them."""

from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.values import milliseconds
from mesh.controlplane.resolve.policy import retry

_PARTS_OF_PERCENT = 10_000
Hashed = frozenset[str | None]
"""The subsets of a host whose instances are chosen by a hash; None is the host itself."""
_PRESENT = model.Text(model.TextSort.PRESENT, "")


def routes(
    spec: shapes.VirtualServiceSpec, caller: str | None, hashed: Hashed = frozenset()
) -> tuple[model.Route, ...]:
    """Return the routes without those that are for other callers; None means no known caller."""
    found = (_route(each, caller, hashed) for each in spec.http)
    return tuple(each for each in found if each is not None)


def source(match: shapes.HttpMatch) -> str | None:
    """Return the only caller that a match is for, if there is one."""
    return match.source_labels["app"] if match.source_labels else None


def text(found: shapes.TextMatch) -> model.Text:
    """Return a condition on a text."""
    if found.exact is not None:
        return model.Text(model.TextSort.EXACT, found.exact)
    if found.prefix is not None:
        return model.Text(model.TextSort.PREFIX, found.prefix)
    if found.regex is not None:
        return model.Text(model.TextSort.REGEX, found.regex)
    return _PRESENT


def condition(found: shapes.HttpMatch) -> model.Match:
    """Return the conditions of a match, without that on the caller."""
    return model.Match(
        path=text(found.uri) if found.uri else None,
        path_ignores_case=found.ignore_uri_case if found.uri else False,
        method=text(found.method) if found.method else None,
        headers=(
            *(model.HeaderMatch(n, text(each)) for n, each in (found.headers or {}).items()),
            *(
                model.HeaderMatch(n, text(each), inverted=True)
                for n, each in (found.without_headers or {}).items()
            ),
        ),
        query=tuple(
            model.HeaderMatch(n, text(each)) for n, each in (found.query_params or {}).items()
        ),
    )


def _route(found: shapes.HttpRoute, caller: str | None, hashed: Hashed) -> model.Route | None:
    fitting = [each for each in found.match or () if source(each) in (None, caller)]
    if found.match and not fitting:
        return None
    delay, abort = _faults(found.fault)
    destinations = _destinations(found.route)
    # Envoy draws one of several destinations once, and every retry stays there.
    by_hash = any(each.weight and each.subset in hashed for each in destinations)
    return model.Route(
        name=found.name or "",
        matches=tuple(condition(each) for each in fitting),
        destinations=destinations,
        timeout_ms=None if found.timeout is None else milliseconds(found.timeout),
        retry=retry(found.retries, hashed=by_hash),
        delay=delay,
        abort=abort,
        request_headers=_edits(found.headers.request if found.headers else None),
        response_headers=_edits(found.headers.response if found.headers else None),
        rewrite=model.Rewrite(found.rewrite.uri, found.rewrite.authority)
        if found.rewrite
        else None,
        mirrors=_mirrors(found),
    )


def _destinations(found: list[shapes.HttpDestination]) -> tuple[model.Destination, ...]:
    weighted = [(each.destination.subset, each.weight) for each in found]
    if len(weighted) == 1:
        # Istio ignores the weight of a single destination.
        return (model.Destination(weighted[0][0]),)
    return tuple(model.Destination(subset, weight or 0) for subset, weight in weighted)


def _mirrors(found: shapes.HttpRoute) -> tuple[model.Mirror, ...]:
    if found.mirror is None:
        return ()
    share = found.mirror_percentage
    parts = model.WHOLE if share is None else _parts(share)
    return (model.Mirror(found.mirror.subset, parts),)


def _parts(share: shapes.Percentage) -> int:
    return round(share.value * _PARTS_OF_PERCENT)


def _faults(found: shapes.HttpFault | None) -> tuple[model.Delay | None, model.Abort | None]:
    if found is None:
        return None, None
    delay, abort = found.delay, found.abort
    return (
        model.Delay(milliseconds(delay.fixed_delay), _parts(delay.percentage)) if delay else None,
        model.Abort(abort.http_status, abort.grpc_status, _parts(abort.percentage))
        if abort
        else None,
    )


def _edits(found: shapes.HeaderOperations | None) -> model.HeaderEdits:
    if found is None:
        return model.HeaderEdits()
    return model.HeaderEdits(
        set=tuple((found.set or {}).items()),
        add=tuple((found.add or {}).items()),
        remove=tuple(found.remove or ()),
    )
