import Addressing
import MeshModel

/// Settings of a listener as policies build them up: defaults, then the Gateway's policy, then the
/// listener's, each setting what it has.
struct ListenerPatch {
    /// What is set so far.
    var settings = ListenerSettings()
    /// ConfigMaps or Secrets with the CAs of clients' certificates, each with who refers to it;
    /// `nil` where no policy says.
    var clientAuthorities: [ObjectReference]?
    /// The ConfigMap or Secret with the OCSP response, if any.
    var staple: ObjectReference?

    /// Lays a ListenerPolicy's spec over what is set. `targetRefs` is the caller's.
    mutating func apply(_ spec: inout FieldReader) {
        paths(&spec)
        spec.take("underscores", into: &settings.underscores)
        forwarding(&spec)
        versions(&spec)
        limits(&spec)
        timeouts(&spec)
        tls(&spec)
        proxyProtocol(&spec)
        spec.take("allowWebSocket", into: &settings.allowsWebSocket)
        spec.take("allowConnect", into: &settings.allowsConnect)
    }

    /// What in the settings contradicts itself; `nil` where nothing does.
    var contradiction: String? {
        if settings.tls.minimumVersion > settings.tls.maximumVersion {
            return "tls: expected minimumVersion \(settings.tls.minimumVersion.rawValue) to be at"
                + " most maximumVersion \(settings.tls.maximumVersion.rawValue)"
        }
        return nil
    }

    /// What is missing once all policies are laid over each other; `nil` where nothing is.
    var omission: String? {
        let proxyProtocol = settings.proxyProtocol
        if proxyProtocol.acceptance != .off && proxyProtocol.trustedPrefixes.isEmpty {
            return "proxyProtocol: expected trustedPrefixes, without which no peer may send it"
        }
        switch settings.tls.clientCertificate {
        case .optional, .required:
            let isKnown = clientAuthorities.map { !$0.isEmpty } ?? !settings.tls.clientCAPEM.isEmpty
            if isKnown { return nil }
            return "tls.clientCertificate: expected caCertificateRefs to verify by"
        case .none, .unverified: return nil
        }
    }

    private mutating func paths(_ spec: inout FieldReader) {
        var paths = spec.reader("paths")
        defer { paths.refuseUnknown() }
        paths.take("mergeSlashes", into: &settings.paths.mergesSlashes)
        paths.take("escapedSlashes", into: &settings.paths.escapedSlashes)
    }

    private mutating func forwarding(_ spec: inout FieldReader) {
        var forwarding = spec.reader("forwarding")
        defer { forwarding.refuseUnknown() }
        forwarding.take("trustedHops", into: &settings.forwarding.trustedHops, 0...32)
        forwarding.take("trustedPrefixes", into: &settings.forwarding.trustedPrefixes, most: 256)
        forwarding.take("addHost", into: &settings.forwarding.addsHost)
        forwarding.take("addForwarded", into: &settings.forwarding.addsForwarded)
        forwarding.take("keepRequestID", into: &settings.forwarding.keepsRequestID)
        guard let via = forwarding.string("viaName") else { return }
        if !via.isEmpty && !RouteDecoder.isToken(via.lowercased()) || via.utf8.count > 64 {
            forwarding.refuse("viaName", "expected a token of at most 64 bytes, found \"\(via)\"")
        }
        settings.forwarding.viaName = via
    }

    private mutating func versions(_ spec: inout FieldReader) {
        guard spec.has("versions") else { return }
        let texts = spec.strings("versions")
        settings.versions = []
        for text in texts {
            guard let version = HTTPVersion.written(text) else {
                spec.refuse("versions", "expected HTTP1 or HTTP2, found \"\(text)\"")
                continue
            }
            settings.versions.insert(version)
        }
        if texts.isEmpty { spec.refuse("versions", "expected at least one of HTTP1, HTTP2") }
    }

    private mutating func limits(_ spec: inout FieldReader) {
        var limits = spec.reader("limits")
        defer { limits.refuseUnknown() }
        let most = Int64(UInt32.max)
        limits.take("headBytes", into: &settings.limits.headBytes, 512...16_384)
        limits.take("headerFields", into: &settings.limits.headerFields, 8...128)
        limits.take("bodyBytes", into: &settings.limits.bodyBytes, 1...1_099_511_627_776)
        limits.take(
            "requestsPerConnection",
            into: &settings.limits.requestsPerConnection,
            1...most
        )
        limits.take("concurrentStreams", into: &settings.limits.concurrentStreams, 1...1_000)
        limits.take("connections", into: &settings.limits.connections, 1...most)
        limits.take("connectionsPerSource", into: &settings.limits.connectionsPerSource, 1...most)
    }

    private mutating func timeouts(_ spec: inout FieldReader) {
        var timeouts = spec.reader("timeouts")
        defer { timeouts.refuseUnknown() }
        timeouts.take("head", into: &settings.timeouts.head)
        timeouts.take("body", into: &settings.timeouts.body)
        timeouts.take("idle", into: &settings.timeouts.idle)
        timeouts.take("request", into: &settings.timeouts.request)
        timeouts.take("streamIdle", into: &settings.timeouts.streamIdle)
        timeouts.take("connectionAge", into: &settings.timeouts.connectionAge)
        timeouts.take("handshake", into: &settings.timeouts.handshake)
    }

    private mutating func tls(_ spec: inout FieldReader) {
        var tls = spec.reader("tls")
        defer { tls.refuseUnknown() }
        tls.take("minimumVersion", into: &settings.tls.minimumVersion)
        tls.take("maximumVersion", into: &settings.tls.maximumVersion)
        let words = "an OpenSSL name"
        tls.take("ciphers", into: &settings.tls.ciphers, most: 64, expected: words, isValid: isWord)
        tls.take("groups", into: &settings.tls.groups, most: 16, expected: words, isValid: isWord)
        tls.take("alpn", into: &settings.tls.alpn, most: 16, expected: "an ALPN name") {
            (1...255).contains($0.utf8.count)
        }
        clientCertificate(&tls)
        tls.take("resumption", into: &settings.tls.resumes)
        tls.take("ticketKeyLifetime", into: &settings.tls.ticketKeyLifetime)
        if tls.has("ocspResponseRef") {
            var reference = tls.reader("ocspResponseRef")
            staple = ObjectReference(
                group: reference.string("group") ?? "",
                kind: reference.string("kind") ?? "ConfigMap",
                name: reference.requiredString("name"),
                namespace: reference.string("namespace")
            )
            reference.refuseUnknown()
        }
        tls.take("requireStaple", into: &settings.tls.requiresStaple)
        tls.take("earlyDataBytes", into: &settings.tls.earlyDataByteLimit, 0...65_536)
        tls.take("handshakes", into: &settings.tls.handshakeMax, 1...65_536)
    }

    private mutating func clientCertificate(_ tls: inout FieldReader) {
        var client = tls.reader("clientCertificate")
        defer { client.refuseUnknown() }
        client.take("mode", into: &settings.tls.clientCertificate)
        if client.has("caCertificateRefs") {
            clientAuthorities = client.references("caCertificateRefs", most: 8, namespaced: true)
        }
        client.take(
            "names",
            into: &settings.tls.clientNames,
            most: 64,
            expected: "a subject alternative name"
        ) { !$0.isEmpty && $0.utf8.count <= 512 }
        client.take("forward", into: &settings.tls.forwardsClientCertificate)
    }

    private mutating func proxyProtocol(_ spec: inout FieldReader) {
        var proxyProtocol = spec.reader("proxyProtocol")
        defer { proxyProtocol.refuseUnknown() }
        proxyProtocol.take("acceptance", into: &settings.proxyProtocol.acceptance)
        proxyProtocol.take(
            "trustedPrefixes",
            into: &settings.proxyProtocol.trustedPrefixes,
            most: 256
        )
    }

    /// Names of ciphers and groups have no separators of OpenSSL's lists in them.
    private func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}

extension HTTPVersion {
    /// Reads `HTTP1` or `HTTP2`.
    static func written(_ text: String) -> HTTPVersion? {
        allCases.first { $0.rawValue.uppercased() == text }
    }
}
