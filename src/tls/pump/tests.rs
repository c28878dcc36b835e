//! Both ways at once, and every end.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant as Moment, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// A connection, whose other end is `far`, and a driver's end of it.
struct Connection {
    far: TlsStream<TcpStream>,
    pump: Pump,
    driver: UnixStream,
}

async fn connection() -> Connection {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["roger.example".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let accepting = tokio::spawn(TlsAcceptor::from(Arc::new(server)).accept(near));
    let name = "roger.example".try_into().unwrap();
    let far = TlsConnector::from(Arc::new(client)).connect(name, far).await.unwrap();
    let near = accepting.await.unwrap().unwrap();
    let (own, driver) = UnixStream::pair().unwrap();
    Connection { far: far.into(), pump: Pump::new(near.into(), own), driver }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// The octets of one way.
fn octets(len: u32, way: u32) -> Vec<u8> {
    (0..len).map(|at| (at ^ way).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

#[test]
fn everything_arrives_both_ways_at_once() {
    run(async {
        let Connection { far, pump, driver } = connection().await;
        let pump = tokio::spawn(pump);
        let (inward, outward) = (octets(5_000_000, 1), octets(4_000_000, 2));
        let (mut far_in, mut far_out) = tokio::io::split(far);
        let (mut driver_in, mut driver_out) = driver.into_split();
        let (a, b) = (inward.clone(), outward.clone());
        let far = tokio::spawn(async move {
            far_out.write_all(&a).await.unwrap();
            far_out.shutdown().await.unwrap();
        });
        let near = tokio::spawn(async move {
            for piece in b.chunks(70_001) {
                driver_out.write_all(piece).await.unwrap();
            }
            driver_out.shutdown().await.unwrap();
        });
        let there = tokio::spawn(async move {
            let mut got = Vec::new();
            far_in.read_to_end(&mut got).await.unwrap();
            got
        });
        let mut got = Vec::new();
        driver_in.read_to_end(&mut got).await.unwrap();
        assert!(got == inward);
        assert!(there.await.unwrap() == outward);
        far.await.unwrap();
        near.await.unwrap();
        assert_eq!(pump.await.unwrap(), End::Said);
    });
}

#[test]
fn a_side_that_does_not_read_stops_the_other_from_being_read() {
    run(async {
        let Connection { mut far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        // The kernel's buffers hold a few megabytes, and nothing else does.
        let more = octets(1_000_000, 1);
        let mut written = 0;
        while let Ok(result) = timeout(Duration::from_millis(300), far.write(&more[..10_000])).await
        {
            written += result.unwrap();
            assert!(written < 40_000_000);
        }
        assert!(written > 100_000);
        // And all of it comes when it is read again.
        let mut got = 0;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read) = timeout(Duration::from_millis(300), driver.read(&mut buffer)).await {
            got += read.unwrap();
            if got >= written {
                break;
            }
        }
        // What did not fit is still on its way when the writer gives up.
        assert!(got + 100_000 >= written, "{got} of {written}");
        drop((far, driver));
        pump.await.unwrap();
    });
}

#[test]
fn an_end_is_passed_on_behind_what_came_before_it() {
    run(async {
        // The other end has said that it ends; what it is sent still gets there.
        let Connection { mut far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        far.write_all(b"last words").await.unwrap();
        far.shutdown().await.unwrap();
        let mut got = Vec::new();
        driver.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last words");
        driver.write_all(b"an answer").await.unwrap();
        drop(driver);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"an answer");
        assert_eq!(pump.await.unwrap(), End::Said);
        // The driver ends it: the other end gets all, and is told that it is the end.
        let Connection { mut far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        let all = octets(150_000, 3);
        driver.write_all(&all).await.unwrap();
        drop(driver);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(got == all);
        far.shutdown().await.unwrap();
        assert_eq!(pump.await.unwrap(), End::Said);
    });
}

#[test]
fn an_end_that_nobody_has_said_is_one_all_the_same() {
    run(async {
        let Connection { mut far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        far.write_all(b"last words").await.unwrap();
        far.flush().await.unwrap();
        drop(far);
        let mut got = Vec::new();
        driver.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last words");
        drop(driver);
        assert_eq!(pump.await.unwrap(), End::Cut);
        // And what is not genuine is passed on to nobody.
        let Connection { far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        let TlsStream::Client(far) = far else { panic!("a client") };
        let (mut stream, _session) = far.into_inner();
        stream.write_all(&[&[23, 3, 3, 0, 64][..], &[7; 64]].concat()).await.unwrap();
        let mut got = Vec::new();
        driver.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"");
        drop(driver);
        assert_eq!(pump.await.unwrap(), End::Cut);
    });
}

#[test]
fn nobody_is_waited_for_for_ever() {
    run(async {
        // The driver has ended, and the other end does not.
        let Connection { far, pump, driver } = connection().await;
        drop(driver);
        tokio::time::pause();
        let begun = Moment::now();
        assert_eq!(pump.await, End::Said);
        // A timer counts in milliseconds.
        assert_eq!(begun.elapsed().as_millis() / 10, u128::from(TLS_LINGER_MS) / 10);
        drop(far);
        tokio::time::resume();
        // The other end takes nothing, while the driver writes and does not end.
        let Connection { far, pump, mut driver } = connection().await;
        let pump = tokio::spawn(pump);
        let more = octets(1_000_000, 4);
        while timeout(Duration::from_millis(300), driver.write(&more)).await.is_ok() {}
        tokio::time::pause();
        let begun = Moment::now();
        assert_eq!(pump.await.unwrap(), End::Said);
        let waited = begun.elapsed().as_millis();
        assert!(waited <= u128::from(STREAM_STALLED_MS) + 1 && waited > 9_000, "{waited}");
        drop((far, driver));
    });
}
