-- name: user_by_email
-- The user with an e-mail address, by the keyed digest of the address.
SELECT u.customer_id, u.email_index, u.phone_index, u.phone_sealed, u.locale, u.password_hash,
    u.login_epoch,
    EXISTS (SELECT FROM auth.totp t
        WHERE t.customer_id = u.customer_id AND t.confirm_time IS NOT NULL) AS has_totp
FROM auth.users u
WHERE u.email_index = $1

-- name: user
-- One user.
SELECT u.customer_id, u.email_index, u.phone_index, u.phone_sealed, u.locale, u.password_hash,
    u.login_epoch,
    EXISTS (SELECT FROM auth.totp t
        WHERE t.customer_id = u.customer_id AND t.confirm_time IS NOT NULL) AS has_totp
FROM auth.users u
WHERE u.customer_id = $1

-- name: contact
-- A user's e-mail address and telephone number, encrypted.
SELECT email_sealed, phone_sealed FROM auth.users WHERE customer_id = $1

-- name: lock_user
-- Locks a user for the transaction, so that changes of one customer happen one after the other.
SELECT customer_id FROM auth.users WHERE customer_id = $1 FOR NO KEY UPDATE

-- name: append
-- Appends events of one key. Their ids follow their order and are drawn under the customer's lock.
WITH locked AS (
    SELECT customer_id FROM auth.users WHERE customer_id = ANY ($2::uuid[]) FOR NO KEY UPDATE
)
INSERT INTO auth.event (event_id, key, event_type, subject, payload, traceparent)
SELECT e.event_id, e.key, e.event_type, e.subject, e.payload, e.traceparent
FROM (SELECT count(*) AS known FROM locked) AS counted
CROSS JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::text[])
    WITH ORDINALITY AS e (event_id, key, event_type, subject, payload, traceparent, place)
WHERE counted.known >= 0
ORDER BY e.place

-- name: note_failure
-- Counts a wrong password, if a user has the address, and appends events. The statement writes in
-- both cases, so that its time does not show whether the user exists.
WITH failed AS (
    UPDATE auth.users SET failed_attempts = least(failed_attempts + 1, 1000000)
    WHERE email_index = $7
    RETURNING customer_id
)
INSERT INTO auth.event (event_id, key, event_type, subject, payload, traceparent)
SELECT e.event_id, e.key, e.event_type, e.subject, e.payload, e.traceparent
FROM (SELECT count(*) AS known FROM failed) AS counted
CROSS JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::text[])
    WITH ORDINALITY AS e (event_id, key, event_type, subject, payload, traceparent, place)
WHERE counted.known >= 0
ORDER BY e.place

-- name: rehash
-- Replaces the hash of a password, unless the password was changed meanwhile.
UPDATE auth.users SET password_hash = $3
WHERE customer_id = $1 AND password_hash = $2
RETURNING customer_id

-- name: hashes_by_cost
-- How many passwords have each cost of bcrypt, the digits after "$2b$", in about $1 pages of the
-- table, or in all of a smaller one. A cost with very few hashes may be missing. The seed lets all
-- processes read the same pages at all times, so that the shares do not jump.
SELECT substr(password_hash, 5, 2) AS cost, count(*) AS hashes
FROM auth.users TABLESAMPLE SYSTEM (least(100, 100.0 * $1::integer
    * current_setting('block_size')::integer / greatest(pg_relation_size('auth.users'), 1)))
    REPEATABLE (0)
GROUP BY 1

-- name: set_password
-- Replaces a password, forgets the wrong tries and begins a new epoch, unless another epoch than $4
-- is current.
UPDATE auth.users SET password_hash = $2, password_change_time = $3, failed_attempts = 0,
    login_epoch = login_epoch + 1
WHERE customer_id = $1 AND login_epoch = $4
RETURNING customer_id

-- name: begin_epoch
-- Begins a new epoch, so that no login that is in progress can complete.
UPDATE auth.users SET login_epoch = login_epoch + 1
WHERE customer_id = $1

-- name: note_login
-- Notes a completed login and locks the user, if the login began in the current epoch.
UPDATE auth.users SET last_login = $2, failed_attempts = 0
WHERE customer_id = $1 AND login_epoch = $3
RETURNING customer_id

-- name: device_by_token
-- The device that keeps a token, by the digest of the token.
SELECT device_id, customer_id, device_name, token_hash, credential_id, public_key, sign_count,
    create_time, last_login_time
FROM auth.device
WHERE token_hash = $1 AND remove_time IS NULL

-- name: device
-- One device of a customer.
SELECT device_id, customer_id, device_name, token_hash, credential_id, public_key, sign_count,
    create_time, last_login_time
FROM auth.device
WHERE device_id = $2 AND customer_id = $1 AND remove_time IS NULL

-- name: devices
-- A customer's devices after a place in the list, the last used first.
SELECT device_id, customer_id, device_name, token_hash, credential_id, public_key, sign_count,
    create_time, last_login_time
FROM auth.device
WHERE customer_id = $1 AND remove_time IS NULL AND (last_login_time, device_id) < ($2, $3)
ORDER BY last_login_time DESC, device_id DESC
LIMIT $4

-- name: device_ids
-- The ids of a customer's devices.
SELECT device_id FROM auth.device WHERE customer_id = $1 AND remove_time IS NULL

-- name: add_device
-- Adds the device of a customer's first login with it.
INSERT INTO auth.device
    (device_id, customer_id, device_name, token_hash, create_time, last_login_time)
VALUES ($1, $2, $3, $4, $5, $5)

-- name: use_device
-- Notes a login with a known device.
UPDATE auth.device SET last_login_time = greatest(last_login_time, $3)
WHERE device_id = $2 AND customer_id = $1 AND remove_time IS NULL
RETURNING device_id

-- name: remove_device
-- Removes a device and its key, which may then belong to another device.
UPDATE auth.device SET remove_time = $3, credential_id = '', public_key = '', sign_count = 0
WHERE device_id = $2 AND customer_id = $1 AND remove_time IS NULL
RETURNING device_id

-- name: set_key
-- Gives a device its key; an earlier key is replaced.
UPDATE auth.device SET credential_id = $3, public_key = $4, sign_count = $5
WHERE device_id = $2 AND customer_id = $1 AND remove_time IS NULL

-- name: bump_sign_count
-- Sets a key's counter, unless another login has set it meanwhile.
UPDATE auth.device SET sign_count = $3
WHERE device_id = $1 AND sign_count = $2 AND remove_time IS NULL
RETURNING device_id

-- name: begin_session
-- Begins a session.
INSERT INTO auth.session
    (session_id, customer_id, device_id, create_time, refresh_time, expire_time)
VALUES ($1, $2, $3, $4, $4, $5)

-- name: end_surplus_sessions
-- Ends a customer's oldest sessions, except the newest $4 and the session $2.
UPDATE auth.session AS s SET end_time = $3, end_cause = $5
FROM auth.device AS d
WHERE s.customer_id = $1 AND s.end_time IS NULL AND d.device_id = s.device_id
    AND s.session_id IN (
        SELECT o.session_id FROM auth.session o
        WHERE o.customer_id = $1 AND o.end_time IS NULL AND o.expire_time > $3
            AND o.session_id <> $2
        ORDER BY o.session_id DESC
        OFFSET $4)
RETURNING s.session_id, s.customer_id, s.device_id, d.device_name, s.create_time, s.refresh_time,
    s.expire_time

-- name: session
-- One session of a customer, if it has not ended.
SELECT s.session_id, s.customer_id, s.device_id, d.device_name, s.create_time, s.refresh_time,
    s.expire_time
FROM auth.session s JOIN auth.device d USING (device_id)
WHERE s.session_id = $2 AND s.customer_id = $1 AND s.end_time IS NULL AND s.expire_time > $3

-- name: sessions
-- A customer's sessions below an id, newest first.
SELECT s.session_id, s.customer_id, s.device_id, d.device_name, s.create_time, s.refresh_time,
    s.expire_time
FROM auth.session s JOIN auth.device d USING (device_id)
WHERE s.customer_id = $1 AND s.session_id < $2 AND s.end_time IS NULL AND s.expire_time > $3
ORDER BY s.session_id DESC
LIMIT $4

-- name: end_sessions
-- Ends a customer's sessions: those of a list or all, those of a device or of all, but one.
UPDATE auth.session AS s SET end_time = $2, end_cause = $3
FROM auth.device AS d
WHERE s.customer_id = $1 AND s.end_time IS NULL AND s.expire_time > $2
    AND d.device_id = s.device_id
    AND ($4::uuid[] IS NULL OR s.session_id = ANY ($4))
    AND ($5::uuid IS NULL OR s.device_id = $5)
    AND s.session_id IS DISTINCT FROM $6::uuid
RETURNING s.session_id, s.customer_id, s.device_id, d.device_name, s.create_time, s.refresh_time,
    s.expire_time

-- name: recently_ended
-- Sessions that ended before their time after an instant, the latest first.
SELECT session_id, end_time FROM auth.session
WHERE end_time > $1
ORDER BY end_time DESC
LIMIT $2

-- name: open_sessions
-- Which of these sessions have not ended.
SELECT session_id FROM auth.session WHERE session_id = ANY($1::uuid[]) AND end_time IS NULL;

-- name: note_refresh
-- Notes that the tokens of a session were refreshed.
UPDATE auth.session SET refresh_time = greatest(refresh_time, $2)
WHERE session_id = $1 AND end_time IS NULL
RETURNING session_id

-- name: totp
-- A customer's authenticator app.
SELECT secret_sealed, confirm_time IS NOT NULL AS confirmed, last_step
FROM auth.totp WHERE customer_id = $1

-- name: start_totp
-- Keeps the secret of a new authenticator app; a confirmed app is not replaced.
INSERT INTO auth.totp AS t (customer_id, secret_sealed, create_time)
VALUES ($1, $2, $3)
ON CONFLICT (customer_id) DO UPDATE
SET secret_sealed = excluded.secret_sealed, create_time = excluded.create_time, last_step = 0
WHERE t.confirm_time IS NULL
RETURNING t.customer_id

-- name: confirm_totp
-- Confirms an authenticator app, if it still has the secret whose code was right.
UPDATE auth.totp SET confirm_time = $3, last_step = $4
WHERE customer_id = $1 AND secret_sealed = $2 AND confirm_time IS NULL
RETURNING customer_id

-- name: use_totp_step
-- Uses the code of a time step; a code of the same or an earlier step is not right again. Returns
-- the step before, as this statement found it: a parallel login may have used a code meanwhile.
UPDATE auth.totp SET last_step = $2
WHERE customer_id = $1 AND confirm_time IS NOT NULL AND last_step < $2
RETURNING old.last_step

-- name: give_back_totp_step
-- Makes the code of a time step right again, because no login session accepted it.
UPDATE auth.totp SET last_step = $3 WHERE customer_id = $1 AND last_step = $2

-- name: remove_totp
-- Removes a confirmed authenticator app.
DELETE FROM auth.totp WHERE customer_id = $1 AND confirm_time IS NOT NULL
RETURNING customer_id

-- name: delete_recovery_codes
-- Deletes a customer's recovery codes.
DELETE FROM auth.recovery_code WHERE customer_id = $1

-- name: add_recovery_codes
-- Adds recovery codes, by their digests.
INSERT INTO auth.recovery_code (customer_id, code_hash)
SELECT $1, code_hash FROM unnest($2::bytea[]) AS code (code_hash)

-- name: use_recovery_code
-- Uses a recovery code, once.
UPDATE auth.recovery_code SET use_time = $3
WHERE customer_id = $1 AND code_hash = $2 AND use_time IS NULL
RETURNING customer_id

-- name: give_back_recovery_code
-- Makes a recovery code right again, because no login session accepted it.
UPDATE auth.recovery_code SET use_time = NULL
WHERE customer_id = $1 AND code_hash = $2 AND use_time = $3

-- name: face
-- The picture of a customer's face, encrypted.
SELECT picture_sealed FROM auth.face WHERE customer_id = $1

-- name: record_receipt
-- Keeps the latest receipt of a text message; an older one changes nothing.
INSERT INTO auth.sms_receipt AS r (message_id, state, error_code, receipt_time)
VALUES ($1, $2, $3, $4)
ON CONFLICT (message_id) DO UPDATE
SET state = excluded.state, error_code = excluded.error_code, receipt_time = excluded.receipt_time
WHERE r.receipt_time < excluded.receipt_time

-- name: take_lease
-- Takes or renews the lease to publish, if an event waits and no other process has the lease.
UPDATE auth.publisher SET holder = $1, lease_until = now() + make_interval(secs => $2)
WHERE (holder = $1 OR lease_until < now())
    AND EXISTS (
        SELECT FROM auth.event WHERE publish_time IS NULL AND park_reason IS NULL)
RETURNING holder

-- name: waiting_events
-- The oldest events that are not published.
SELECT id, event_id, key, event_type, subject, payload, traceparent, create_time
FROM auth.event
WHERE publish_time IS NULL AND park_reason IS NULL
ORDER BY id
LIMIT $1

-- name: mark_published
-- Marks events that Kafka has acknowledged.
UPDATE auth.event SET publish_time = clock_timestamp()
WHERE event_id = ANY ($1::uuid[]) AND publish_time IS NULL

-- name: park
-- Marks an event that Kafka refuses permanently, with the reason.
UPDATE auth.event SET park_reason = $2
WHERE event_id = $1 AND publish_time IS NULL

-- name: ensure_partitions
-- Creates the missing partitions of the coming months.
SELECT auth.ensure_partitions($1)

-- name: drop_old_months
-- Drops sessions and events of old months.
SELECT auth.drop_old_months()

-- name: delete_old
-- Deletes old receipts and devices.
SELECT auth.delete_old($1)

-- name: operator_requests
-- The oldest requests of operators that are not carried out.
SELECT request_id, kind, customer_id, os_user, note FROM auth.operator_request
WHERE answer_time IS NULL
ORDER BY create_time
LIMIT $1

-- name: is_operator_answered
-- True when a request of an operator is carried out.
SELECT answer_time IS NOT NULL FROM auth.operator_request WHERE request_id = $1

-- name: answer_operator
-- Records that a request of an operator is carried out, once.
UPDATE auth.operator_request SET answer_time = $2, ended = $3
WHERE request_id = $1 AND answer_time IS NULL
RETURNING request_id
