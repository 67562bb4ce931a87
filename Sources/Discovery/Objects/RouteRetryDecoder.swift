import MeshModel

/// Retries and mirrors of an HTTPRoute's rules.
enum RouteRetryDecoder {
    /// The longest wait is so many times the first where the Gateway API has no field for it.
    private static let backoffGrowth = 10

    /// Reads `retry` of a rule (GEP-1731): connection errors, and the statuses it names.
    static func retries(_ rule: inout FieldReader) -> RetrySettings? {
        guard rule.has("retry") else { return nil }
        var reader = rule.reader("retry")
        defer { reader.refuseUnknown() }
        var retries = RetrySettings()
        retries.conditions = [.connectFailure, .refused, .reset]
        retries.statuses = RetrySettings.numbers(&reader, "codes", 400...599).map { UInt16($0) }
        if !retries.statuses.isEmpty { retries.conditions.insert(.statuses) }
        reader.take("attempts", into: &retries.attempts, 0...10)
        if reader.has("backoff") {
            let waits = Duration.milliseconds(1)...Duration.seconds(60)
            reader.take("backoff", into: &retries.backoff, waits)
            retries.backoffMax = retries.backoff * backoffGrowth
        }
        return retries
    }

    /// Reads a `RequestMirror` filter (GEP-3171).
    static func mirror(_ reader: inout FieldReader) -> HTTPRouteContent.Mirror {
        defer { reader.refuseUnknown() }
        var backend = reader.reader("backendRef")
        let reference = GatewayDecoder.reference(&backend, defaultKind: "Service", with: [.port])
        backend.refuseUnknown()
        var mirror = HTTPRouteContent.Mirror(reference: reference, numerator: 100, denominator: 100)
        reader.take("percent", into: &mirror.numerator, 0...100)
        guard reader.has("fraction") else { return mirror }
        if reader.has("percent") { reader.refuse("fraction", "expected percent or fraction") }
        var fraction = reader.reader("fraction")
        defer { fraction.refuseUnknown() }
        let most = Int64(Int32.max)
        fraction.take("denominator", into: &mirror.denominator, 1...most)
        fraction.take("numerator", into: &mirror.numerator, 0...most)
        if !fraction.has("numerator") { fraction.refuse("numerator", "expected an integer") }
        if mirror.numerator > mirror.denominator {
            fraction.refuse("numerator", "expected at most the denominator")
        }
        return mirror
    }
}
