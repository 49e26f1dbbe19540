// One side of TLS by Go's crypto/tls, on loopback.
//
//	go_peer server PORT CERTIFICATE KEY [AUTHORITY]
//	go_peer client PORT AUTHORITY CONNECTIONS [CERTIFICATE KEY]
//
// SSLKEYLOGFILE names the key log of the client. The server asks for a client certificate if it has an authority for these. It answers a line with a line, and closes.
// The client keeps its sessions, so that its second connection resumes the first.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func need[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func pool(path string) *x509.CertPool {
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(need(os.ReadFile(path)))
	return known
}

func serve(connection net.Conn) {
	defer connection.Close()
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err == nil {
		fmt.Fprintf(connection, "You said: %s", line)
	}
}

func ask(address string, config *tls.Config) {
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return
	}
	defer connection.Close()
	fmt.Fprintln(connection, "hello")
	bufio.NewReader(connection).ReadString('\n')
	time.Sleep(100 * time.Millisecond)
}

func main() {
	arguments := os.Args[1:]
	address := "[::1]:" + arguments[1]
	config := &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS13}
	if arguments[0] == "server" {
		config.Certificates = []tls.Certificate{need(tls.LoadX509KeyPair(arguments[2], arguments[3]))}
		if len(arguments) > 4 {
			config.ClientCAs, config.ClientAuth = pool(arguments[4]), tls.RequireAndVerifyClientCert
		}
		listener := need(tls.Listen("tcp", address, config))
		for {
			go serve(need(listener.Accept()))
		}
	}
	config.KeyLogWriter = need(os.OpenFile(os.Getenv("SSLKEYLOGFILE"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644))
	config.RootCAs, config.ClientSessionCache = pool(arguments[2]), tls.NewLRUClientSessionCache(1)
	if len(arguments) > 4 {
		config.Certificates = []tls.Certificate{need(tls.LoadX509KeyPair(arguments[4], arguments[5]))}
	}
	for range make([]struct{}, need(strconv.Atoi(arguments[3]))) {
		ask(address, config)
	}
}
