//! A service on real sockets: both address families, and ports of its own for its requests.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use roger::config::Config;
use roger::delivery::Verdict;
use roger::oam::{Service, StartError};

use crate::run_process::two_ports;

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn text(sms: SocketAddr, im: SocketAddr, listen: &str, more: &str) -> String {
    format!(
        "[workers]\ncpus = \"any\"\npolling = \"wait\"\n\
         [[listen]]\naddress = \"{listen}\"\n\
         [[listen]]\naddress = \"[::1]:0\"\nadvertise = \"localhost:5099\"\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"{sms}\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"im_server\"\naddress = \"{im}\"\n\
         [route]\noutbound_proxies = \"im\"\n\
         [capacity]\nrate = 100\nopen = 64\nopen_large = 4\n{more}"
    )
}

fn config(sms: SocketAddr, im: SocketAddr, listen: &str, more: &str) -> Config {
    Config::parse(&text(sms, im, listen, more), "test").unwrap()
}

/// Sends a MESSAGE from the SMS side; returns what the IM side gets, and from where.
fn relayed(sms: &UdpSocket, im: &UdpSocket, service: &Service) -> (String, SocketAddr) {
    let own = sms.local_addr().unwrap();
    let text = format!(
        "MESSAGE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <sip:bob@example.net>\r\n\
         Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
    sms.send_to(text.as_bytes(), service.addresses()[0]).unwrap();
    let mut octets = [0; 2_000];
    let (len, from) = im.recv_from(&mut octets).unwrap();
    (String::from_utf8(octets[..len].to_vec()).unwrap(), from)
}

#[test]
fn requests_have_a_port_of_their_own_and_say_so_in_their_via() {
    let (sms, im) = (socket("127.0.0.1:0"), socket("[::1]:0"));
    let ports = "[requests]\nports = \"20000-60000\"\n";
    let addresses = (sms.local_addr().unwrap(), im.local_addr().unwrap());
    let config = config(addresses.0, addresses.1, "127.0.0.1:0", ports);
    let service = Service::start(&config, true).unwrap();
    let [v4, v6] = service.request_addresses() else { panic!("one for each family") };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    assert_eq!(service.addresses().len(), 4);
    let (request, from) = relayed(&sms, &im, &service);
    assert_eq!(from, *v6);
    // The host is the one that this family advertises, the port is the one it came from.
    let via = format!("Via: SIP/2.0/UDP localhost:{};branch=", v6.port());
    assert!(request.contains(&via), "{request}");

    // A message that is open when the service stops has its account all the same.
    let accounts = service.accounts().unwrap();
    assert_eq!(service.stop().abandoned, 1);
    assert_eq!(accounts.pop().unwrap().verdict, Verdict::Unknown);
    assert!(accounts.is_empty());
}

#[test]
fn requests_share_the_first_listener_of_their_family() {
    let (sms, im) = (socket("127.0.0.1:0"), socket("[::1]:0"));
    let addresses = (sms.local_addr().unwrap(), im.local_addr().unwrap());
    let second = "[[listen]]\naddress = \"[::1]:0\"\n";
    let config = config(addresses.0, addresses.1, "127.0.0.1:0", second);
    let service = Service::start(&config, false).unwrap();
    let [v4, v6, _] = service.addresses() else { panic!("three listeners") };
    assert_eq!(service.request_addresses(), [*v4, *v6]);
    let (request, from) = relayed(&sms, &im, &service);
    assert_eq!(from, *v6);
    assert!(request.contains("Via: SIP/2.0/UDP localhost:5099;branch="), "{request}");
    assert!(service.accounts().is_none());
    assert_eq!(service.stop().abandoned, 1);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (sms, im) = (socket("127.0.0.1:0"), socket("[::1]:0"));
    let taken = socket("127.0.0.1:0");
    let address = taken.local_addr().unwrap();
    let config =
        config(sms.local_addr().unwrap(), im.local_addr().unwrap(), &address.to_string(), "");
    let error = Service::start(&config, false).unwrap_err();
    assert!(matches!(error, StartError::Bind(at, _) if at == address));
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")));
}

#[test]
fn each_worker_listens_for_msrp_at_a_port_of_its_own() {
    let (sms, im) = (socket("127.0.0.1:0"), socket("[::1]:0"));
    let (port, _) = two_ports();
    let held = [port, port + 1].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [first, second] = held;
    let (at, next) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let more = format!(
        "[[listen]]\naddress = \"{at}\"\nadvertise = \"localhost:7000\"\ntransports = \"msrp\"\n\
         [[listen]]\naddress = \"[::1]:0\"\ntransports = \"msrp\"\n"
    );
    let addresses = (sms.local_addr().unwrap(), im.local_addr().unwrap());
    let text_of = |more: &str| {
        let role = "role = \"im_server\"\nmsrp = \"im_server\"";
        let text = text(addresses.0, addresses.1, "127.0.0.1:0", more);
        let workers = "[workers]\ncount = 2\n";
        text.replace("role = \"im_server\"", role).replace("[workers]\n", workers)
    };
    let config = Config::parse(&text_of(&more), "test").unwrap();
    let taken = Service::start(&config, false).unwrap_err();
    assert!(matches!(taken, StartError::Bind(of, _) if of == at), "{taken}");
    // It is the port of the second worker that is named where that one is taken.
    drop(first);
    let taken = Service::start(&config, false).unwrap_err();
    assert!(matches!(taken, StartError::Bind(of, _) if of == next), "{taken}");
    drop(second);
    let service = Service::start(&config, false).unwrap();
    let [one, other] = service.msrp_addresses() else { panic!("two workers") };
    let ([v4, v6], [v4_of_other, v6_of_other]) = (&**one, &**other) else {
        panic!("two listeners")
    };
    assert_eq!((*v4, *v4_of_other), (at, next));
    assert!(v6.port() != 0 && v6.port() != v6_of_other.port());
    // Nothing of SIP has moved, and each of them is listened on.
    assert_eq!(service.addresses().len(), 2);
    for address in [v4, v6, v4_of_other, v6_of_other] {
        TcpStream::connect(address).unwrap();
    }
    let (_, from) = relayed(&sms, &im, &service);
    assert!(service.addresses().contains(&from));
    assert_eq!(service.stop().abandoned, 1);
}
