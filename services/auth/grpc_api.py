"""bp.auth.v1.AuthService: map in, handle, map out."""

import uuid
from typing import Any

from bp.auth.v1 import auth_service_pb2 as pb

from services.auth import mapping
from services.auth.handlers import (
    biometric,
    devices,
    login,
    passwords,
    receipts,
    tokens,
    totp,
)
from services.auth.handlers.caller import caller
from services.auth.handlers.dependencies import Dependencies
from services.chassis.call_context import current_call


class AuthApi:
    """The service's RPCs."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def login(self, request: pb.LoginRequest, _: Any) -> pb.LoginResponse:
        """Check the password and begin a login."""
        started = await login.login(
            self._deps, request.email, request.password, request.device_token
        )
        return mapping.login_message(started)

    async def resend_otp(self, request: pb.ResendOtpRequest, _: Any) -> pb.ResendOtpResponse:
        """Send another code."""
        return mapping.resend_message(await login.resend_otp(self._deps, request.session_id))

    async def verify_otp(self, request: pb.VerifyOtpRequest, _: Any) -> pb.VerifyOtpResponse:
        """Check the code and ask for a biometric feature."""
        wanted = await biometric.verify_otp(
            self._deps,
            request.session_id,
            request.otp,
            mapping.otp_method(request.method),
            mapping.biometric_method(request.biometric_method),
        )
        return mapping.wanted_message(request.session_id, wanted, self._deps.settings)

    async def verify_biometric(
        self, request: pb.VerifyBiometricRequest, _: Any
    ) -> pb.VerifyBiometricResponse:
        """Check the biometric feature and return the tokens."""
        proof = mapping.proof(request.biometric_data)
        done = await biometric.verify_biometric(
            self._deps, request.session_id, proof, request.device_name
        )
        return mapping.logged_in_message(done)

    async def refresh_tokens(
        self, request: pb.RefreshTokensRequest, _: Any
    ) -> pb.RefreshTokensResponse:
        """Replace the tokens of a session."""
        pair = await tokens.refresh_tokens(self._deps, request.refresh_token, request.device_token)
        return mapping.refreshed_message(pair)

    async def step_up(self, request: pb.StepUpRequest, _: Any) -> pb.StepUpResponse:
        """Begin a second factor for a customer who is logged in."""
        started = await login.step_up(self._deps, caller(), request.device_token)
        return mapping.step_up_message(started)

    async def logout(self, _request: pb.LogoutRequest, _: Any) -> pb.LogoutResponse:
        """End the caller's session."""
        await tokens.logout(self._deps, caller())
        return pb.LogoutResponse()

    async def list_sessions(
        self, request: pb.ListSessionsRequest, _: Any
    ) -> pb.ListSessionsResponse:
        """List the caller's sessions."""
        me = caller()
        page = await tokens.list_sessions(
            self._deps, me, page_size=request.page_size, page_token=request.page_token
        )
        return mapping.sessions_message(*page, current=me.session_id)

    async def revoke_session(
        self, request: pb.RevokeSessionRequest, _: Any
    ) -> pb.RevokeSessionResponse:
        """End one of the caller's sessions."""
        await tokens.revoke_session(self._deps, caller(), uuid.UUID(request.session_id))
        return pb.RevokeSessionResponse()

    async def list_devices(self, request: pb.ListDevicesRequest, _: Any) -> pb.ListDevicesResponse:
        """List the caller's devices."""
        me = caller()
        page = await devices.list_devices(
            self._deps, me, page_size=request.page_size, page_token=request.page_token
        )
        return mapping.devices_message(*page, current=me.device_id)

    async def remove_device(
        self, request: pb.RemoveDeviceRequest, _: Any
    ) -> pb.RemoveDeviceResponse:
        """Remove one of the caller's devices."""
        await devices.remove_device(self._deps, caller(), uuid.UUID(request.device_id))
        return pb.RemoveDeviceResponse()

    async def create_device_key_challenge(
        self, _request: pb.CreateDeviceKeyChallengeRequest, _: Any
    ) -> pb.CreateDeviceKeyChallengeResponse:
        """Begin the registration of a device's key."""
        options = await devices.create_device_key_challenge(self._deps, caller())
        return mapping.registration_options_message(options)

    async def register_device_key(
        self, request: pb.RegisterDeviceKeyRequest, _: Any
    ) -> pb.RegisterDeviceKeyResponse:
        """Register a device's key."""
        me = caller()
        device = await devices.register_device_key(self._deps, me, mapping.registration(request))
        return pb.RegisterDeviceKeyResponse(
            device=mapping.device_message(device.shown(), current=me.device_id)
        )

    async def enrol_totp(self, _request: pb.EnrolTotpRequest, _: Any) -> pb.EnrolTotpResponse:
        """Begin the enrolment of an authenticator app."""
        return mapping.enrolment_message(await totp.enrol_totp(self._deps, caller()))

    async def confirm_totp(self, request: pb.ConfirmTotpRequest, _: Any) -> pb.ConfirmTotpResponse:
        """Complete the enrolment of an authenticator app."""
        recovery = await totp.confirm_totp(self._deps, caller(), request.otp)
        return pb.ConfirmTotpResponse(recovery_codes=recovery)

    async def remove_totp(self, _request: pb.RemoveTotpRequest, _: Any) -> pb.RemoveTotpResponse:
        """Remove the authenticator app."""
        await totp.remove_totp(self._deps, caller())
        return pb.RemoveTotpResponse()

    async def change_password(
        self, request: pb.ChangePasswordRequest, _: Any
    ) -> pb.ChangePasswordResponse:
        """Change the caller's password."""
        await passwords.change_password(
            self._deps, caller(), request.current_password, request.new_password
        )
        return pb.ChangePasswordResponse()

    async def forgot_password(
        self, request: pb.ForgotPasswordRequest, _: Any
    ) -> pb.ForgotPasswordResponse:
        """Begin the reset of a password."""
        started = await passwords.forgot_password(self._deps, request.email, request.device_token)
        return mapping.forgot_message(started)

    async def reset_password(
        self, request: pb.ResetPasswordRequest, _: Any
    ) -> pb.ResetPasswordResponse:
        """Set a new password with the code of a reset."""
        await passwords.reset_password(
            self._deps, request.session_id, request.otp, request.new_password
        )
        return pb.ResetPasswordResponse()

    async def receive_sms_receipt(
        self, request: pb.ReceiveSmsReceiptRequest, _: Any
    ) -> pb.ReceiveSmsReceiptResponse:
        """Record a delivery receipt of the SMS gateway."""
        signature = current_call.get().metadata.get("sms-signature", "")
        await receipts.receive_sms_receipt(self._deps, signature, request.body.data)
        return pb.ReceiveSmsReceiptResponse()
