-- The table of the shop. Nothing here is for Tidegate: no trigger, no extra column, no REPLICA IDENTITY.
CREATE TABLE orders (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  region     text NOT NULL,
  customer   text NOT NULL,
  status     text NOT NULL DEFAULT 'new',
  total      numeric(10, 2) NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO orders (region, customer, status, total) VALUES
  ('eu', 'Ada', 'paid', 129.00),
  ('us', 'Grace', 'shipped', 48.50),
  ('apac', 'Yukihiro', 'new', 310.75);
