//! `hook infra certs gen`: what it writes is what a TLS library takes.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::Place;

fn openssl(directory: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn holds(directory: &Path, arguments: &str) {
    let (holds, said) = openssl(directory, arguments);
    assert!(holds, "openssl {arguments}: {said}");
}

#[test]
fn the_authority_has_signed_broker_and_client() {
    let place = Place::empty();
    let made = place.hook("infra certs gen --host kafka.internal --host 10.0.0.7 --client hook-relay --json");
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(made.json()["files"].as_array().unwrap().len(), 7);
    let certs = place.directory.path().join("certs");
    holds(&certs, "verify -CAfile ca.pem -purpose sslserver -verify_hostname kafka.internal broker.pem");
    holds(&certs, "verify -CAfile ca.pem -purpose sslserver -verify_ip 10.0.0.7 broker.pem");
    holds(&certs, "verify -CAfile ca.pem -purpose sslclient hook-relay.pem");
    assert!(!openssl(&certs, "verify -CAfile ca.pem -purpose sslserver hook-relay.pem").0, "a client is no server");
    assert!(!openssl(&certs, "verify -CAfile ca.pem -verify_hostname other.internal broker.pem").0);
    let (_, subject) = openssl(&certs, "x509 -in hook-relay.pem -noout -subject -nameopt RFC2253");
    assert_eq!(subject.trim(), "subject=CN=hook-relay");
    for (file, mode) in [("ca.key", 0o600), ("broker.key", 0o600), ("broker.keystore.pem", 0o600), ("ca.pem", 0o644)] {
        assert_eq!(std::fs::metadata(certs.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    // A key store has both, and they belong together.
    for public in ["x509 -in broker.keystore.pem -noout -pubkey", "pkey -in broker.keystore.pem -pubout"] {
        assert_eq!(openssl(&certs, public), openssl(&certs, "pkey -in broker.key -pubout"));
    }
}

#[test]
fn a_client_can_be_added_and_nothing_is_written_over() {
    let place = Place::empty();
    assert_eq!(place.hook("infra certs gen --client first").code, 0);
    let certs = place.directory.path().join("certs");
    let authority = std::fs::read(certs.join("ca.pem")).unwrap();

    let again = place.hook("infra certs gen --client second");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("broker.pem exists: --force"), "{again:?}");
    assert!(!certs.join("second.pem").exists());

    let added = place.hook("infra certs gen --client second --clients-only --json");
    assert_eq!((added.code, added.json()["authority_existed"].as_bool()), (0, Some(true)), "{added:?}");
    assert_eq!(std::fs::read(certs.join("ca.pem")).unwrap(), authority);
    holds(&certs, "verify -CAfile ca.pem -purpose sslclient second.pem");

    let broker = std::fs::read(certs.join("broker.pem")).unwrap();
    assert_eq!(place.hook("infra certs gen --force --client first").code, 0);
    assert_ne!(std::fs::read(certs.join("broker.pem")).unwrap(), broker);
    holds(&certs, "verify -CAfile ca.pem -purpose sslserver broker.pem");
}

#[test]
fn a_server_that_is_no_broker_has_a_name_of_its_own() {
    let place = Place::empty();
    let made = place.hook("infra certs gen --server ingress --host hook.internal");
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.stdout.contains("tls = { cert_path = \"certs/ingress.pem\", key_path = \"certs/ingress.key\" }"),
        "{made:?}"
    );
    let certs = place.directory.path().join("certs");
    holds(&certs, "verify -CAfile ca.pem -purpose sslserver -verify_hostname hook.internal ingress.pem");
    assert!(!certs.join("broker.pem").exists() && !certs.join("broker.keystore.pem").exists());
    let same = place.hook("infra certs gen --server one --client one");
    assert!(same.code == 1 && same.stderr.contains("one is the name of the server and of a client"), "{same:?}");
}

#[test]
fn an_authority_that_does_not_fit_signs_nothing() {
    let place = Place::empty();
    let certs = place.directory.path().join("certs");
    assert_eq!(place.hook("infra certs gen").code, 0);
    assert_eq!(place.hook("infra certs gen --dir other").code, 0);
    std::fs::copy(place.directory.path().join("other/ca.pem"), certs.join("ca.pem")).unwrap();
    let foreign = place.hook("infra certs gen --force");
    assert_eq!(foreign.code, 1);
    assert!(foreign.stderr.contains("certs/ca.pem is not the certificate"), "{foreign:?}");

    std::fs::remove_file(certs.join("ca.pem")).unwrap();
    let half = place.hook("infra certs gen --force");
    assert!(half.stderr.contains("ca.key exists and certs/ca.pem does not"), "{half:?}");

    for wrong in ["--client ca", "--client ../up", "--days 0"] {
        assert_eq!(place.hook(&format!("infra certs gen {wrong}")).code, 2, "{wrong}");
    }
    let host = place.hook("infra certs gen --dir new --host kafka:9093");
    assert!(host.stderr.contains("without a port"), "{host:?}");
}
