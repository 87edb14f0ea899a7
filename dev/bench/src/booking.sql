\set user :client_id + 1
\set lot random(1, 20)
\set reservation 0
BEGIN;
SELECT s.id AS spot, l.price_minor AS price, l.location_name AS lot_name, l.address AS lot_address FROM spots s JOIN lots l ON l.id = s.lot_id WHERE s.lot_id = :lot AND l.archived_at IS NULL AND s.retired_at IS NULL AND NOT s.retiring AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active')) ORDER BY s.number LIMIT 1 FOR UPDATE OF s SKIP LOCKED \gset
INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at) SELECT u.id, :lot, :spot, 'active', since.at, since.at, :price, now() FROM users u, (SELECT COALESCE(MAX(left_at), now()) AS at FROM reservations WHERE spot_id = :spot AND state = 'completed' AND left_at > now()) since WHERE u.id = :user AND u.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = :spot AND r.state = 'active') FOR SHARE OF u ON CONFLICT DO NOTHING RETURNING id AS reservation \aset
\if :reservation > 0
INSERT INTO user_activity (user_id, kind, subject, created_at) VALUES (:user, 'booking', :reservation::text, now());
INSERT INTO jobs (id, kind, queue, payload, unique_key, owner_id, state, max_attempts, run_at, trace, created_at) VALUES (gen_random_uuid(), 'send-confirmation', 'mail', '{"reservation_id":123456}', :reservation::text, :user, 'queued', 10, now(), '019aa0f0-0000-7000-8000-000000000000', now()) ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') DO NOTHING;
COMMIT;
BEGIN;
SELECT r.id, r.user_id, r.lot_id, r.spot_id, r.state, r.starts_at, r.ends_at, r.arrived_at, r.left_at, r.hourly_rate_minor, r.cost_minor, r.transaction_id, r.payment_method, l.location_name AS lot_name, l.address AS lot_address FROM reservations r JOIN lots l ON l.id = r.lot_id WHERE r.id = :reservation AND (r.user_id = :user OR FALSE) FOR UPDATE OF r;
UPDATE reservations SET state = 'completed', left_at = GREATEST(now(), arrived_at), cost_minor = 2500, transaction_id = 'TXN' || :reservation::text, payment_method = 'Card' WHERE id = :reservation;
INSERT INTO user_activity (user_id, kind, subject, created_at) VALUES (:user, 'release', :reservation::text, now());
INSERT INTO jobs (id, kind, queue, payload, unique_key, owner_id, state, max_attempts, run_at, trace, created_at) VALUES (gen_random_uuid(), 'send-receipt', 'mail', '{"reservation_id":123456}', :reservation::text, :user, 'queued', 10, now(), '019aa0f0-0000-7000-8000-000000000000', now()) ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') DO NOTHING;
COMMIT;
\else
ROLLBACK;
\endif
