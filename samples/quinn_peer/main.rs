//! One side of QUIC by quinn, on loopback; SSLKEYLOGFILE names the key log of the client.
//!
//!     quinn_peer server PORT CERTIFICATE KEY
//!     quinn_peer client PORT AUTHORITY
//!
//! The server sends back what a stream says, and the client ends the connection.

use quinn::{ClientConfig, Connecting, Endpoint, ServerConfig};
use rustls::{Certificate, KeyLogFile, PrivateKey, RootCertStore};
use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const MOST_BYTES: usize = 1000;

fn certificates(path: &str) -> Vec<Certificate> {
    let found = rustls_pemfile::certs(&mut BufReader::new(File::open(path).unwrap())).unwrap();
    found.into_iter().map(Certificate).collect()
}

fn key(path: &str) -> PrivateKey {
    let found = rustls_pemfile::pkcs8_private_keys(&mut BufReader::new(File::open(path).unwrap())).unwrap();
    PrivateKey(found[0].clone())
}

async fn serve(connecting: Connecting) -> Result<(), Box<dyn Error>> {
    let connection = connecting.await?;
    let (mut sends, receives) = connection.accept_bi().await?;
    let said = receives.read_to_end(MOST_BYTES).await?;
    sends.write_all(&said).await?;
    sends.finish().await?;
    connection.closed().await;
    Ok(())
}

async fn ask(endpoint: &Endpoint, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let connection = endpoint.connect(address, "localhost")?.await?;
    let (mut sends, receives) = connection.open_bi().await?;
    sends.write_all(b"GET / by quinn\n").await?;
    sends.finish().await?;
    receives.read_to_end(MOST_BYTES).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    connection.close(0u32.into(), b"");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let address: SocketAddr = format!("[::1]:{}", arguments[2]).parse()?;
    if arguments[1] == "server" {
        let builder = rustls::ServerConfig::builder().with_safe_defaults().with_no_client_auth();
        let mut config = builder.with_single_cert(certificates(&arguments[3]), key(&arguments[4]))?;
        config.alpn_protocols = vec![b"echo".to_vec()];
        let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(config)), address)?;
        while let Some(connecting) = endpoint.accept().await {
            if let Err(error) = serve(connecting).await {
                eprintln!("{error}");
            }
        }
        return Ok(());
    }
    let mut known = RootCertStore::empty();
    certificates(&arguments[3]).iter().for_each(|one| known.add(one).unwrap());
    let builder = rustls::ClientConfig::builder().with_safe_defaults().with_root_certificates(known);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"echo".to_vec()];
    config.key_log = Arc::new(KeyLogFile::new());
    let mut endpoint = Endpoint::client("[::1]:0".parse()?)?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(config)));
    let asked = ask(&endpoint, address).await;
    endpoint.wait_idle().await;
    asked
}
