import Addressing
import MeshModel

/// Settings of a cluster as policies build them up: defaults, then the Service's policy, then the
/// port's, each setting what it has. What may be absent as a whole (affinity, health checks,
/// outliers, retries, hedging, TLS) is replaced as a whole.
struct BackendPatch {
    /// What is set so far.
    var settings = BackendSettings()
    /// ConfigMaps or Secrets with the CAs of endpoints' certificates.
    var authorities: [ObjectReference] = []
    /// The Secret with our own certificate towards endpoints, if any.
    var certificate: ObjectReference?

    /// Lays a BackendPolicy's spec over what is set. `targetRefs` is the caller's.
    mutating func apply(_ spec: inout FieldReader) {
        balancing(&spec)
        if spec.has("affinity") {
            var reader = spec.reader("affinity")
            settings.affinity = Self.affinity(&reader)
            reader.refuseUnknown()
        }
        if spec.has("healthCheck") {
            var reader = spec.reader("healthCheck")
            settings.healthCheck = HealthCheckSettings(&reader)
            reader.refuseUnknown()
        }
        if spec.has("outliers") {
            var reader = spec.reader("outliers")
            settings.outliers = OutlierSettings(&reader)
            reader.refuseUnknown()
        }
        breakers(&spec)
        if spec.has("retries") {
            var reader = spec.reader("retries")
            settings.retries = RetrySettings(&reader)
            reader.refuseUnknown()
        }
        if spec.has("hedging") { settings.hedging = Self.hedging(&spec) }
        timeouts(&spec)
        let versions = HTTPVersion.allCases.map { ($0.rawValue.uppercased(), $0) }
        if let version = spec.choice("version", among: versions) { settings.version = version }
        if spec.has("tls") { tls(&spec) }
        let most = Int64(UInt32.max)
        spec.take("requestsPerConnection", into: &settings.requestsPerConnection, 1...most)
        spec.take("allowEarlyData", into: &settings.takesEarlyData)
        spec.take("proxyProtocolVersion", into: &settings.proxyProtocolVersion, 0...2)
    }

    /// What in the settings contradicts itself; `nil` where nothing does.
    var contradiction: String? {
        let balancing = settings.balancing
        if balancing.algorithm == .maglev && balancing.tableSize > 0
            && !Self.isPrime(balancing.tableSize)
        {
            return "balancing.tableSize: expected a prime for Maglev, found \(balancing.tableSize)"
        }
        return nil
    }

    private static func isPrime(_ number: UInt32) -> Bool {
        guard number > 3 else { return number > 1 }
        var divisor: UInt32 = 2
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 1
        }
        return true
    }

    // MARK: Parts

    private mutating func balancing(_ spec: inout FieldReader) {
        var reader = spec.reader("balancing")
        defer { reader.refuseUnknown() }
        reader.take("algorithm", into: &settings.balancing.algorithm)
        if reader.has("hashKeys") {
            settings.balancing.hashKeys = reader.readers("hashKeys").compactMap { key in
                var key = key
                defer { key.refuseUnknown() }
                return Self.hashKey(&key)
            }
            let count = settings.balancing.hashKeys.count
            if count > 8 { reader.refuse("hashKeys", "expected at most 8, found \(count)") }
        }
        reader.take("tableSize", into: &settings.balancing.tableSize, 2...5_000_011)
        reader.take("hashLoadPercent", into: &settings.balancing.hashLoadPercent, 100...10_000)
        reader.take("slowStart", into: &settings.balancing.slowStart)
        reader.take("panicPercent", into: &settings.balancing.panicPercent, 0...100)
        reader.take("preferZone", into: &settings.balancing.prefersZone)
        reader.take("zoneEndpointMin", into: &settings.balancing.zoneEndpointMin, 0...65_536)
        guard reader.has("subset") else { return }
        var subset = reader.reader("subset")
        defer { subset.refuseUnknown() }
        let attribute: BalancingSettings.Subset.Attribute? = subset.choice("attribute")
        if attribute == nil && !subset.has("attribute") {
            subset.refuse("attribute", "expected one of Zone, Node, found nothing")
        }
        settings.balancing.subset = BalancingSettings.Subset(
            attribute: attribute ?? .zone,
            header: subset.fieldName("header"),
            fallsBack: subset.bool("fallBack") ?? true
        )
    }

    private enum KeyKind { case source, header, cookie, query, path }

    private static func hashKey(_ reader: inout FieldReader) -> BalancingSettings.HashKey? {
        let kinds: [(String, KeyKind)] = [
            ("Source", .source), ("Header", .header), ("Cookie", .cookie), ("Query", .query),
            ("Path", .path),
        ]
        switch reader.requiredChoice("type", among: kinds) {
        case .header: return .header(reader.fieldName("name"))
        case .cookie: return .cookie(reader.requiredString("name"))
        case .query: return .query(reader.requiredString("name"))
        case .source:
            reader.refuse(["name"], "expected none for the source")
            return .source
        case .path:
            reader.refuse(["name"], "expected none for the path")
            return .path
        case nil: return nil
        }
    }

    private enum AffinityKind { case cookie, header, source }

    private static func affinity(_ reader: inout FieldReader) -> SessionAffinity? {
        let kinds: [(String, AffinityKind)] = [
            ("Cookie", .cookie), ("Header", .header), ("Source", .source),
        ]
        let kind = reader.requiredChoice("type", among: kinds)
        let absoluteTimeout = reader.duration("absoluteTimeout")
        let idleTimeout = reader.duration("idleTimeout")
        switch kind {
        case .cookie:
            let name = reader.requiredString("name")
            if !name.isEmpty && !RouteDecoder.isToken(name.lowercased()) {
                reader.refuse("name", "expected a cookie name, found \"\(name)\"")
            }
            let path = reader.string("path") ?? "/"
            if !path.hasPrefix("/") || path.utf8.contains(where: { $0 < 0x21 || $0 == 0x3b }) {
                reader.refuse("path", "expected a path that begins with /, found \"\(path)\"")
            }
            let lifetime = reader.duration("lifetime")
            return SessionAffinity(
                .cookie(name: name, path: path, lifetime: lifetime),
                absoluteTimeout: absoluteTimeout,
                idleTimeout: idleTimeout
            )
        case .header:
            reader.refuse(["path", "lifetime"], "is for a cookie")
            return SessionAffinity(
                .header(reader.fieldName("name")),
                absoluteTimeout: absoluteTimeout,
                idleTimeout: idleTimeout
            )
        case .source:
            reader.refuse(
                ["name", "path", "lifetime", "idleTimeout"],
                "expected none for the source"
            )
            return SessionAffinity(.source, absoluteTimeout: absoluteTimeout)
        case nil: return nil
        }
    }

    private mutating func breakers(_ spec: inout FieldReader) {
        var reader = spec.reader("breakers")
        defer { reader.refuseUnknown() }
        let most = Int64(UInt32.max)
        reader.take("connections", into: &settings.breakers.connections, 1...most)
        reader.take("pending", into: &settings.breakers.pending, 1...most)
        reader.take("requests", into: &settings.breakers.requests, 1...most)
        reader.take("retries", into: &settings.breakers.retries, 1...most)
        reader.take(
            "connectionsPerEndpoint",
            into: &settings.breakers.connectionsPerEndpoint,
            1...most
        )
        reader.take("retryBudgetPercent", into: &settings.breakers.retryBudgetPercent, 0...100)
        reader.take("retryBudgetMin", into: &settings.breakers.retryBudgetMin, 0...most)
    }

    private static func hedging(_ spec: inout FieldReader) -> HedgingSettings? {
        var reader = spec.reader("hedging")
        defer { reader.refuseUnknown() }
        if !reader.has("delay") { reader.refuse("delay", "expected a duration, found nothing") }
        var hedging = HedgingSettings(delay: .milliseconds(1))
        reader.take("delay", into: &hedging.delay)
        reader.take("attempts", into: &hedging.attempts, 1...3)
        return hedging
    }

    private mutating func timeouts(_ spec: inout FieldReader) {
        var reader = spec.reader("timeouts")
        defer { reader.refuseUnknown() }
        reader.take("connect", into: &settings.timeouts.connect)
        reader.take("request", into: &settings.timeouts.request)
        reader.take("streamIdle", into: &settings.timeouts.streamIdle)
        reader.take("idle", into: &settings.timeouts.idle)
    }

    private mutating func tls(_ spec: inout FieldReader) {
        var reader = spec.reader("tls")
        defer { reader.refuseUnknown() }
        var tls = BackendTLSSettings(host: BackendTLSSettings.host(&reader, "hostname"))
        tls.names = BackendTLSSettings.names(&reader)
        authorities = reader.references("caCertificateRefs", most: 8, namespaced: true)
        reader.take("minimumVersion", into: &tls.minimumVersion)
        certificate = nil
        if reader.has("certificateRef") {
            var reference = reader.reader("certificateRef")
            certificate = GatewayDecoder.reference(&reference, defaultKind: "Secret")
            reference.refuseUnknown()
        }
        settings.tls = tls
    }
}

extension BackendTLSSettings {
    /// Reads the name that is sent as SNI and verified.
    static func host(_ reader: inout FieldReader, _ key: String) -> String {
        let host = reader.requiredString(key)
        if !host.isEmpty && (!HostName.isValid(host) || host.hasPrefix("*")) {
            reader.refuse(key, "expected a DNS name, found \"\(host)\"")
        }
        return host.lowercased()
    }

    /// Reads `subjectAltNames` (GEP-1897).
    static func names(_ reader: inout FieldReader) -> [SubjectName] {
        let names = reader.readers("subjectAltNames").compactMap { name -> SubjectName? in
            var name = name
            defer { name.refuseUnknown() }
            switch name.requiredChoice("type", among: [("Hostname", true), ("URI", false)]) {
            case true:
                name.refuse(["uri"], "expected none for a Hostname")
                let host = name.requiredString("hostname")
                if !host.isEmpty && !HostName.isValid(host) {
                    name.refuse("hostname", "expected a DNS name, found \"\(host)\"")
                }
                return .host(host.lowercased())
            case false:
                name.refuse(["hostname"], "expected none for a URI")
                let uri = name.requiredString("uri")
                if !uri.isEmpty && !uri.contains(":") {
                    name.refuse("uri", "expected a URI with its scheme, found \"\(uri)\"")
                }
                return .uri(uri)
            case nil: return nil
            }
        }
        if names.count > 5 {
            reader.refuse("subjectAltNames", "expected at most 5, found \(names.count)")
        }
        return names
    }
}
