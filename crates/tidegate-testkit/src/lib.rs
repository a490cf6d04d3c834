//! Real processes, the reference model, clients and fault proxies for tests.
