"""TLS by OpenSSL between the program and an MSRP endpoint that speaks plain TCP with this.

Certificates are made with `openssl req`, and their fingerprints are what `openssl x509` says of them.
Whoever is met has to show the program's certificate; which one that was is written down.
"""

import contextlib
import hashlib
import pathlib
import select
import socket
import ssl
import subprocess
import threading

import harness


class Certificate:
    """A certificate that nobody has signed but who has it, and its key."""

    def __init__(self, directory, name):
        self.certificate = pathlib.Path(directory, f"{name}.pem")
        self.key = pathlib.Path(directory, f"{name}.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", "90", "-subj", f"/CN={name}", "-addext",
                f"subjectAltName=DNS:{name}.example.net", "-out", self.certificate,
                "-keyout", self.key)
        self.key.chmod(0o600)

    def fingerprint(self, hash_name="sha-256"):
        """As it stands in SDP (RFC 8122 section 5)."""
        said = openssl("x509", "-in", self.certificate, "-noout", "-fingerprint",
                       f"-{hash_name.replace('-', '')}")
        return f"{hash_name} {said.strip().partition('=')[2]}"


def openssl(*words):
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, check=True,
                          stdin=subprocess.DEVNULL).stdout.decode()


class Ends:
    """Listens with TLS for an endpoint that listens at `inner`, and connects with TLS for it."""

    def __init__(self, directory, family, inner):
        self.host, self.inner = harness.LOOPBACK[family], inner
        self.own, self.theirs = Certificate(directory, "phone"), Certificate(directory, "roger")
        self.other = Certificate(directory, "other")
        # Fingerprints that were shown, and handshakes that failed.
        self.met, self.failed = [], []
        self.outside, self.inside = (socket.create_server(
            (self.host, 0), family=socket.AF_INET6 if family == 6 else socket.AF_INET)
            for _ in range(2))
        self.port, self.inside_port = (
            each.getsockname()[1] for each in (self.outside, self.inside))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.outside, self.inside):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def context(self, protocol):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.theirs.certificate)
        context.load_cert_chain(self.own.certificate, self.own.key)
        return context

    def accept(self):
        while True:
            try:
                connected, _ = self.outside.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connected,), daemon=True).start()

    def serve(self, connected):
        context = self.context(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.suppress(OSError):
            encrypted = self.shaken(lambda: context.wrap_socket(connected, server_side=True))
            if encrypted:
                carry(encrypted, socket.create_connection((self.host, self.inner)))

    def connect(self, address):
        """A plain connection whose octets leave with TLS."""
        connected = socket.create_connection(address, timeout=5)
        context = self.context(ssl.PROTOCOL_TLS_CLIENT)
        encrypted = self.shaken(lambda: context.wrap_socket(connected))
        if not encrypted:
            raise OSError(self.failed[-1])
        near = socket.create_connection((self.host, self.inside_port))
        far, _ = self.inside.accept()
        threading.Thread(target=carry, args=(encrypted, far), daemon=True).start()
        return near

    def shaken(self, shake):
        try:
            encrypted = shake()
        except OSError as fault:
            self.failed.append(repr(fault))
            return None
        shown = hashlib.sha256(encrypted.getpeercert(binary_form=True)).hexdigest().upper()
        self.met.append("sha-256 " + ":".join(shown[at:at + 2] for at in range(0, 64, 2)))
        return encrypted


def carry(encrypted, plain):
    """Octets both ways, until either end has ended."""
    with encrypted, plain, contextlib.suppress(OSError):
        while True:
            is_pending = encrypted.pending()
            ready, _, _ = select.select([encrypted, plain], [], [], 0 if is_pending else None)
            if is_pending or encrypted in ready:
                encrypted.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    octets = encrypted.recv(65_536)
                    if not octets:
                        return
                    plain.sendall(octets)
            if plain in ready:
                octets = plain.recv(65_536)
                encrypted.settimeout(5)
                if not octets:
                    encrypted.unwrap()
                    return
                encrypted.sendall(octets)
