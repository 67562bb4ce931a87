import MeshModel

extension HealthCheckSettings {
    private enum Kind { case http, grpc, tcp }

    /// Reads `healthCheck` of a BackendPolicy; `nil` where it has no valid type.
    init?(_ reader: inout FieldReader) {
        let kinds: [(String, Kind)] = [("HTTP", .http), ("GRPC", .grpc), ("TCP", .tcp)]
        let kind = reader.requiredChoice("type", among: kinds)
        let ofHTTP = ["path", "statuses"]
        switch kind {
        case .http:
            reader.refuse(["service"], "is for GRPC")
            self.init(HealthCheckSettings.http(&reader))
        case .grpc:
            reader.refuse(ofHTTP + ["host"], "is for HTTP")
            self.init(.grpc(service: reader.string("service") ?? ""))
        case .tcp:
            reader.refuse(ofHTTP + ["host"], "is for HTTP")
            reader.refuse(["service"], "is for GRPC")
            self.init(.tcp)
        case nil: return nil
        }
        let times = Duration.milliseconds(100)...Duration.seconds(3_600)
        reader.take("interval", into: &interval, times)
        reader.take("timeout", into: &timeout, times)
        reader.take("healthyCount", into: &healthyCount, 1...100)
        reader.take("unhealthyCount", into: &unhealthyCount, 1...100)
        reader.take("port", into: &port, 1...65_535)
    }

    private static func http(_ reader: inout FieldReader) -> Probe {
        let path = reader.string("path") ?? "/"
        if !path.hasPrefix("/") || path.utf8.count > 1_024
            || path.utf8.contains(where: { $0 < 0x21 || $0 > 0x7e })
        {
            reader.refuse("path", "expected a path that begins with /, found \"\(path)\"")
        }
        let host = reader.string("host") ?? ""
        if !host.isEmpty && !HostName.isValid(host) {
            reader.refuse("host", "expected a DNS name, found \"\(host)\"")
        }
        var least: UInt16 = 200
        var most: UInt16 = 299
        if reader.has("statuses") {
            var statuses = reader.reader("statuses")
            statuses.take("from", into: &least, 100...599)
            if !statuses.has("to") { most = max(least, most) }
            statuses.take("to", into: &most, 100...599)
            if least > most {
                statuses.refuse("to", "expected at least \(least), found \(most)")
                most = least
            }
            statuses.refuseUnknown()
        }
        return .http(path: path, host: host.lowercased(), statuses: least...most)
    }
}

extension OutlierSettings {
    /// Reads `outliers` of a BackendPolicy.
    init(_ reader: inout FieldReader) {
        self.init()
        reader.take("consecutiveErrors", into: &consecutiveErrors, 0...10_000)
        reader.take("consecutiveGatewayErrors", into: &consecutiveGatewayErrors, 0...10_000)
        reader.take("interval", into: &interval)
        reader.take("ejectionTime", into: &ejectionTime)
        reader.take("ejectionTimeMax", into: &ejectionTimeMax)
        reader.take("ejectedPercentMax", into: &ejectedPercentMax, 0...100)
        reader.take("successRateDeviation", into: &successRateDeviation, 0...10_000)
        reader.take("failurePercent", into: &failurePercent, 0...100)
        reader.take("latencyPercent", into: &latencyPercent, 0...10_000)
        reader.take("requestMin", into: &requestMin, 1...Int64(UInt32.max))
        if ejectionTime > ejectionTimeMax {
            reader.refuse("ejectionTimeMax", "expected at least ejectionTime")
        }
    }
}

extension RetrySettings {
    /// Conditions as policies name them.
    static let conditionNames: [(String, Conditions)] = [
        ("ConnectFailure", .connectFailure), ("Refused", .refused), ("Reset", .reset),
        ("GatewayError", .gatewayError), ("ServerError", .serverError),
        ("TryTimeout", .tryTimeout), ("Statuses", .statuses), ("GRPCStatuses", .grpcStatuses),
    ]

    /// Reads `retries` of a BackendPolicy.
    init(_ reader: inout FieldReader) {
        self.init()
        reader.take("attempts", into: &attempts, 0...10)
        if reader.has("conditions") {
            conditions = []
            for text in reader.strings("conditions") {
                let names = RetrySettings.conditionNames
                guard let found = names.first(where: { $0.0 == text }) else {
                    let all = names.map(\.0).joined(separator: ", ")
                    reader.refuse("conditions", "expected of \(all), found \"\(text)\"")
                    continue
                }
                conditions.insert(found.1)
            }
        }
        statuses = RetrySettings.numbers(&reader, "statuses", 400...599).map { UInt16($0) }
        for status in RetrySettings.numbers(&reader, "grpcStatuses", 1...16) {
            grpcStatuses |= 1 << UInt32(status)
        }
        for (condition, key, isEmpty) in [
            (Conditions.statuses, "statuses", statuses.isEmpty),
            (.grpcStatuses, "grpcStatuses", grpcStatuses == 0),
        ] {
            if !isEmpty { conditions.insert(condition) }
            if isEmpty && conditions.contains(condition) {
                reader.refuse(key, "expected at least one for the condition of that name")
            }
        }
        let waits = Duration.milliseconds(1)...Duration.seconds(60)
        reader.take("backoff", into: &backoff, waits)
        if !reader.has("backoffMax") { backoffMax = max(backoffMax, backoff) }
        reader.take("backoffMax", into: &backoffMax, waits)
        if backoff > backoffMax { reader.refuse("backoffMax", "expected at least backoff") }
        reader.take("tryTimeout", into: &tryTimeout)
        reader.take("retryAfterMax", into: &retryAfterMax)
        reader.take("retryUnsafe", into: &retriesUnsafe)
    }

    /// A list of integers of a range.
    static func numbers(
        _ reader: inout FieldReader,
        _ key: String,
        _ range: ClosedRange<Int64>
    ) -> [Int64] {
        let texts = reader.strings(key)
        if texts.count > 32 { reader.refuse(key, "expected at most 32, found \(texts.count)") }
        return texts.compactMap { text in
            guard let number = Int64(text), range.contains(number) else {
                reader.refuse(
                    key,
                    "expected integers of \(range.lowerBound)...\(range.upperBound),"
                        + " found \"\(text)\""
                )
                return nil
            }
            return number
        }
    }
}
