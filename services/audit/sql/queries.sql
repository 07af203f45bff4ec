-- name: lock_chains
-- Locks the chains until the transaction ends; the fixed order prevents deadlocks.
SELECT audit.lock_chains($1)

-- name: heads
-- The last link of each chain; a chain without records has no row.
SELECT wanted.chain, head.sequence, head.hash, head.record_time, head.log_offset
FROM unnest($1::smallint[]) AS wanted (chain)
CROSS JOIN LATERAL (
    SELECT record.sequence, record.hash, record.record_time, record.log_offset
    FROM audit.record
    WHERE record.chain = wanted.chain
    ORDER BY record.sequence DESC
    LIMIT 1
) AS head

-- name: recorded
-- The events that are already recorded, with their places in the source topics. The range of ids
-- limits the search to their months.
SELECT event_id, source_topic, source_partition, source_offset FROM audit.record
WHERE event_id = ANY($1::uuid[]) AND event_id BETWEEN $2 AND $3

-- name: recorded_links
-- The links of the events that are recorded.
SELECT chain, sequence, event_id, event_type, source_topic, source_partition, source_offset,
       subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash, payload
FROM audit.record
WHERE event_id = ANY($1::uuid[]) AND event_id BETWEEN $2 AND $3

-- name: heads_to_sign
-- The last link and the last note of each chain; a chain without records has no row.
SELECT wanted.chain, head.sequence, head.hash, head.record_time, head.log_offset,
       note.sequence AS notes, note.hash AS notes_hash
FROM unnest($1::smallint[]) AS wanted (chain)
CROSS JOIN LATERAL (
    SELECT record.sequence, record.hash, record.record_time, record.log_offset
    FROM audit.record
    WHERE record.chain = wanted.chain
    ORDER BY record.sequence DESC
    LIMIT 1
) AS head
LEFT JOIN LATERAL (
    SELECT repeated.sequence, repeated.hash
    FROM audit.repeated
    WHERE repeated.chain = wanted.chain
    ORDER BY repeated.sequence DESC
    LIMIT 1
) AS note ON true

-- name: hashes
-- The hashes of links, each given by chain and sequence; a missing link has no row.
SELECT wanted.chain, link.hash
FROM unnest($1::smallint[], $2::bigint[]) AS wanted (chain, sequence)
CROSS JOIN LATERAL (
    SELECT record.hash FROM audit.record
    WHERE record.chain = wanted.chain AND record.sequence = wanted.sequence
    LIMIT 1
) AS link

-- name: note_heads
-- The last note of each chain; a chain without notes has no row.
SELECT wanted.chain, note.sequence, note.hash
FROM unnest($1::smallint[]) AS wanted (chain)
CROSS JOIN LATERAL (
    SELECT repeated.sequence, repeated.hash
    FROM audit.repeated
    WHERE repeated.chain = wanted.chain
    ORDER BY repeated.sequence DESC
    LIMIT 1
) AS note

-- name: already_noted
-- Returns the repetitions that have a note.
SELECT repeated.source_topic, repeated.source_partition, repeated.source_offset, repeated.event_id
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[])
    AS wanted (source_topic, source_partition, source_offset, event_id)
JOIN audit.repeated USING (source_topic, source_partition, source_offset, event_id)

-- name: notes_of_chain
-- The notes of a chain in order, for verification. `on_record` says whether the event has a record
-- of the same topic and partition, as a repetition by the relay always has.
SELECT repeated.chain, repeated.sequence, repeated.source_topic, repeated.source_partition,
       repeated.source_offset, repeated.log_offset, repeated.event_id, repeated.previous_hash,
       repeated.hash,
       EXISTS (
           SELECT FROM audit.record
           WHERE record.event_id = repeated.event_id
               AND record.source_topic = repeated.source_topic
               AND record.source_partition = repeated.source_partition
       ) AS on_record
FROM audit.repeated
WHERE repeated.chain = $1
ORDER BY repeated.sequence

-- name: try_lock_signing
-- Locks the signing of heads until the transaction ends; false if another process holds the lock.
SELECT audit.try_lock_signing()

-- name: confirm_session
-- Fails if the session has ended, because the signing lock has then been released.
SELECT 1

-- name: by_subject
-- A subject's records after a chain and sequence, oldest first; they share a key and therefore a
-- chain.
SELECT chain, sequence, event_id, event_type, source_topic, source_partition, source_offset,
       subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash, payload
FROM audit.record
WHERE subject = $1 AND (chain, sequence) > ($2, $3)
ORDER BY chain, sequence
LIMIT $4

-- name: by_chain
-- A chain's records after a sequence, oldest first.
SELECT chain, sequence, event_id, event_type, source_topic, source_partition, source_offset,
       subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash, payload
FROM audit.record
WHERE chain = $1 AND sequence > $2
ORDER BY sequence
LIMIT $3

-- name: keep_session
-- Lets the session wait in a transaction: a verification also reads Kafka and asks OpenBao.
SET idle_in_transaction_session_timeout = 0

-- name: whole_chain
-- The records of a chain from a sequence, in order, for verification.
SELECT chain, sequence, event_id, event_type, source_topic, source_partition, source_offset,
       subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash, payload
FROM audit.record
WHERE chain = $1 AND sequence >= $2
ORDER BY sequence, record_time

-- name: links_outside
-- The records of chains that do not exist; $1 is the number of chains.
SELECT chain, sequence, event_id
FROM audit.record
WHERE chain >= $1
ORDER BY chain, sequence

-- name: notes_outside
-- The notes of repeated events of chains that do not exist; $1 is the number of chains.
SELECT chain, sequence, event_id
FROM audit.repeated
WHERE chain < 0 OR chain >= $1
ORDER BY chain, sequence

-- name: ensure_partitions
-- Creates the missing partitions of the coming months.
SELECT audit.ensure_partitions($1)
