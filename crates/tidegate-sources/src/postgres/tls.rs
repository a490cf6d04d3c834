//! TLS towards Postgres.

use std::sync::Once;

/// Makes aws-lc-rs the crypto provider of the process. Whoever connects calls it first: rustls
/// panics at first use where it finds no provider, or two of them.
pub(super) fn provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error says that there is one already, which an embedding program may have chosen.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::provider;

    #[test]
    fn the_provider_is_aws_lc_rs() {
        provider();
        provider();
        let installed = rustls::crypto::CryptoProvider::get_default().expect("a provider");
        let ours = rustls::crypto::aws_lc_rs::default_provider();
        let names = |provider: &rustls::crypto::CryptoProvider| format!("{:?}", provider.kx_groups);
        assert_eq!(names(installed), names(&ours));
        assert!(format!("{installed:?}").contains("aws_lc_rs"), "{installed:?}");
    }
}
