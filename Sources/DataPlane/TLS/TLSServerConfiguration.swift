import MeshModel

/// A certificate chain with its key, PEM.
package struct TLSMaterial: Hashable, Sendable {
    /// The leaf first.
    package var chainPEM: [UInt8]
    /// The leaf's private key, not encrypted.
    package var keyPEM: [UInt8]

    /// Makes material of its texts.
    package init(chainPEM: [UInt8], keyPEM: [UInt8]) {
        self.chainPEM = chainPEM
        self.keyPEM = keyPEM
    }
}

/// What one virtual host presents and asks for: the input of a server's `TLSContext`.
package struct TLSServerConfiguration: Hashable, Sendable {
    /// Certificates of the same names, of different kinds of keys.
    package var materials: [TLSMaterial]
    /// What the listener's policies set.
    package var settings: ListenerTLSSettings
    /// HTTP versions that are offered by ALPN where the settings name no protocols.
    package var versions: Set<HTTPVersion>
    /// Names the virtual host: sessions of one scope are never resumed in another.
    package var scope: String
    /// Tells contexts of one virtual host apart that present certificates for different names.
    package var label: String

    /// Makes a configuration.
    package init(
        materials: [TLSMaterial],
        settings: ListenerTLSSettings = ListenerTLSSettings(),
        versions: Set<HTTPVersion> = [.http1, .http2],
        scope: String = "",
        label: String = ""
    ) {
        self.materials = materials
        self.settings = settings
        self.versions = versions
        self.scope = scope
        self.label = label
    }

    /// What a session must have been made under to be resumed: the virtual host and what it asks of
    /// clients' certificates. A new certificate of the server's changes nothing of it.
    var sessionScope: TLSSessionScope {
        TLSSessionScope(
            policy: TLSClientPolicy(
                scope: scope,
                clientCertificate: settings.clientCertificate,
                clientCAPEM: settings.clientCAPEM,
                clientNames: settings.clientNames,
                minimumVersion: settings.minimumVersion
            ),
            label: label
        )
    }

    /// Bytes of early data that are taken; 0 where clients are asked for certificates, or begin no
    /// sessions anew.
    var earlyDataByteLimit: UInt32 {
        settings.resumes && settings.clientCertificate == .none ? settings.earlyDataByteLimit : 0
    }

    /// ALPN names in order of preference, in the form of RFC 7301: each after its length.
    var protocols: [UInt8] {
        var names = settings.alpn
        if names.isEmpty {
            if versions.contains(.http2) { names.append("h2") }
            if versions.contains(.http1) { names.append("http/1.1") }
        }
        return names.filter { (1...255).contains($0.utf8.count) }
            .flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    }
}

/// A virtual host with what it asks of clients.
struct TLSClientPolicy: Hashable, Sendable {
    var scope: String
    var clientCertificate: ListenerTLSSettings.ClientCertificate
    var clientCAPEM: [UInt8]
    var clientNames: [String]
    var minimumVersion: ListenerTLSSettings.Version
}

/// What tickets and session ids are bound to.
struct TLSSessionScope: Hashable, Sendable {
    var policy: TLSClientPolicy
    var label: String

    /// All of it in one text that no other scope has.
    var text: [UInt8] {
        let parts =
            [
                Array(policy.scope.utf8), Array(policy.clientCertificate.rawValue.utf8),
                policy.clientCAPEM, Array(policy.minimumVersion.rawValue.utf8), Array(label.utf8),
            ] + policy.clientNames.map { Array($0.utf8) }
        return parts.flatMap { Array("\($0.count):".utf8) + $0 }
    }
}
