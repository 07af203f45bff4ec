"""Calls to partners: TLS, timeouts, retries and circuit breakers of the design document's table."""

from functools import partial

import aiohttp

from ops.waiting import until
from services.payments.partners.ach import AchClient
from tests.contract.mesh.conftest import ACH_TRY_S, FCM_S, SMS_TRY_S, Mesh
from tests.rigs.host_speed import waited_out_s
from tests.rigs.mesh.partner import HANG, RESET

ACH = "ach-network.example"
FRAUD = "fraud.example"
FCM = "fcm.googleapis.com"
SMS = "sms-gateway.example"
OAUTH = "oauth.example"
KEY = {"Idempotency-Key": "once"}
LOOK_UPS = 6
"""More than the failures in a row that open a breaker of the clearing house."""


async def test_ach_gets_the_banks_client_certificate_and_the_idempotency_key(mesh: Mesh) -> None:
    mesh.ach.told()
    status, _ = await mesh.send("payments", ACH, headers=KEY)
    assert (status, mesh.ach.clients, mesh.ach.keys) == (200, ["bp-client"], ["once"])


async def test_a_partners_certificate_from_another_authority_is_refused(mesh: Mesh) -> None:
    rig, folder = mesh.rig, mesh.rig.home / "partners" / FRAUD
    mesh.fraud.told()
    for name, authority in (("fcm", rig.server_ca["fcm"]), ("webhooks", rig.partner_ca)):
        before = await mesh.counted("payments", FRAUD, "ssl.fail_verify_error")
        await mesh.fraud.close()
        authority.issue(folder, dns=(FRAUD,))
        await mesh.fraud.start(rig.partner_port[FRAUD], folder)
        assert ((await mesh.send("payments", FRAUD))[0], mesh.fraud.keys) == (503, []), name
        assert await mesh.counted("payments", FRAUD, "ssl.fail_verify_error") > before
    await mesh.fraud.close()
    rig.server_ca["fraud"].issue(folder, dns=(FRAUD,))
    await mesh.fraud.start(rig.partner_port[FRAUD], folder)

    async def accepted() -> bool:
        return (await mesh.send("payments", FRAUD))[0] == 200

    await until(accepted, 10, "the sidecar calls the partner again")


async def test_ach_is_tried_four_times_with_one_key(mesh: Mesh) -> None:
    mesh.ach.told(503, RESET, HANG)
    status, seconds = await mesh.send("payments", ACH, headers=KEY)
    assert (status, mesh.ach.keys) == (200, ["once"] * 4)
    assert seconds >= waited_out_s(ACH_TRY_S)


async def test_a_422_of_the_clearing_house_is_not_retried(mesh: Mesh) -> None:
    mesh.ach.told(422)
    assert (await mesh.send("payments", ACH))[0] == 422
    assert len(mesh.ach.keys) == 1


async def test_five_failures_open_the_breaker_and_time_closes_it(mesh: Mesh) -> None:
    mesh.ach.told(200)
    assert (await mesh.send("payments", ACH))[0] == 200
    mesh.ach.told(*[500] * 5)
    assert (await mesh.send("payments", ACH))[0] == 500
    status, _ = await mesh.send("payments", ACH)
    assert (status, len(mesh.ach.keys)) == (503, 5)
    # With an open breaker the sidecar answers at once: no address is healthy, so it does not retry.
    retries = await mesh.counted("payments", ACH, "upstream_rq_retry")
    refused = await mesh.counted("payments", ACH, "upstream_cx_none_healthy")
    for _ in range(2):
        assert (await mesh.send("payments", ACH))[0] == 503
    assert await mesh.counted("payments", ACH, "upstream_cx_none_healthy") == refused + 2
    assert await mesh.counted("payments", ACH, "upstream_rq_retry") == retries
    assert len(mesh.ach.keys) == 5

    async def closed() -> bool:
        return (await mesh.send("payments", ACH))[0] == 200

    await until(closed, 5, "the breaker closes")


async def test_a_directory_that_fails_leaves_the_breaker_of_submissions_closed(mesh: Mesh) -> None:
    mesh.ach.told(*[503] * LOOK_UPS)
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(mesh.rig.socket_out("payments")))
    ) as session:
        client = AchClient(session, session, "key")
        assert all([await client.takes_part("021000021") for _ in range(LOOK_UPS)])
    assert set(mesh.ach.hosts) == {ACH}
    mesh.ach.told()
    assert (await mesh.send("payments", ACH))[0] == 200
    assert len(mesh.ach.keys) == 1


async def test_fraud_is_tried_twice(mesh: Mesh) -> None:
    mesh.fraud.told(503, 503, 503)
    assert (await mesh.send("payments", FRAUD))[0] == 503
    assert (len(mesh.fraud.keys), set(mesh.fraud.clients)) == (2, {""})


async def test_fcm_times_out(mesh: Mesh) -> None:
    mesh.fcm.told(HANG)
    timeouts = await mesh.counted("notifications", FCM, "upstream_rq_timeout")
    status, seconds = await mesh.send("notifications", FCM)
    assert status == 504
    assert seconds >= 0.9 * waited_out_s(FCM_S)
    # The first try used up the timeout of the whole call, so there is no second try.
    assert await mesh.counted("notifications", FCM, "upstream_rq_timeout") == timeouts + 1
    assert len(mesh.fcm.keys) == 1


async def test_sms_is_tried_three_times_with_one_key_and_without_a_client_certificate(
    mesh: Mesh,
) -> None:
    mesh.sms.told(503, RESET)
    status, _ = await mesh.send("auth", SMS, headers=KEY)
    assert (status, mesh.sms.keys, set(mesh.sms.clients)) == (200, ["once"] * 3, {""})
    mesh.sms.told(HANG)
    status, seconds = await mesh.send("auth", SMS, headers=KEY)
    assert (status, mesh.sms.keys) == (200, ["once"] * 2)
    assert seconds >= waited_out_s(SMS_TRY_S)


async def test_a_refusal_of_the_sms_gateway_is_not_retried(mesh: Mesh) -> None:
    for refusal in (402, 409, 422, 429, 500):
        mesh.sms.told(refusal)
        assert (await mesh.send("auth", SMS))[0] == refusal
        assert len(mesh.sms.keys) == 1
    mesh.sms.told()
    assert (await mesh.send("auth", SMS))[0] == 200


async def test_five_failures_open_the_breaker_of_the_sms_gateway(mesh: Mesh) -> None:
    mesh.sms.told(*[500] * 5)
    assert [(await mesh.send("auth", SMS))[0] for _ in range(5)] == [500] * 5
    assert ((await mesh.send("auth", SMS))[0], len(mesh.sms.keys)) == (503, 5)

    async def closed() -> bool:
        return (await mesh.send("auth", SMS))[0] == 200

    await until(closed, 5, "the breaker closes")


async def test_a_breaker_that_has_just_closed_opens_again_at_once(mesh: Mesh) -> None:
    """By default Envoy collects changes of health for a second before it acts on them."""
    merged = await mesh.rig.stats("auth", "cluster_manager.update_merge")

    async def closed() -> bool:
        mesh.sms.told()
        return (await mesh.send("auth", SMS))[0] == 200

    async def opened(before: int) -> bool:
        return await mesh.counted("auth", SMS, ejections) == before + 1

    ejections = "outlier_detection.ejections_enforced_total"
    for _ in range(2):
        before = await mesh.counted("auth", SMS, ejections)
        mesh.sms.told(*[500] * 20)
        found = [(await mesh.send("auth", SMS))[0] for _ in range(5)]
        # Another thread of the sidecar opens the breaker; its decision must count at once.
        await until(partial(opened, before), 5, "the breaker opens")
        found += [(await mesh.send("auth", SMS))[0] for _ in range(3)]
        assert (found, len(mesh.sms.keys)) == ([500] * 5 + [503] * 3, 5)
        await until(closed, 10, "the breaker closes")
    assert await mesh.rig.stats("auth", "cluster_manager.update_merge") == merged


async def test_auths_calls_to_the_oauth_provider_are_tried_three_times(mesh: Mesh) -> None:
    mesh.oauth.told(503, RESET)
    assert ((await mesh.send("auth", OAUTH))[0], len(mesh.oauth.keys)) == (200, 3)
    mesh.oauth.told(400)
    assert ((await mesh.send("auth", OAUTH))[0], len(mesh.oauth.keys)) == (400, 1)


async def test_three_failures_open_the_breaker_of_the_oauth_provider_for_auth(mesh: Mesh) -> None:
    ejections = "outlier_detection.ejections_enforced_total"
    before = await mesh.counted("auth", OAUTH, ejections)
    mesh.oauth.told(503, 503, 503)
    assert (await mesh.send("auth", OAUTH))[0] == 503

    async def opened() -> bool:
        return await mesh.counted("auth", OAUTH, ejections) == before + 1

    # Another thread of the sidecar opens the breaker, so the next call may be too early.
    await until(opened, 5, "the breaker opens")
    assert ((await mesh.send("auth", OAUTH))[0], len(mesh.oauth.keys)) == (503, 3)

    async def closed() -> bool:
        return (await mesh.send("auth", OAUTH))[0] == 200

    await until(closed, 5, "the breaker closes")


async def test_a_partner_that_shows_another_name_is_not_trusted(mesh: Mesh) -> None:
    """Here oauth2.googleapis.com presents the certificate of another partner."""
    rig = mesh.rig
    port = rig.partner_port["oauth2.googleapis.com"]
    await mesh.fcm.start(port, rig.home / "partners" / "oauth.example")
    mesh.fcm.told()
    assert (await mesh.send("notifications", "oauth2.googleapis.com"))[0] == 503
    assert mesh.fcm.keys == []
