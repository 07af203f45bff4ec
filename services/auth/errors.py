"""The errors of auth, one class per cause; the reasons of bp.auth.v1.

A wrong factor has one class for every cause, so no answer says whether an account exists.
"""

from services.kernel.errors import BankError, Code


class AuthError(BankError):
    """Auth could not carry out the request."""

    domain = "bp.auth.v1"


class CredentialsInvalid(AuthError):
    """The e-mail address or the password is wrong. Check both and retry."""

    reason = "CREDENTIALS_INVALID"
    code = Code.UNAUTHENTICATED


class CurrentPasswordInvalid(AuthError):
    """The current password is wrong. Check it and retry."""

    reason = "CREDENTIALS_INVALID"
    code = Code.UNAUTHENTICATED


class OtpInvalid(AuthError):
    """The code is wrong or has expired. Check it, or use a new code."""

    reason = "OTP_INVALID"
    code = Code.UNAUTHENTICATED


class LoginSessionInvalid(AuthError):
    """This login or reset has ended or is not at this step. Start it again."""

    reason = "LOGIN_SESSION_INVALID"
    code = Code.UNAUTHENTICATED


class TriesExhausted(AuthError):
    """There were too many tries. Wait for the given time, then retry."""

    reason = "TRIES_EXHAUSTED"
    code = Code.RESOURCE_EXHAUSTED
    retry_after_s = 60


class OtpResendTooSoon(AuthError):
    """A code was sent a moment ago. Wait for it, or retry after the given time."""

    reason = "OTP_RESEND_TOO_SOON"
    code = Code.RESOURCE_EXHAUSTED
    retry_after_s = 60


class OtpSendsExhausted(AuthError):
    """Too many codes were sent to this telephone number. Use another method or retry later."""

    reason = "OTP_SENDS_EXHAUSTED"
    code = Code.RESOURCE_EXHAUSTED
    retry_after_s = 60


class MethodUnavailable(AuthError):
    """This method is not available for you or at this step. Use another one."""

    reason = "METHOD_UNAVAILABLE"
    code = Code.INVALID_ARGUMENT


class FaceNotMatched(AuthError):
    """The face does not match yours. Take a new picture in good light, or log in again."""

    reason = "FACE_NOT_MATCHED"
    code = Code.UNAUTHENTICATED


class FaceNotLive(AuthError):
    """The liveness check failed. Log in again and look into the camera yourself."""

    reason = "FACE_NOT_LIVE"
    code = Code.UNAUTHENTICATED


class FaceNotFound(AuthError):
    """The picture has no face. Take a new picture of your face."""

    reason = "FACE_NOT_FOUND"
    code = Code.INVALID_ARGUMENT


class FacesSeveral(AuthError):
    """The picture has more than one face. Take a new picture of your face alone."""

    reason = "FACES_SEVERAL"
    code = Code.INVALID_ARGUMENT


class LivenessPending(AuthError):
    """The liveness check has no result yet. Complete it, then retry."""

    reason = "LIVENESS_PENDING"
    code = Code.ABORTED
    retry_after_s = 2


class PictureInvalid(AuthError):
    """The picture cannot be used.

    Send a JPEG or PNG of at most 1.5 MB, with 80 to 4,096 pixels a side.
    """

    reason = "PICTURE_INVALID"
    code = Code.INVALID_ARGUMENT


class AssertionInvalid(AuthError):
    """The device's signature is not valid. Log in again."""

    reason = "ASSERTION_INVALID"
    code = Code.UNAUTHENTICATED


class RegistrationInvalid(AuthError):
    """The device's new key is not valid. Request a new challenge, then register the key again."""

    reason = "ASSERTION_INVALID"
    code = Code.UNAUTHENTICATED


class RefreshTokenInvalid(AuthError):
    """The refresh token is not valid. Log in again."""

    reason = "REFRESH_TOKEN_INVALID"
    code = Code.UNAUTHENTICATED


class DeviceTokenInvalid(AuthError):
    """The device token is not the one of your session's device. Log in again."""

    reason = "REFRESH_TOKEN_INVALID"
    code = Code.UNAUTHENTICATED


class RefreshTokenReused(AuthError):
    """The refresh token was already replaced, so the session ended. Log in again."""

    reason = "REFRESH_TOKEN_REUSED"
    code = Code.UNAUTHENTICATED


class PasswordUnsuitable(AuthError):
    """The new password breaks a rule. Choose another password."""

    reason = "PASSWORD_UNSUITABLE"
    code = Code.INVALID_ARGUMENT


class PasswordBreached(AuthError):
    """The new password is in a list of passwords that became public. Choose another one."""

    reason = "PASSWORD_BREACHED"
    code = Code.INVALID_ARGUMENT


class SessionNotFound(AuthError):
    """You have no session with this id. List your sessions to see their ids."""

    reason = "SESSION_NOT_FOUND"
    code = Code.NOT_FOUND


class DeviceNotFound(AuthError):
    """You have no such device, or your token belongs to none. List your devices, or log in."""

    reason = "DEVICE_NOT_FOUND"
    code = Code.NOT_FOUND


class TotpAlreadyEnrolled(AuthError):
    """You already have an authenticator app. Remove it first."""

    reason = "TOTP_ALREADY_ENROLLED"
    code = Code.ALREADY_EXISTS


class TotpNotEnrolled(AuthError):
    """You have no authenticator app. Set one up first."""

    reason = "TOTP_NOT_ENROLLED"
    code = Code.NOT_FOUND


class ReceiptSignatureInvalid(AuthError):
    """The signature of the receipt is not valid. Sign the body with the current secret."""

    reason = "RECEIPT_SIGNATURE_INVALID"
    code = Code.UNAUTHENTICATED


class ReceiptMalformed(AuthError):
    """The receipt cannot be read. Send the JSON that the contract describes."""

    reason = "RECEIPT_MALFORMED"
    code = Code.INVALID_ARGUMENT
