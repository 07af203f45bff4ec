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

-- name: note_repeated
-- Notes offsets of source topics that repeat a recorded event; known ones are left out.
INSERT INTO audit.repeated (source_topic, source_partition, source_offset, event_id)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[])
ON CONFLICT DO NOTHING

-- name: try_lock_signing
-- Locks the signing of heads until the transaction ends; false if another process holds the lock.
SELECT audit.try_lock_signing()

-- name: confirm_session
-- Fails if the session ended, and with it the lock of signing.
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

-- name: whole_chain
-- The records of a chain from a sequence, in order, for verification.
SELECT chain, sequence, event_id, event_type, source_topic, source_partition, source_offset,
       subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash, payload
FROM audit.record
WHERE chain = $1 AND sequence >= $2
ORDER BY sequence, record_time

-- name: repeated
-- The offsets that repeat an event which is on record, for verification. Nothing signs these rows,
-- so the record must be of the same topic and partition, as a repetition by the relay always is.
SELECT source_topic, source_partition, source_offset
FROM audit.repeated
WHERE EXISTS (
    SELECT FROM audit.record
    WHERE record.event_id = repeated.event_id
        AND record.source_topic = repeated.source_topic
        AND record.source_partition = repeated.source_partition
)

-- name: ensure_partitions
-- Creates the missing partitions of the coming months.
SELECT audit.ensure_partitions($1)
