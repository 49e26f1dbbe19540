//! One side of TLS 1.3 by rustls, on loopback; SSLKEYLOGFILE names its key log.
//!
//!     rustls_peer server PORT CERTIFICATE KEY [AUTHORITY]
//!     rustls_peer client PORT AUTHORITY CONNECTIONS [CERTIFICATE KEY]
//!
//! The server asks for a client certificate if it has an authority for these. It answers a line with a line, and closes.
//! The client keeps its sessions, so that its second connection resumes the first.

use rustls::server::AllowAnyAuthenticatedClient;
use rustls::{Certificate, ClientConfig, ClientConnection, KeyLogFile, PrivateKey, RootCertStore};
use rustls::{ServerConfig, ServerConnection, Stream};
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

fn certificates(path: &str) -> Vec<Certificate> {
    let found = rustls_pemfile::certs(&mut BufReader::new(File::open(path).unwrap())).unwrap();
    found.into_iter().map(Certificate).collect()
}

fn key(path: &str) -> PrivateKey {
    let found = rustls_pemfile::pkcs8_private_keys(&mut BufReader::new(File::open(path).unwrap())).unwrap();
    PrivateKey(found[0].clone())
}

fn store(path: &str) -> RootCertStore {
    let mut known = RootCertStore::empty();
    certificates(path).iter().for_each(|one| known.add(one).unwrap());
    known
}

fn serve(config: Arc<ServerConfig>, mut socket: TcpStream) -> Result<(), Error> {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut line = String::new();
    let mut stream = BufReader::new(Stream::new(&mut connection, &mut socket));
    stream.read_line(&mut line)?;
    stream.get_mut().write_all(format!("You said: {line}").as_bytes())?;
    connection.send_close_notify();
    connection.write_tls(&mut socket).map(|_| ())
}

fn ask(config: Arc<ClientConfig>, mut socket: TcpStream) -> Result<(), Error> {
    let mut connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(b"hello\n")?;
    let ended = stream.read_to_end(&mut Vec::new());
    connection.send_close_notify();
    connection.write_tls(&mut socket)?;
    ended.map(|_| ())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let address = format!("[::1]:{}", arguments[2]);
    if arguments[1] == "server" {
        let builder = ServerConfig::builder().with_safe_defaults();
        let builder = match arguments.get(5) {
            Some(path) => builder.with_client_cert_verifier(AllowAnyAuthenticatedClient::new(store(path))),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(certificates(&arguments[3]), key(&arguments[4])).unwrap();
        config.key_log = Arc::new(KeyLogFile::new());
        config.ticketer = rustls::Ticketer::new().unwrap();
        let config = Arc::new(config);
        for socket in TcpListener::bind(address).unwrap().incoming() {
            serve(config.clone(), socket.unwrap()).unwrap_or_else(|error| eprintln!("{error}"));
        }
        return;
    }
    let builder = ClientConfig::builder().with_safe_defaults().with_root_certificates(store(&arguments[3]));
    let mut config = match arguments.get(5) {
        Some(path) => builder.with_single_cert(certificates(path), key(&arguments[6])).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.key_log = Arc::new(KeyLogFile::new());
    let config = Arc::new(config);
    for _ in 0..arguments[4].parse().unwrap() {
        ask(config.clone(), TcpStream::connect(&address).unwrap()).unwrap_or_else(|error| eprintln!("{error}"));
    }
}
