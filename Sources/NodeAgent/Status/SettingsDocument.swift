import MeshModel
import Telemetry

/// The settings of listeners and clusters as parts of `/config`. Of certificates and OCSP responses
/// only the size is shown.
enum SettingsDocument {
    /// Writes a listener's settings as the member `settings`.
    static func write(_ settings: ListenerSettings, _ json: inout JSONWriter) {
        json.object("settings") { json in
            json.object("paths") { json in
                json.bool("mergeSlashes", settings.paths.mergesSlashes)
                json.string("escapedSlashes", settings.paths.escapedSlashes.rawValue)
            }
            json.string("underscores", settings.underscores.rawValue)
            json.object("forwarding") { json in
                json.integer("trustedHops", settings.forwarding.trustedHops)
                json.strings(
                    "trustedPrefixes",
                    settings.forwarding.trustedPrefixes.map(\.description)
                )
                json.bool("addHost", settings.forwarding.addsHost)
                json.bool("addForwarded", settings.forwarding.addsForwarded)
                json.string("viaName", settings.forwarding.viaName)
                json.bool("keepRequestID", settings.forwarding.keepsRequestID)
            }
            json.strings("versions", settings.versions.map(\.rawValue).sorted())
            write(settings.limits, &json)
            write(settings.timeouts, &json)
            write(settings.tls, &json)
            json.object("proxyProtocol") { json in
                json.string("acceptance", settings.proxyProtocol.acceptance.rawValue)
                json.strings(
                    "trustedPrefixes",
                    settings.proxyProtocol.trustedPrefixes.map(\.description)
                )
            }
            json.bool("allowWebSocket", settings.allowsWebSocket)
            json.bool("allowConnect", settings.allowsConnect)
        }
    }

    private static func write(_ limits: ListenerLimits, _ json: inout JSONWriter) {
        json.object("limits") { json in
            json.integer("headBytes", limits.headBytes)
            json.integer("headerFields", limits.headerFields)
            json.integer("bodyBytes", limits.bodyBytes)
            json.integer("requestsPerConnection", limits.requestsPerConnection)
            json.integer("concurrentStreams", limits.concurrentStreams)
            json.integer("connections", limits.connections)
            json.integer("connectionsPerSource", limits.connectionsPerSource)
        }
    }

    private static func write(_ timeouts: ListenerTimeouts, _ json: inout JSONWriter) {
        json.object("timeouts") { json in
            seconds("headSeconds", timeouts.head, &json)
            seconds("bodySeconds", timeouts.body, &json)
            seconds("idleSeconds", timeouts.idle, &json)
            seconds("requestSeconds", timeouts.request, &json)
            seconds("streamIdleSeconds", timeouts.streamIdle, &json)
            seconds("connectionAgeSeconds", timeouts.connectionAge, &json)
            seconds("handshakeSeconds", timeouts.handshake, &json)
        }
    }

    private static func write(_ tls: ListenerTLSSettings, _ json: inout JSONWriter) {
        json.object("tls") { json in
            json.string("minimumVersion", tls.minimumVersion.rawValue)
            json.string("maximumVersion", tls.maximumVersion.rawValue)
            json.strings("ciphers", tls.ciphers)
            json.strings("groups", tls.groups)
            json.strings("alpn", tls.alpn)
            json.object("clientCertificate") { json in
                json.string("mode", tls.clientCertificate.rawValue)
                json.integer("authorityBytes", tls.clientCAPEM.count)
                json.strings("names", tls.clientNames)
                json.bool("forward", tls.forwardsClientCertificate)
            }
            json.bool("resumption", tls.resumes)
            seconds("ticketKeyLifetimeSeconds", tls.ticketKeyLifetime, &json)
            json.integer("ocspResponseBytes", tls.ocspResponse.count)
            json.bool("requireStaple", tls.requiresStaple)
            json.integer("earlyDataBytes", tls.earlyDataByteLimit)
            json.integer("handshakes", tls.handshakeMax)
        }
    }

    private static func seconds(_ name: String, _ duration: Duration?, _ json: inout JSONWriter) {
        json.number(name, duration.map { Double($0.wholeNanoseconds) / 1e9 })
    }

    // MARK: Clusters

    /// Writes a cluster's settings as the member `settings`.
    static func write(_ settings: BackendSettings, _ json: inout JSONWriter) {
        json.object("settings") { json in
            write(settings.balancing, &json)
            if let affinity = settings.affinity { write(affinity, &json) }
            if let check = settings.healthCheck { write(check, &json) }
            if let outliers = settings.outliers { write(outliers, &json) }
            write(settings.breakers, &json)
            if let retries = settings.retries { write(retries, &json) }
            if let hedging = settings.hedging {
                json.object("hedging") { json in
                    seconds("delaySeconds", hedging.delay, &json)
                    json.integer("attempts", hedging.attempts)
                }
            }
            json.object("timeouts") { json in
                seconds("connectSeconds", settings.timeouts.connect, &json)
                seconds("requestSeconds", settings.timeouts.request, &json)
                seconds("streamIdleSeconds", settings.timeouts.streamIdle, &json)
                seconds("idleSeconds", settings.timeouts.idle, &json)
            }
            json.string("version", settings.version?.rawValue)
            if let tls = settings.tls { write(tls, &json) }
            json.integer("requestsPerConnection", settings.requestsPerConnection)
            json.bool("allowEarlyData", settings.takesEarlyData)
            json.integer("proxyProtocolVersion", settings.proxyProtocolVersion)
        }
    }

    private static func write(_ balancing: BalancingSettings, _ json: inout JSONWriter) {
        json.object("balancing") { json in
            json.string("algorithm", balancing.algorithm.rawValue)
            json.strings("hashKeys", balancing.hashKeys.map { "\($0)" })
            json.integer("tableSize", balancing.tableSize)
            json.integer("hashLoadPercent", balancing.hashLoadPercent)
            seconds("slowStartSeconds", balancing.slowStart, &json)
            json.integer("panicPercent", balancing.panicPercent)
            json.bool("preferZone", balancing.prefersZone)
            json.integer("zoneEndpointMin", balancing.zoneEndpointMin)
            guard let subset = balancing.subset else { return }
            json.object("subset") { json in
                json.string("attribute", subset.attribute.rawValue)
                json.string("header", subset.header)
                json.bool("fallBack", subset.fallsBack)
            }
        }
    }

    /// Writes what ties clients to endpoints as the member `affinity`.
    static func write(_ affinity: SessionAffinity, _ json: inout JSONWriter) {
        json.object("affinity") { json in
            switch affinity.kind {
            case .cookie(let name, let path, let lifetime):
                json.string("type", "cookie")
                json.string("name", name)
                json.string("path", path)
                seconds("lifetimeSeconds", lifetime, &json)
            case .header(let name):
                json.string("type", "header")
                json.string("name", name)
            case .source: json.string("type", "source")
            }
            seconds("absoluteTimeoutSeconds", affinity.absoluteTimeout, &json)
            seconds("idleTimeoutSeconds", affinity.idleTimeout, &json)
        }
    }

    private static func write(_ check: HealthCheckSettings, _ json: inout JSONWriter) {
        json.object("healthCheck") { json in
            switch check.probe {
            case .http(let path, let host, let statuses):
                json.string("type", "http")
                json.string("path", path)
                json.string("host", host)
                json.string("statuses", "\(statuses.lowerBound)-\(statuses.upperBound)")
            case .grpc(let service):
                json.string("type", "grpc")
                json.string("service", service)
            case .tcp: json.string("type", "tcp")
            }
            seconds("intervalSeconds", check.interval, &json)
            seconds("timeoutSeconds", check.timeout, &json)
            json.integer("healthyCount", check.healthyCount)
            json.integer("unhealthyCount", check.unhealthyCount)
            json.integer("port", check.port)
        }
    }

    private static func write(_ outliers: OutlierSettings, _ json: inout JSONWriter) {
        json.object("outliers") { json in
            json.integer("consecutiveErrors", outliers.consecutiveErrors)
            json.integer("consecutiveGatewayErrors", outliers.consecutiveGatewayErrors)
            seconds("intervalSeconds", outliers.interval, &json)
            seconds("ejectionTimeSeconds", outliers.ejectionTime, &json)
            seconds("ejectionTimeMaxSeconds", outliers.ejectionTimeMax, &json)
            json.integer("ejectedPercentMax", outliers.ejectedPercentMax)
            json.integer("successRateDeviation", outliers.successRateDeviation)
            json.integer("failurePercent", outliers.failurePercent)
            json.integer("latencyPercent", outliers.latencyPercent)
            json.integer("requestMin", outliers.requestMin)
        }
    }

    private static func write(_ breakers: BreakerSettings, _ json: inout JSONWriter) {
        json.object("breakers") { json in
            json.integer("connections", breakers.connections)
            json.integer("pending", breakers.pending)
            json.integer("requests", breakers.requests)
            json.integer("retries", breakers.retries)
            json.integer("connectionsPerEndpoint", breakers.connectionsPerEndpoint)
            json.integer("retryBudgetPercent", breakers.retryBudgetPercent)
            json.integer("retryBudgetMin", breakers.retryBudgetMin)
        }
    }

    /// Writes what is tried again as the member `retries`.
    static func write(_ retries: RetrySettings, _ json: inout JSONWriter) {
        json.object("retries") { json in
            json.integer("attempts", retries.attempts)
            json.strings("conditions", names(retries.conditions))
            json.strings("statuses", retries.statuses.map(String.init))
            let grpcStatuses = (0..<32).filter { retries.grpcStatuses & 1 << UInt32($0) != 0 }
            json.strings("grpcStatuses", grpcStatuses.map(String.init))
            seconds("backoffSeconds", retries.backoff, &json)
            seconds("backoffMaxSeconds", retries.backoffMax, &json)
            seconds("tryTimeoutSeconds", retries.tryTimeout, &json)
            seconds("retryAfterMaxSeconds", retries.retryAfterMax, &json)
            json.bool("retryUnsafe", retries.retriesUnsafe)
        }
    }

    private static func names(_ conditions: RetrySettings.Conditions) -> [String] {
        let all: [(String, RetrySettings.Conditions)] = [
            ("connectFailure", .connectFailure), ("refused", .refused), ("reset", .reset),
            ("gatewayError", .gatewayError), ("serverError", .serverError),
            ("tryTimeout", .tryTimeout), ("statuses", .statuses), ("grpcStatuses", .grpcStatuses),
        ]
        return all.filter { conditions.contains($0.1) }.map(\.0)
    }

    private static func write(_ tls: BackendTLSSettings, _ json: inout JSONWriter) {
        json.object("tls") { json in
            json.string("hostname", tls.host)
            json.strings(
                "subjectAltNames",
                tls.names.map { name in
                    switch name {
                    case .host(let host): host
                    case .uri(let uri): uri
                    }
                }
            )
            json.integer("authorityBytes", tls.caPEM.count)
            json.string("certificate", tls.certificate?.path)
            json.string("minimumVersion", tls.minimumVersion.rawValue)
        }
    }
}
