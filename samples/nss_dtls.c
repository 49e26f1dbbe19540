/* One side of a DTLS 1.3 connection by NSS, over loopback.
 *
 *     nss_dtls server|client DATABASE OWN_PORT PEER_PORT SUITE [update|refuse]
 *
 * The client sends a line, which the server sends back. With `update`, the client then changes its keys, and asks the server to do so.
 * With `refuse`, it says that it does not know the authority of the server's certificate.
 */
#include <nspr.h>
#include <nss.h>
#include <pk11pub.h>
#include <ssl.h>
#include <sslproto.h>
#include <sslexp.h>
#include <secerr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SECStatus accept_any(void *arg, PRFileDesc *fd, PRBool check, PRBool server) {
    return SECSuccess;
}

static SECStatus refuse(void *arg, PRFileDesc *fd, PRBool check, PRBool server) {
    PR_SetError(SEC_ERROR_UNKNOWN_ISSUER, 0);
    return SECFailure;
}

static void need(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, PR_ErrorToName(PR_GetError()));
        exit(1);
    }
}

int main(int argc, char **argv) {
    int server = argc > 1 && !strcmp(argv[1], "server");
    char buffer[2048];
    PRNetAddr own, peer;
    SSLVersionRange only = {SSL_LIBRARY_VERSION_TLS_1_3, SSL_LIBRARY_VERSION_TLS_1_3};
    if (argc < 6) return 2;
    need(NSS_Init(argv[2]) == SECSuccess, "NSS_Init");
    PR_SetNetAddr(PR_IpAddrLoopback, PR_AF_INET6, atoi(argv[3]), &own);
    PR_SetNetAddr(PR_IpAddrLoopback, PR_AF_INET6, atoi(argv[4]), &peer);
    PRFileDesc *udp = PR_OpenUDPSocket(PR_AF_INET6);
    need(PR_Bind(udp, &own) == PR_SUCCESS, "bind");
    need(PR_Connect(udp, &peer, PR_INTERVAL_NO_TIMEOUT) == PR_SUCCESS, "connect");
    PRFileDesc *fd = DTLS_ImportFD(NULL, udp);
    need(fd != NULL, "DTLS_ImportFD");
    SSL_OptionSet(fd, SSL_SECURITY, PR_TRUE);
    SSL_OptionSet(fd, SSL_HANDSHAKE_AS_SERVER, server);
    SSL_OptionSet(fd, SSL_HANDSHAKE_AS_CLIENT, !server);
    need(SSL_VersionRangeSet(fd, &only) == SECSuccess, "version");
    PRUint16 suite = (PRUint16)strtol(argv[5], NULL, 16);
    need(SSL_CipherSuiteOrderSet(fd, &suite, 1) == SECSuccess, "suite");
    if (server) {
        CERTCertificate *certificate = PK11_FindCertFromNickname("localhost", NULL);
        need(certificate != NULL, "certificate");
        SECKEYPrivateKey *key = PK11_FindKeyByAnyCert(certificate, NULL);
        need(key != NULL, "key");
        need(SSL_ConfigServerCert(fd, certificate, key, NULL, 0) == SECSuccess, "SSL_ConfigServerCert");
    } else {
        SSL_SetURL(fd, "localhost");
        SSL_AuthCertificateHook(fd, argc > 6 && !strcmp(argv[6], "refuse") ? refuse : accept_any, NULL);
    }
    need(SSL_ResetHandshake(fd, server) == SECSuccess, "SSL_ResetHandshake");
    need(SSL_ForceHandshakeWithTimeout(fd, PR_SecondsToInterval(5)) == SECSuccess, "handshake");
    if (server) {
        int size = PR_Recv(fd, buffer, sizeof buffer, 0, PR_SecondsToInterval(5));
        need(size > 0, "receive");
        need(PR_Send(fd, buffer, size, 0, PR_SecondsToInterval(5)) == size, "send");
        PR_Recv(fd, buffer, sizeof buffer, 0, PR_SecondsToInterval(3));
    } else {
        need(PR_Send(fd, "GET / hello DTLS\n", 16, 0, PR_SecondsToInterval(5)) == 16, "send");
        need(PR_Recv(fd, buffer, sizeof buffer, 0, PR_SecondsToInterval(5)) > 0, "receive");
        if (argc > 6 && !strcmp(argv[6], "update")) {
            need(SSL_KeyUpdate(fd, PR_TRUE) == SECSuccess, "update");
            PR_Recv(fd, buffer, sizeof buffer, 0, PR_SecondsToInterval(1));
        }
    }
    PR_Close(fd);
    return 0;
}
