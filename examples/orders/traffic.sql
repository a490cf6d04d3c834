-- A shop's day, a small step five times a second, until Ctrl-C: orders come, move through their statuses, are
-- re-priced, change their region, and are cleared away.
\set ON_ERROR_STOP on
\o /dev/null
SET application_name = 'orders traffic';

DO $$
DECLARE
  regions   text[] := '{eu,us,apac}';
  customers text[] := '{Ada,Grace,Linus,Yukihiro,Barbara,Ken,Radia,Guido,Margaret,Edsger}';
  statuses  text[] := '{new,paid,packed,shipped,delivered}';
  step      int := floor(random() * 20);
  one       bigint;
BEGIN
  IF step < 5 THEN
    INSERT INTO orders (region, customer, total)
    VALUES (regions[1 + floor(random() * 3)], customers[1 + floor(random() * 10)], round((5 + random() * 495)::numeric, 2));
  ELSIF step < 16 THEN
    SELECT id INTO one FROM orders WHERE status <> 'delivered' ORDER BY random() LIMIT 1;
    UPDATE orders SET status = statuses[1 + array_position(statuses, status)], updated_at = now() WHERE id = one;
  ELSIF step < 17 THEN
    SELECT id INTO one FROM orders ORDER BY random() LIMIT 1;
    UPDATE orders SET total = round(total * 0.9, 2), updated_at = now() WHERE id = one;
  ELSIF step < 18 THEN
    -- Another region is another address: one change here, two there, seen together or not at all.
    SELECT id INTO one FROM orders ORDER BY random() LIMIT 1;
    UPDATE orders SET region = regions[1 + array_position(regions, region) % 3], updated_at = now() WHERE id = one;
  ELSIF (SELECT count(*) FROM orders) > 12 THEN
    SELECT id INTO one FROM orders ORDER BY status = 'delivered' DESC, id LIMIT 1;
    DELETE FROM orders WHERE id = one;
  END IF;
END
$$ \watch 0.2
