//! What a configuration says about TLS: the files, what is in them, and the names of peers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use roger::cli::{Exit, check};
use roger::config::{Config, Severity};
use roger::packet::Transport;

use crate::config_check::{examined, the_only_error, the_only_warning};
use crate::pki::{Authority, Time};
use crate::status_socket::Directory;

/// A directory with everything that is needed, and who has signed it.
fn files(name: &str) -> (Directory, Authority) {
    let directory = Directory::new(name);
    let authority = Authority::new("test");
    authority.write(&directory.0.join("ca.pem"));
    authority.certify(&["roger.example"]).write(&directory.0, "own");
    (directory, authority)
}

/// Four lines of a listener, six of one peer, seven of the other, with `more` at the end of it, and
/// then `[tls]`, in line 18 where `more` is one line.
fn text(more: &str, tls: &str) -> String {
    format!(
        "[[listen]]\naddress = \"127.0.0.1:5061\"\ntransports = [\"tls\"]\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"127.0.0.1:5070\"\n\
         transport = \"tls\"\ntls_name = \"SMSC.example\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"127.0.0.2:5080\"\n\
         transport = \"tls\"\n{more}\n[tls]\n{tls}"
    )
}

fn tls(directory: &Directory, lines: &[(&str, &str)]) -> String {
    let line =
        |(key, file): &(&str, &str)| format!("{key} = \"{}\"\n", directory.0.join(file).display());
    lines.iter().map(line).collect()
}

const ALL: [(&str, &str); 3] = [("certificate", "own.pem"), ("key", "own.key"), ("ca", "ca.pem")];

fn config(text: &str) -> Config {
    let found = examined(text, &[]);
    found.config.unwrap_or_else(|| panic!("{:#?}", found.diagnoses))
}

#[test]
fn certificates_keys_and_names_are_taken() {
    let (directory, _) = files("config-tls");
    let mut lines = Vec::from(ALL);
    lines.push(("client_ca", "ca.pem"));
    let config = config(&text("", &tls(&directory, &lines)));
    assert!(config.warnings.is_empty(), "{:#?}", config.warnings);
    let names: Vec<Option<&str>> =
        config.peers.iter().map(|peer| peer.tls_name.as_deref()).collect();
    assert_eq!(names, [Some("smsc.example"), None]);
    assert!(config.peers.iter().all(|peer| peer.transport == Transport::Tls));
    let found = config.tls.unwrap();
    assert_eq!(found.certificate, directory.0.join("own.pem"));
    assert_eq!(found.client_ca, Some(directory.0.join("ca.pem")));
}

#[test]
fn what_is_missing_is_named() {
    let (directory, _) = files("config-tls-missing");
    let without = |key: &str| {
        let lines: Vec<_> = ALL.into_iter().filter(|(one, _)| *one != key).collect();
        text("", &tls(&directory, &lines))
    };
    the_only_error(&without("ca"), "the certificate of this peer cannot be judged", 8, 13);
    the_only_error(&without("key"), "`key` is missing in [tls]", 18, 15);
    the_only_error(&without("certificate"), "`certificate` is missing in [tls]", 18, 7);
    let nothing = tls(&directory, &[("ca", "ca.pem")]);
    let nobody = "who listens for TLS needs a certificate";
    the_only_error(&text("", &nothing), nobody, 3, 14);
}

#[test]
fn files_are_read_and_have_to_be_what_they_are_said_to_be() {
    let (directory, authority) = files("config-tls-files");
    let with = |key: &str, file: &str| {
        let mut lines = ALL;
        lines.iter_mut().filter(|(one, _)| *one == key).for_each(|line| line.1 = file);
        text("", &tls(&directory, &lines))
    };
    let path = |file: &str| directory.0.join(file).display().to_string();
    let label = |text: &str| examined(text, &[]).diagnoses[0].label.clone();
    let missing = with("certificate", "no.pem");
    the_only_error(&missing, &format!("no certificate in {}", path("no.pem")), 18, 15);
    assert_eq!(label(&missing), "No such file or directory");
    the_only_error(&with("key", "no.key"), &format!("no private key in {}", path("no.key")), 19, 7);
    let no_root = with("ca", "own.key");
    the_only_error(&no_root, &format!("no certificate authority in {}", path("own.key")), 20, 6);
    assert_eq!(label(&no_root), "there is no certificate in it (PEM, BEGIN CERTIFICATE)");
    let no_key = with("key", "own.pem");
    the_only_error(&no_key, &format!("no private key in {}", path("own.pem")), 19, 7);
    // A key that is not that of the certificate.
    authority.certify(&["roger.example"]).write(&directory.0, "another");
    let pair = "key and certificate do not belong together";
    the_only_error(&with("key", "another.key"), pair, 19, 7);
    // A damaged file.
    fs::write(path("broken.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        .unwrap();
    let broken = with("certificate", "broken.pem");
    the_only_error(&broken, &format!("no certificate in {}", path("broken.pem")), 18, 15);
    // The world may change it: somebody else runs, or the time comes.
    for time in [Time::Past, Time::Future] {
        authority.certify_for(&["roger.example"], time).write(&directory.0, "own");
        let text = with("", "");
        the_only_error(&text, "nobody accepts this certificate now", 18, 15);
        assert_eq!(check::verdict(&examined(&text, &[]), false), Exit::Unavailable);
    }
    authority.certify_for(&["roger.example"], Time::Soon).write(&directory.0, "own");
    the_only_warning(&with("", ""), "this certificate ends within thirty days");
}

#[test]
fn a_key_that_everybody_may_read_is_warned_about() {
    let (directory, _) = files("config-tls-mode");
    let text = text("", &tls(&directory, &ALL));
    fs::set_permissions(directory.0.join("own.key"), fs::Permissions::from_mode(0o644)).unwrap();
    the_only_warning(&text, "everybody on this machine may read this key");
    let label = examined(&text, &[]).diagnoses[0].label.clone();
    assert_eq!(label, "mode 0644");
}

#[test]
fn a_name_is_a_host_and_is_asked_for_somewhere() {
    let (directory, _) = files("config-tls-name");
    let tls = tls(&directory, &ALL);
    let named = |name: &str| text(&format!("tls_name = \"{name}\""), &tls);
    for name in ["im.example", "192.0.2.1", "2001:db8::1", "im"] {
        assert_eq!(config(&named(name)).peers[1].tls_name.as_deref(), Some(name));
    }
    for name in ["", "a b", "sip:im.example", "*.example", "im.example:5061", "-"] {
        let message = format!("`{name}` is not a name in a certificate");
        the_only_error(&named(name), &message, 16, 12);
    }
    let suggestion = examined(&named("im.example:5061"), &[]).diagnoses[0].suggestion.clone();
    assert_eq!(suggestion.as_deref(), Some("leave out the port: \"im.example\""));
    // Over TCP, with nobody asking for certificates.
    let tcp = "[[listen]]\naddress = \"127.0.0.1:5060\"\n[[listen]]";
    let idle = named("im.example").replacen("[[listen]]", tcp, 1);
    let at = idle.rfind("transport = \"tls\"").unwrap();
    let idle = format!("{}transport = \"tcp\"{}", &idle[..at], &idle[at + 17..]);
    the_only_warning(&idle, "nobody is asked for this name");
    let client_ca = format!("client_ca = \"{}\"\n", directory.0.join("ca.pem").display());
    assert!(config(&format!("{idle}{client_ca}")).warnings.is_empty());
}

#[test]
fn two_peers_at_one_address_and_port_are_refused() {
    let (directory, _) = files("config-tls-two");
    let text = text("", &tls(&directory, &ALL)).replace("127.0.0.2:5080", "127.0.0.1:5070");
    let found = examined(&text, &[]);
    let errors = found.diagnoses.iter().filter(|one| one.severity == Severity::Error);
    let messages: Vec<&str> = errors.map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["127.0.0.1:5070 belongs to two peers: `smsc` and `im`"]);
}
