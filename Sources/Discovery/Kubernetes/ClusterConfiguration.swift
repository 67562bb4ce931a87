/// Bytes that are given as they are, or by the path of a file that may change.
package enum FileOrBytes: Equatable, Sendable {
    case file(String)
    case bytes([UInt8])
}

/// How to reach an API server and as whom: what a kubeconfig or the service account's files say.
package struct ClusterConfiguration: Equatable, Sendable {
    /// Whose certificates an API server may show.
    package enum Trust: Equatable, Sendable {
        /// The system's authorities.
        case system
        /// Authorities as PEM.
        case authorities(FileOrBytes)
        /// Anyone's; asked for by `insecure-skip-tls-verify`.
        case unverified
    }

    /// Where the bearer token comes from.
    package enum TokenSource: Equatable, Sendable {
        case literal(String)
        case file(String)
    }

    /// A client's certificate and key, PEM.
    package struct ClientCertificate: Equatable, Sendable {
        /// The certificate and its chain.
        package var certificate: FileOrBytes
        /// The private key.
        package var key: FileOrBytes

        /// Makes a pair.
        package init(certificate: FileOrBytes, key: FileOrBytes) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// The server.
    package var server: APIServerAddress
    /// The name its certificate must bear, where that is not the host.
    package var tlsServerName: String?
    /// Whose certificates it may show.
    package var trust: Trust
    /// The client certificate, if there is one.
    package var clientCertificate: ClientCertificate?
    /// The bearer token, if there is one.
    package var token: TokenSource?
    /// The program that gives credentials, if there is one.
    package var execPlugin: ExecPlugin?
    /// The namespace that the file names.
    package var namespace: String

    /// Makes a configuration; by default without credentials.
    package init(
        server: APIServerAddress,
        tlsServerName: String? = nil,
        trust: Trust = .system,
        clientCertificate: ClientCertificate? = nil,
        token: TokenSource? = nil,
        execPlugin: ExecPlugin? = nil,
        namespace: String = "default"
    ) {
        self.server = server
        self.tlsServerName = tlsServerName
        self.trust = trust
        self.clientCertificate = clientCertificate
        self.token = token
        self.execPlugin = execPlugin
        self.namespace = namespace
    }
}

/// Why a cluster cannot be reached as configured: what was expected, what came, where.
package struct ClusterFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The sentence.
    package let description: String

    /// Makes a fault of its sentence.
    package init(_ description: String) { self.description = description }
}
