// One side of QUIC by quic-go, on loopback, with Debian's sources of it.
//
//	go_quic_peer server PORT CERTIFICATE KEY
//	go_quic_peer client PORT AUTHORITY CONNECTIONS
//
// SSLKEYLOGFILE names the key log of the client. The server answers what a stream says, and the client ends the connection.
// The client keeps its sessions, so that its second connection resumes the first.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/lucas-clemente/quic-go"
)

func need[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func serve(connection quic.Connection) {
	stream, err := connection.AcceptStream(context.Background())
	if err != nil {
		return
	}
	said, err := io.ReadAll(stream)
	if err == nil {
		fmt.Fprintf(stream, "You said: %s", said)
		stream.Close()
	}
}

func ask(address string, config *tls.Config) {
	connection := need(quic.DialAddr(address, config, nil))
	stream := need(connection.OpenStreamSync(context.Background()))
	fmt.Fprintln(stream, "hello")
	stream.Close()
	need(io.ReadAll(stream))
	time.Sleep(100 * time.Millisecond)
	connection.CloseWithError(0, "")
}

func main() {
	arguments := os.Args[1:]
	address := "[::1]:" + arguments[1]
	config := &tls.Config{ServerName: "localhost", NextProtos: []string{"echo"}}
	if arguments[0] == "server" {
		config.Certificates = []tls.Certificate{need(tls.LoadX509KeyPair(arguments[2], arguments[3]))}
		listener := need(quic.ListenAddr(address, config, nil))
		for {
			go serve(need(listener.Accept(context.Background())))
		}
	}
	config.KeyLogWriter = need(os.OpenFile(os.Getenv("SSLKEYLOGFILE"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644))
	config.RootCAs, config.ClientSessionCache = x509.NewCertPool(), tls.NewLRUClientSessionCache(1)
	config.RootCAs.AppendCertsFromPEM(need(os.ReadFile(arguments[2])))
	for connections := need(strconv.Atoi(arguments[3])); connections > 0; connections-- {
		ask(address, config)
	}
}
