import LinuxSystem

/// What a connection to the API server is secured by.
package struct TLSMaterial: Equatable, Sendable {
    /// The certificate authorities, PEM; `nil` for the system's.
    package var authorities: [UInt8]?
    /// Whether the server's certificate is checked.
    package var isVerified: Bool
    /// The name the certificate must bear.
    package var serverName: String
    /// The client's certificate, PEM.
    package var certificate: [UInt8]?
    /// Its key, PEM.
    package var key: [UInt8]?
}

/// Credentials as of now.
package struct ClusterCredentials: Equatable, Sendable {
    /// For TLS; `nil` where the server speaks plain HTTP.
    package var tls: TLSMaterial?
    /// The bearer token, if any.
    package var token: String?
}

/// Reads credentials and reads them again: files by path every minute, since the kubelet replaces
/// them by a change of links; exec plugins when theirs end; both when the server refuses them. What
/// cannot be read anew stays as it was.
package actor CredentialStore {
    /// How long what was read from files is taken for current.
    package static let refreshInterval = Duration.seconds(60)
    /// A plugin's credential is renewed this long before it ends.
    package static let expiryMarginSeconds: Int64 = 30
    /// Tokens and certificates are bounded; bytes.
    private static let fileByteLimit = 1_048_576

    private let configuration: ClusterConfiguration
    private let environment: [String]
    private let monotonicNanoseconds: @Sendable () -> UInt64
    private let wallNanoseconds: @Sendable () -> UInt64
    private var credentials: ClusterCredentials?
    private var readAtNanoseconds: UInt64 = 0
    private var execCredential: ExecCredential?
    private var execRun: Task<Result<ExecCredential, ClusterFault>, Never>?
    private var mustRead = false
    /// The last failure to read credentials anew, while older ones are in use.
    package private(set) var staleReason: String?

    /// Makes a store.
    ///
    /// - Parameters:
    ///   - environment: of this process, for exec plugins.
    package init(
        _ configuration: ClusterConfiguration,
        environment: [String] = ThisProcess.environment,
        monotonicNanoseconds: @escaping @Sendable () -> UInt64 = Clock.monotonicNanoseconds,
        wallNanoseconds: @escaping @Sendable () -> UInt64 = Clock.wallNanoseconds
    ) {
        self.configuration = configuration
        self.environment = environment
        self.monotonicNanoseconds = monotonicNanoseconds
        self.wallNanoseconds = wallNanoseconds
    }

    /// The credentials to use now.
    ///
    /// - Throws: when there have never been any.
    package func current() async throws(ClusterFault) -> ClusterCredentials {
        if let credentials, !isDue { return credentials }
        do throws(ClusterFault) {
            if configuration.execPlugin != nil { try await renewExecCredential() }
            let fresh = try read()
            credentials = fresh
            staleReason = nil
        } catch {
            guard credentials != nil else { throw error }
            staleReason = error.description
        }
        readAtNanoseconds = monotonicNanoseconds()
        mustRead = false
        guard let credentials else { throw ClusterFault("no credentials") }
        return credentials
    }

    /// The server answered 401 to these credentials: they are read anew before the next request,
    /// unless that has happened already.
    package func refused(_ used: ClusterCredentials) {
        guard used == credentials else { return }
        mustRead = true
        execCredential = nil
    }

    /// A connection could not be made or was refused: what comes from files is read anew before the
    /// next request, as a certificate authority may have been replaced.
    package func readFilesAgain() { mustRead = true }

    private var isDue: Bool {
        if mustRead || execEnds { return true }
        let age = monotonicNanoseconds() &- readAtNanoseconds
        return age >= UInt64(CredentialStore.refreshInterval.components.seconds) * 1_000_000_000
    }

    private var execEnds: Bool {
        guard let expiry = execCredential?.expirySeconds else { return false }
        let now = Int64(wallNanoseconds() / 1_000_000_000)
        return now >= expiry - CredentialStore.expiryMarginSeconds
    }

    private func renewExecCredential() async throws(ClusterFault) {
        guard let plugin = configuration.execPlugin, execCredential == nil || execEnds else {
            return
        }
        let run = execRun ?? start(plugin)
        execRun = run
        let outcome = await run.value
        execRun = nil
        execCredential = try outcome.get()
    }

    /// However many requests wait for a credential, the plugin is run once.
    private func start(_ plugin: ExecPlugin) -> Task<Result<ExecCredential, ClusterFault>, Never> {
        let (server, name, environment) = (
            configuration.server, configuration.tlsServerName, environment
        )
        let authorities = trustedAuthorities
        return Task {
            let outcome = await BlockingThread.run(name: "exec-plugin") {
                Result<ExecCredential, ClusterFault> { () throws(ClusterFault) in
                    try plugin.run(
                        inherited: environment,
                        server: server,
                        tlsServerName: name,
                        authorities: authorities
                    )
                }
            }
            let sentence = "exec plugin \(plugin.command): no thread could be started"
            return outcome ?? .failure(ClusterFault(sentence))
        }
    }

    /// The authorities that a plugin is told of; `nil` where they cannot be read, which the request
    /// itself will say.
    private var trustedAuthorities: [UInt8]? {
        guard case .authorities(let source) = configuration.trust else { return nil }
        return try? content(source, "certificate authorities")
    }

    private func read() throws(ClusterFault) -> ClusterCredentials {
        var token = execCredential?.token
        switch configuration.token {
        case .literal(let text)?: token = text
        case .file(let path)?:
            let bytes = try content(.file(path), "a token")
            token = String(decoding: bytes, as: UTF8.self)
                .split(whereSeparator: \.isWhitespace).first.map(String.init)
            guard token != nil else {
                throw ClusterFault("\(path): expected a token, got an empty file")
            }
        case nil: break
        }
        guard configuration.server.isTLS else { return ClusterCredentials(tls: nil, token: token) }
        var material = TLSMaterial(
            authorities: nil,
            isVerified: configuration.trust != .unverified,
            serverName: configuration.tlsServerName ?? configuration.server.host,
            certificate: execCredential?.certificate,
            key: execCredential?.key
        )
        if case .authorities(let source) = configuration.trust {
            material.authorities = try content(source, "certificate authorities")
        }
        if let pair = configuration.clientCertificate {
            material.certificate = try content(pair.certificate, "a client certificate")
            material.key = try content(pair.key, "a client key")
        }
        return ClusterCredentials(tls: material, token: token)
    }

    private func content(
        _ source: FileOrBytes,
        _ what: String
    ) throws(ClusterFault) -> [UInt8] {
        switch source {
        case .bytes(let bytes): return bytes
        case .file(let path):
            do throws(Errno) {
                return try FileSystem.read(path, byteLimit: CredentialStore.fileByteLimit)
            } catch {
                throw ClusterFault("\(path): expected \(what): \(error)")
            }
        }
    }
}
