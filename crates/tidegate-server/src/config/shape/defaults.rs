//! What a field is when it is not given, as it would be written.

macro_rules! default_text {
    ($($name:ident = $text:literal;)*) => {$(
        pub(in crate::config) fn $name() -> &'static str {
            $text
        }
    )*};
}
default_text! {
    listen = "127.0.0.1:8080";
    admin = "127.0.0.1:8081";
    heartbeat = "15s";
    hook_timeout = "2s";
    hook_cache = "10s";
    hook_down = "deny";
    allows = "0%";
    batch_delay_ms = "1";
    io_uring = "true";
    compress = "true";
    write_timeout_ms = "300000";
    lag_max = "1h";
    age_max = "6h";
    memory_max = "2GiB";
    path = "./tidegate-data";
    journal_bytes = "64MiB";
    segment_bytes = "128MiB";
    retain_age = "7d";
    retain_bytes = "1GiB";
    idempotency_age = "10m";
    idempotency_keys = "1M";
    batch_bytes_max = "8MiB";
    dead_letters = "false";
    numbers = "json";
    token_types = "any";
    ticket_age = "60s";
    min_version = "1.2";
    required = "false";
    leeway = "30s";
    discovery = "false";
    introspection_cache = "10s";
    opaque = "false";
    proxy_protocol = "false";
    overload_rate = "2/s";
    overload_cpu = "90%";
    overload_lag = "500ms";
    overload_memory = "85%";
    priority = "high";
}
