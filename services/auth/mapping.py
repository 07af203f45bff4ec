"""Between protobuf and the domain of auth; no other file knows both."""

import uuid
from collections.abc import Sequence
from typing import Any

from bp.auth.v1 import auth_service_pb2 as pb
from bp.auth.v1 import device_pb2, session_pb2
from webauthn.helpers import bytes_to_base64url

from services.auth.device_keys import Assertion, Registration, RegistrationOptions
from services.auth.results import Enrolment, LoggedIn, Started, Wanted
from services.auth.settings import AuthSettings
from services.auth.state import (
    BiometricMethod,
    Device,
    LoginSession,
    OtpMethod,
    Session,
    ShownDevice,
    TokenPair,
)
from services.chassis.timestamps import to_timestamp

TOKEN_TYPE = "Bearer"  # noqa: S105 - RFC 6750


def otp_method(number: int) -> OtpMethod | None:
    """Return the method of a request; None for the default or an unknown number."""
    names = session_pb2.OtpMethod.DESCRIPTOR.values_by_number
    return OtpMethod(names[number].name) if number and number in names else None


def biometric_method(number: int) -> BiometricMethod | None:
    """Return the method of a request; None for the default or an unknown number."""
    names = session_pb2.BiometricMethod.DESCRIPTOR.values_by_number
    return BiometricMethod(names[number].name) if number and number in names else None


def proof(data: pb.BiometricData) -> Assertion | bytes:
    """Return the third factor of a request: a key's signature or a picture."""
    if data.WhichOneof("data") == "face":
        return data.face.picture
    sent = data.assertion
    return Assertion(
        credential_id=sent.credential_id,
        client_data_json=sent.client_data_json,
        authenticator_data=sent.authenticator_data,
        signature=sent.signature,
    )


def registration(request: pb.RegisterDeviceKeyRequest) -> Registration:
    """Return the registration of a device's key."""
    return Registration(
        credential_id=request.credential_id,
        client_data_json=request.client_data_json,
        attestation_object=request.attestation_object,
    )


def login_message(started: Started) -> pb.LoginResponse:
    """Return a begun login."""
    return pb.LoginResponse(
        session_id=started.login_session_id,
        require_mfa=True,
        methods=_methods(started.session),
        phone_hint=started.phone_hint,
        expire_time=to_timestamp(started.session.expire_time),
    )


def step_up_message(started: Started) -> pb.StepUpResponse:
    """Return a begun step-up."""
    return pb.StepUpResponse(
        session_id=started.login_session_id,
        methods=_methods(started.session),
        phone_hint=started.phone_hint,
        expire_time=to_timestamp(started.session.expire_time),
    )


def _methods(session: LoginSession) -> list[Any]:
    return [session_pb2.OtpMethod.Value(method.value) for method in session.methods]


def resend_message(started: Started) -> pb.ResendOtpResponse:
    """Return a code that was sent again."""
    next_send = started.session.next_send_time
    return pb.ResendOtpResponse(
        phone_hint=started.phone_hint,
        resend_time=to_timestamp(next_send) if next_send else None,
        expire_time=to_timestamp(started.session.expire_time),
    )


def forgot_message(started: Started) -> pb.ForgotPasswordResponse:
    """Return a begun reset."""
    return pb.ForgotPasswordResponse(
        session_id=started.login_session_id,
        expire_time=to_timestamp(started.session.expire_time),
    )


def wanted_message(
    login_session_id: str, wanted: Wanted, settings: AuthSettings
) -> pb.VerifyOtpResponse:
    """Return what the biometric step needs."""
    session = wanted.session
    method: Any = session.biometric_method and session.biometric_method.value
    answer = pb.VerifyOtpResponse(
        session_id=login_session_id,
        biometric_method=method,
        liveness_session_id=session.liveness_session_id,
        expire_time=to_timestamp(session.expire_time),
    )
    if session.biometric_method is BiometricMethod.DEVICE_KEY:
        answer.device_key_challenge.challenge = bytes_to_base64url(session.challenge)
        answer.device_key_challenge.rp_id = settings.web_domain
        answer.device_key_challenge.credential_ids.extend(
            map(bytes_to_base64url, wanted.credential_ids)
        )
    return answer


def logged_in_message(done: LoggedIn) -> pb.VerifyBiometricResponse:
    """Return the tokens and the device of a completed login."""
    return pb.VerifyBiometricResponse(
        access_token=done.pair.access_token,
        refresh_token=done.pair.refresh_token,
        token_type=TOKEN_TYPE,
        expires_in=done.pair.expires_in_s,
        device=device_message(done.device, current=done.device.device_id),
        device_token=done.device_token,
    )


def refreshed_message(pair: TokenPair) -> pb.RefreshTokensResponse:
    """Return the next tokens."""
    return pb.RefreshTokensResponse(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        token_type=TOKEN_TYPE,
        expires_in=pair.expires_in_s,
    )


def device_message(device: ShownDevice, *, current: uuid.UUID | None) -> device_pb2.Device:
    """Return a device; `current` is that of the call's own session."""
    return device_pb2.Device(
        device_id=str(device.device_id),
        device_name=device.device_name,
        has_key=device.has_key,
        current=device.device_id == current,
        create_time=to_timestamp(device.create_time),
        last_login_time=to_timestamp(device.last_login_time),
    )


def session_message(session: Session, *, current: uuid.UUID | None) -> session_pb2.Session:
    """Return a session; `current` is the call's own."""
    return session_pb2.Session(
        session_id=str(session.session_id),
        device_id=str(session.device_id),
        device_name=session.device_name,
        current=session.session_id == current,
        create_time=to_timestamp(session.create_time),
        refresh_time=to_timestamp(session.refresh_time),
        expire_time=to_timestamp(session.expire_time),
    )


def sessions_message(
    sessions: Sequence[Session], next_page_token: str, *, current: uuid.UUID
) -> pb.ListSessionsResponse:
    """Return a page of sessions; `current` is the call's own."""
    return pb.ListSessionsResponse(
        sessions=[session_message(one, current=current) for one in sessions],
        next_page_token=next_page_token,
    )


def devices_message(
    devices: Sequence[Device], next_page_token: str, *, current: uuid.UUID | None
) -> pb.ListDevicesResponse:
    """Return a page of devices; `current` is that of the call's own session."""
    return pb.ListDevicesResponse(
        devices=[device_message(one.shown(), current=current) for one in devices],
        next_page_token=next_page_token,
    )


def registration_options_message(
    options: RegistrationOptions,
) -> pb.CreateDeviceKeyChallengeResponse:
    """Return what an app needs to make a key."""
    return pb.CreateDeviceKeyChallengeResponse(
        challenge=options.challenge,
        rp_id=options.rp_id,
        rp_name=options.rp_name,
        user_handle=options.user_handle,
        algorithms=options.algorithms,
    )


def enrolment_message(enrolment: Enrolment) -> pb.EnrolTotpResponse:
    """Return the secret of an authenticator app."""
    return pb.EnrolTotpResponse(
        secret=enrolment.secret, otpauth_uri=enrolment.otpauth_uri, qr_svg=enrolment.qr_svg
    )
