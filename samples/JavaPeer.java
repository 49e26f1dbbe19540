/* One side of TLS 1.3 by Java's JSSE, on loopback.
 *
 *     java JavaPeer.java server PORT TRUSTED IDENTITY [asks]
 *     java JavaPeer.java client PORT TRUSTED CONNECTIONS [IDENTITY]
 *
 * TRUSTED is a certificate in PEM, IDENTITY a PKCS #12 file with the password "sample". The server requires a client
 * certificate if told so. It answers a line with a line, and closes. The client keeps its sessions, so that its second
 * connection resumes the first.
 */
import java.io.*;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.cert.*;
import javax.net.ssl.*;

public class JavaPeer {
    static SSLContext context(String trusted, String identity) throws Exception {
        KeyStore known = KeyStore.getInstance(KeyStore.getDefaultType());
        known.load(null, null);
        try (InputStream file = new FileInputStream(trusted)) {
            known.setCertificateEntry("known", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(known);
        KeyManager[] keys = null;
        if (identity != null) {
            KeyStore own = KeyStore.getInstance("PKCS12");
            try (InputStream file = new FileInputStream(identity)) {
                own.load(file, "sample".toCharArray());
            }
            KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX");
            factory.init(own, "sample".toCharArray());
            keys = factory.getKeyManagers();
        }
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(keys, trust.getTrustManagers(), null);
        return context;
    }

    static void serve(SSLSocket socket) throws IOException {
        String line = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
        socket.getOutputStream().write(("You said: " + line + "\n").getBytes());
    }

    static void ask(SSLSocket socket) throws IOException {
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setProtocols(new String[] {"TLSv1.3"});
        parameters.setServerNames(java.util.List.of(new SNIHostName("localhost")));
        socket.setSSLParameters(parameters);
        socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
        socket.getInputStream().readAllBytes();
    }

    public static void main(String[] arguments) throws Exception {
        boolean server = arguments[0].equals("server");
        int port = Integer.parseInt(arguments[1]);
        SSLContext context = context(arguments[2], server ? arguments[3] : arguments.length > 4 ? arguments[4] : null);
        InetAddress here = InetAddress.getByName("::1");
        if (server) {
            SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(port, 9, here);
            listener.setNeedClientAuth(arguments.length > 4);
            while (true) {
                try (SSLSocket socket = (SSLSocket) listener.accept()) {
                    serve(socket);
                } catch (IOException error) {
                    System.err.println(error);
                }
            }
        }
        for (int left = Integer.parseInt(arguments[3]); left > 0; left--) {
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(here, port)) {
                ask(socket);
            } catch (IOException error) {
                System.err.println(error);
            }
        }
    }
}
