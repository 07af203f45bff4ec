"""How long calls of a replaced listener may continue, and the options with which Envoy starts.

An edit of a listener's own settings replaces it. If a proxy reads files, routes are part of their
listener, so every edit replaces it. Envoy lets the calls of the old listener continue for the drain
time and then ends them, so the drain time has to be longer than every route: `resolve` refuses a
longer timeout.
"""

DRAIN_S = 60
ARRIVAL_MS_MAX = 15_000
"""The longest time for the arrival of a request; the route's timeout begins after it."""
CALL_MS_MAX = 1000 * DRAIN_S - ARRIVAL_MS_MAX
"""The longest timeout of a route."""
DRAIN_OPTIONS = ("--drain-time-s", str(DRAIN_S), "--parent-shutdown-time-s", str(DRAIN_S + 1))
"""For every process of Envoy."""
